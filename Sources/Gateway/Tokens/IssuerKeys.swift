import Crypto
import JOSE
import OAuth
import Reactor
import Synchronization

/// An issuer's keys as all workers share them: what was last had, whether a look-up is under way,
/// who waits for it.
///
/// One task, the keeper's, fetches; requests only ask it to. While the source is down the old keys
/// go on being used, for a day; an unknown `kid` is looked up at most every 30 seconds, so that
/// forged ones cost nothing.
final class IssuerKeys: Sendable {
  let rules: IssuerRules
  /// Where tokens of this issuer are exchanged, when its discovery said so.
  let tokenEndpoint = Mutex<DiscoveryDocument?>(nil)

  private struct State {
    var keys: JWKSet?
    /// On the monotonic clock; when keys were last had.
    var hadAtMs: Int64 = 0
    var beganAtMs = Int64.min
    var isFetching = true
    var isDemanded = false
    var hasLastFailed = false
    var waiters: [RemoteWaiter] = []
    var keeper: RemoteWaiter?
    var failure = "not fetched yet"
  }

  /// What a request that lacks a key can do.
  enum Demand {
    /// Wait: the keys are being fetched.
    case underWay
    /// They were fetched a moment ago; the key is not among them.
    case known
    /// They can't be had.
    case unavailable
  }

  /// Old keys are used for so long while the source is down.
  private static let keptMs: Int64 = 24 * 3_600_000
  /// Between two look-ups of unknown keys.
  private static let demandEveryMs: Int64 = 30_000

  private let state = Mutex(State())
  private let generations = Atomic<UInt64>(0)

  init(_ rules: IssuerRules) { self.rules = rules }

  /// Changes whenever the keys do: a token verified under another one is looked at again.
  var generation: UInt64 { generations.load(ordering: .acquiring) }

  /// The keys, or nil where there are none that may be used.
  var keys: JWKSet? {
    let nowMs = Clock.monotonicNs() / 1_000_000
    return state.withLock { $0.keys != nil && nowMs - $0.hadAtMs < Self.keptMs ? $0.keys : nil }
  }

  /// For readiness: what is the matter, nil when keys are there.
  var trouble: String? { keys == nil ? state.withLock { $0.failure } : nil }

  /// Asks for keys, for a request that has none that fits; `waiter` is woken when a look-up ends.
  func demand(_ waiter: RemoteWaiter) -> Demand {
    let nowMs = Clock.monotonicNs() / 1_000_000
    let (demand, keeper) = state.withLock { state -> (Demand, RemoteWaiter?) in
      if state.isFetching || state.isDemanded {
        state.waiters.append(waiter)
        return (.underWay, nil)
      }
      // While they were never had the keeper tries by itself, at its own pace.
      guard state.keys != nil else { return (.unavailable, nil) }
      if nowMs - state.beganAtMs < Self.demandEveryMs {
        return (state.hasLastFailed ? .unavailable : .known, nil)
      }
      state.isDemanded = true
      state.waiters.append(waiter)
      return (.underWay, state.keeper)
    }
    keeper?.signal()
    return demand
  }

  // For the keeper.

  func setKeeper(_ waiter: RemoteWaiter) { state.withLock { $0.keeper = waiter } }

  var isDemanded: Bool { state.withLock { $0.isDemanded } }

  var hasKeys: Bool { state.withLock { $0.keys != nil } }

  func beginFetch() {
    let nowMs = Clock.monotonicNs() / 1_000_000
    state.withLock { state in
      state.isFetching = true
      state.isDemanded = false
      state.beganAtMs = nowMs
    }
  }

  /// Takes what a look-up came to and wakes who waits for it.
  ///
  /// - Returns: whether the keys changed.
  @discardableResult
  func endFetch(_ result: Result<JWKSet, KeyFetchFault>) -> Bool {
    let nowMs = Clock.monotonicNs() / 1_000_000
    let (waiters, hasChanged) = state.withLock { state -> ([RemoteWaiter], Bool) in
      state.isFetching = false
      defer { state.waiters = [] }
      switch result {
      case .success(let keys):
        let hasChanged = state.keys.map { !$0.hasSameKeys(as: keys) } ?? true
        state.keys = keys
        state.hadAtMs = nowMs
        state.hasLastFailed = false
        return (state.waiters, hasChanged)
      case .failure(let fault):
        state.hasLastFailed = true
        state.failure = fault.text
        return (state.waiters, false)
      }
    }
    if hasChanged { generations.add(1, ordering: .acquiringAndReleasing) }
    for waiter in waiters { waiter.signal() }
    return hasChanged
  }
}

/// Why an issuer's keys could not be had; for the log and for readiness.
struct KeyFetchFault: Error {
  let text: String
}

extension JWKSet {
  /// Whether both hold the same keys, in whatever order.
  func hasSameKeys(as other: JWKSet) -> Bool {
    keys.count == other.keys.count && keys.allSatisfy { other.contains($0.thumbprint) }
  }
}
