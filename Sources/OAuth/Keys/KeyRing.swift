package import JOSE
package import Wire

/// One issuer's keys, and when to fetch them anew. It fetches nothing itself: it says when, and is
/// told what came of it. Times are milliseconds of any clock that does not go back.
///
///     never had ──fetched──▶ had ──24 h without a fetch that worked──▶ never had
///
/// A fetch that fails, or that brings a document without one usable key, changes no key: what a
/// broken or taken-over source says never replaces what a good one said.
package struct KeyRing: Sendable {
  /// Fetches for unknown `kid`s are this far apart, or anybody could have the gateway ask its
  /// issuer once a request.
  package static let unknownPauseMs: Int64 = 30_000
  /// A source that says its keys are fresh for less, or not at all, is asked this often.
  package static let freshMsMin: Int64 = 30_000
  /// Keys are kept this long while their source is down.
  package static let keepMs: Int64 = 24 * 3_600_000
  /// Pauses while there are no keys at all, doubling from the first to the second.
  package static let retryMinMs: Int64 = 1_000
  package static let retryMaxMs: Int64 = 30_000

  private var keys: JWKSet?
  /// A fetch is under way: there is never more than one.
  package private(set) var isFetching = false

  private var refreshMs: Int64
  private var takenAtMs: Int64 = 0
  private var nextFetchMs = Int64.min
  private var retryPauseMs = Self.retryMinMs
  /// When the last fetch for an unknown `kid` began, and whether it worked; nil before the first.
  private var unknown: (beganAtMs: Int64, worked: Bool)?
  /// Names that the present keys were had for in vain. The next good fetch may bring them; until
  /// one may begin for an unknown name they are not asked for again.
  private var missed: Set<UTF8Text> = []

  /// So many names are remembered, of at most so many bytes: a forged one costs no wait while it
  /// is.
  private static let missedMax = 1_024
  private static let missedBytesMax = 256

  /// `refreshMs`: between two fetches while all is well.
  package init(refreshMs: Int64) { self.refreshMs = refreshMs }

  /// A ring that goes on with another's keys, under another refresh time.
  ///
  /// - Parameter isDue: whether the source is to be asked at once.
  package init(after former: KeyRing, refreshMs: Int64, isDue: Bool, nowMs: Int64) {
    self = former
    self.refreshMs = refreshMs
    isFetching = false
    if isDue || former.isFetching {
      nextFetchMs = .min
    } else {
      nextFetchMs = min(nextFetchMs, later(nowMs, refreshMs))
    }
  }

  /// A ring of keys from a file: `replace` is how they change, and nothing is ever due.
  package init(keys: JWKSet) {
    self.init(refreshMs: .max)
    self.keys = keys
    takenAtMs = .max
    nextFetchMs = .max
  }

  package enum Answer: Sendable {
    case found
    /// Fetch (or wait for the fetch under way), then ask again.
    case fetch
    /// `key_unknown`: the source was asked for it a moment ago, and does not have it.
    case unknown
    /// `keys_unavailable`: there are no keys, or the source could not be asked about this one.
    case unavailable
  }

  /// The keys, unless none was ever had or they are too old to be believed.
  package func usableKeys(nowMs: Int64) -> JWKSet? {
    takenAtMs == .max || nowMs - takenAtMs < Self.keepMs ? keys : nil
  }

  /// How long ago `usableKeys` were had; nil where there are none.
  package func keysAgeMs(nowMs: Int64) -> Int64? {
    guard hasKeys(nowMs: nowMs) else { return nil }
    return takenAtMs == .max ? 0 : max(0, nowMs - takenAtMs)
  }

  /// What to do about a token. `isKnown` is false when it was checked against `usableKeys` and the
  /// outcome was `TokenFault.keyUnknown`.
  package mutating func answer(
    isKnown: Bool, keyID: UTF8Text? = nil, nowMs: Int64
  ) -> Answer {
    guard hasKeys(nowMs: nowMs) else {
      return isFetching || isFetchDue(nowMs: nowMs) ? .fetch : .unavailable
    }
    if isKnown { return .found }
    if let keyID, missed.contains(keyID), !mayFetchForUnknown(nowMs: nowMs) { return .unknown }
    // Keys from a file have no source that could be asked.
    if nextFetchMs == .max { return .unknown }
    if isFetching || mayFetchForUnknown(nowMs: nowMs) { return .fetch }
    if unknown?.worked == false { return .unavailable }
    // The source had its say since it was last asked for a name, and this one was not in it.
    if let keyID, keyID.bytes.count <= Self.missedBytesMax, missed.count < Self.missedMax {
      missed.insert(keyID)
    }
    return .unknown
  }

  /// Whether `usableKeys` has any.
  package func hasKeys(nowMs: Int64) -> Bool { usableKeys(nowMs: nowMs) != nil }

  /// Whether the timer should begin a fetch now.
  package func isFetchDue(nowMs: Int64) -> Bool { !isFetching && nowMs >= nextFetchMs }

  /// When the timer should look again; `.max` is never.
  package var nextFetchAtMs: Int64 { nextFetchMs }

  /// Whether a fetch for an unknown `kid` may begin.
  package func mayFetchForUnknown(nowMs: Int64) -> Bool {
    guard let unknown else { return true }
    return nowMs - unknown.beganAtMs >= Self.unknownPauseMs
  }

  /// A fetch begins: call it in the same step as the question whether one may.
  package mutating func beginFetch(nowMs: Int64, forUnknown: Bool) {
    isFetching = true
    if forUnknown, hasKeys(nowMs: nowMs) { unknown = (nowMs, false) }
  }

  /// The fetch brought keys, of which at least one is usable.
  ///
  /// - Parameter freshMs: for how long they are fresh, where their source says so. It may have them
  ///   fetched sooner than every `refreshMs`, down to `freshMsMin`, and never later: a key that was
  ///   taken back must not stay good for longer than the operator wants.
  package mutating func endFetch(with keys: JWKSet, freshMs: Int64? = nil, nowMs: Int64) {
    replace(with: keys)
    missed.removeAll(keepingCapacity: true)
    takenAtMs = nowMs
    retryPauseMs = Self.retryMinMs
    let pauseMs = freshMs.map { max($0, Self.freshMsMin) } ?? refreshMs
    nextFetchMs = later(nowMs, min(refreshMs, pauseMs))
    // Any fetch that worked answers for the keys it did not bring.
    if let asked = unknown { unknown = (asked.beganAtMs, true) }
    isFetching = false
  }

  /// The fetch failed: unreachable, refused, or a document without a usable key.
  package mutating func endFetchFailed(nowMs: Int64) {
    isFetching = false
    if hasKeys(nowMs: nowMs) {
      nextFetchMs = later(nowMs, min(refreshMs, Self.retryMaxMs))
    } else {
      nextFetchMs = later(nowMs, retryPauseMs)
      retryPauseMs = min(retryPauseMs * 2, Self.retryMaxMs)
    }
  }

  /// Other keys take the place of these.
  package mutating func replace(with keys: JWKSet) { self.keys = keys }

  private func later(_ nowMs: Int64, _ pauseMs: Int64) -> Int64 {
    let sum = nowMs.addingReportingOverflow(pauseMs)
    return sum.overflow ? .max : sum.partialValue
  }
}
