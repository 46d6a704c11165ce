import Synchronization

/// What the demo's token service has done: the counts that show which calls the gateway spared it,
/// and for each token that it issued, whom it is for.
package final class ExchangeJournal: Sendable {
  package struct Counts: Sendable, Equatable {
    /// Calls with the exchange's grant, whatever came of them.
    package var exchanges = 0
    package var issued = 0
    package var refused = 0
    /// Of the refused, those with a system's token.
    package var refusedSystems = 0
  }

  /// In whose name and for which service a token was issued.
  struct Grant: Equatable {
    let subject: [UInt8]
    let audience: [UInt8]
  }

  private struct State {
    var counts = Counts()
    var grants: [[UInt8]: Grant] = [:]
  }

  /// A demo that runs for days forgets rather than grows.
  private static let grantsMax = 10_000

  private let state = Mutex(State())

  package var counts: Counts { state.withLock { $0.counts } }

  /// The grant that a token came with; `digest` is the token's SHA-256.
  func grant(of digest: [UInt8]) -> Grant? { state.withLock { $0.grants[digest] } }

  func noteIssued(_ digest: [UInt8], _ grant: Grant) {
    state.withLock { state in
      state.counts.exchanges += 1
      state.counts.issued += 1
      if state.grants.count >= Self.grantsMax { state.grants = [:] }
      state.grants[digest] = grant
    }
  }

  func noteRefused(isSystem: Bool) {
    state.withLock { state in
      state.counts.exchanges += 1
      state.counts.refused += 1
      if isSystem { state.counts.refusedSystems += 1 }
    }
  }
}
