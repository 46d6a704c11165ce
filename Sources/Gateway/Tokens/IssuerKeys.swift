import JOSE
import OAuth
import Reactor
import Synchronization
import Wire

/// An issuer's keys as all workers share them. `KeyRing` decides when they are fetched; one task,
/// the keeper's, fetches; requests that lack a key ask for it here and wait.
final class IssuerKeys: Sendable {
  let rules: IssuerRules

  private struct State {
    var ring: KeyRing
    var discovery: DiscoveryDocument?
    /// A fetch was begun for a request, and the keeper is to make it.
    var isDemanded = false
    var waiters: [RemoteWaiter] = []
    var keeper: RemoteWaiter?
    var failure = "not fetched yet"
  }

  private let state: Mutex<State>
  private let generations = Atomic<UInt64>(0)

  /// - Parameter former: keys that come from the same source, before a reload: they stay until the
  ///   source is asked again, which a file is at once.
  init(_ rules: IssuerRules, after former: IssuerKeys? = nil) {
    self.rules = rules
    let refreshMs = rules.settings.jwksRefreshMs
    guard let former else {
      state = Mutex(State(ring: KeyRing(refreshMs: refreshMs)))
      return
    }
    let isFile = if case .file = rules.settings.keys { true } else { false }
    let nowMs = Self.nowMs()
    state = Mutex(
      former.state.withLock { old in
        State(
          ring: KeyRing(after: old.ring, refreshMs: refreshMs, isDue: isFile, nowMs: nowMs),
          discovery: old.discovery, failure: old.failure)
      })
  }

  /// Changes whenever the keys do: a token verified under others is looked at again.
  var generation: UInt64 { generations.load(ordering: .acquiring) }

  /// The keys, or nil where there are none that may be used.
  var keys: JWKSet? {
    let nowMs = Self.nowMs()
    return state.withLock { $0.ring.usableKeys(nowMs: nowMs) }
  }

  /// Where the issuer's metadata is, once it was had.
  var discovery: DiscoveryDocument? { state.withLock { $0.discovery } }

  /// How long ago the keys were had; nil where there are none that may be used.
  var keysAgeMs: Int64? {
    let nowMs = Self.nowMs()
    return state.withLock { $0.ring.keysAgeMs(nowMs: nowMs) }
  }

  /// For readiness: what is the matter, nil when keys are there.
  var trouble: String? {
    let nowMs = Self.nowMs()
    return state.withLock { $0.ring.usableKeys(nowMs: nowMs) != nil ? nil : $0.failure }
  }

  /// What a request can do that has found (`isKnown`) a fitting key or none. On `.fetch` the waiter
  /// is woken when the fetch under way has ended.
  func answer(
    isKnown: Bool, keyID: UTF8Text? = nil, waiter: RemoteWaiter
  ) -> KeyRing.Answer {
    let nowMs = Self.nowMs()
    let (answer, keeper) = state.withLock { state -> (KeyRing.Answer, RemoteWaiter?) in
      let answer = state.ring.answer(isKnown: isKnown, keyID: keyID, nowMs: nowMs)
      guard case .fetch = answer else { return (answer, nil) }
      state.waiters.append(waiter)
      if state.ring.isFetching { return (answer, nil) }
      state.ring.beginFetch(nowMs: nowMs, forUnknown: true)
      state.isDemanded = true
      return (answer, state.keeper)
    }
    keeper?.signal()
    return answer
  }

  // For the keeper.

  func setKeeper(_ waiter: RemoteWaiter) { state.withLock { $0.keeper = waiter } }

  /// Whether the keeper is to fetch now; and when it should look again where not.
  func takeFetch() -> (isDue: Bool, nextAtMs: Int64) {
    let nowMs = Self.nowMs()
    return state.withLock { state in
      if state.isDemanded {
        state.isDemanded = false
        return (true, nowMs)
      }
      guard state.ring.isFetchDue(nowMs: nowMs) else { return (false, state.ring.nextFetchAtMs) }
      state.ring.beginFetch(nowMs: nowMs, forUnknown: false)
      return (true, nowMs)
    }
  }

  func setDiscovery(_ document: DiscoveryDocument) { state.withLock { $0.discovery = document } }

  /// Takes what a fetch brought, and wakes who waits for it.
  ///
  /// - Returns: whether the keys are other ones now.
  func endFetch(with keys: JWKSet, freshMs: Int64? = nil) -> Bool {
    let nowMs = Self.nowMs()
    let (waiters, hasChanged) = state.withLock { state -> ([RemoteWaiter], Bool) in
      let hasChanged = state.ring.usableKeys(nowMs: nowMs).map { !$0.hasSameKeys(as: keys) } ?? true
      state.ring.endFetch(with: keys, freshMs: freshMs, nowMs: nowMs)
      defer { state.waiters = [] }
      return (state.waiters, hasChanged)
    }
    if hasChanged { generations.add(1, ordering: .acquiringAndReleasing) }
    for waiter in waiters { waiter.signal() }
    return hasChanged
  }

  /// Notes that a fetch brought nothing, and wakes who waits for it.
  ///
  /// - Parameter text: for the log and for readiness.
  func endFetchFailed(_ text: String) {
    let nowMs = Self.nowMs()
    let (waiters, hasKeys) = state.withLock { state -> ([RemoteWaiter], Bool) in
      state.ring.endFetchFailed(nowMs: nowMs)
      state.failure = text
      defer { state.waiters = [] }
      return (state.waiters, state.ring.hasKeys(nowMs: nowMs))
    }
    // Keys that became too old to be believed take with them what workers verified by them.
    if !hasKeys { generations.add(1, ordering: .acquiringAndReleasing) }
    for waiter in waiters { waiter.signal() }
  }

  private static func nowMs() -> Int64 { Clock.monotonicNs() / 1_000_000 }
}

extension JWKSet {
  /// Whether both hold the same keys, in whatever order.
  fileprivate func hasSameKeys(as other: JWKSet) -> Bool {
    keys.count == other.keys.count && keys.allSatisfy { other.contains($0.thumbprint) }
  }
}
