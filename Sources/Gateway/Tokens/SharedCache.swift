import Crypto
import HTTP
import OAuth
import Reactor
import Synchronization
import Wire

/// What all workers share of `sharedCache`: its keys, its numbers, and what the operator is told.
final class SharedCache: Sendable {
  let settings: SharedCacheSettings
  let context: TLSClientContext?
  let seal: TokenSeal
  let numbers: SharedCacheNumbers
  /// Of the files that `context` was made of.
  private let filesDigest: [UInt8]
  private let report: Report
  private let telling = Mutex(Telling())

  private struct Telling {
    var connections = 0
    /// Why the last connection was lost, since all stood.
    var lost: RedisFault?
    /// Whether it is news that all stand: at first, and after it was said that one doesn't.
    var isNewsToStand = true
    /// When each trouble was last told of.
    var told: [String: Int64] = [:]

    /// The same trouble is told of at most so often.
    private static let everyMs: Int64 = 30_000
    /// Of a stranger's error codes, so many are kept apart.
    private static let kindsMax = 32

    mutating func mayTell(_ key: String, nowMs: Int64) -> Bool {
      let key = told[key] == nil && told.count >= Self.kindsMax ? "others" : key
      if let last = told[key], nowMs - last < Self.everyMs { return false }
      told[key] = nowMs
      return true
    }
  }

  /// Nil without keys.
  ///
  /// - Parameter former: the one before a reload that has changed its settings: what it counted is
  ///   not set back.
  init?(
    _ settings: SharedCacheSettings, _ material: TLSMaterial.Client?,
    after former: SharedCache? = nil, report: @escaping Report
  ) throws(CryptoFault) {
    self.settings = settings
    context = material?.context
    filesDigest = material?.digest ?? []
    numbers = former?.numbers ?? SharedCacheNumbers()
    self.report = report
    var keys: [SharedKey] = []
    for key in settings.keys { keys.append(try SharedKey(key.revealed)) }
    guard let seal = TokenSeal(keys: keys) else { return nil }
    self.seal = seal
  }

  var metrics: SharedCacheMetrics { numbers.metrics }

  /// Whether a reload has changed nothing of it: then it goes on, and so do the connections.
  func isSame(as settings: SharedCacheSettings, _ material: TLSMaterial.Client?) -> Bool {
    self.settings.isSame(as: settings) && filesDigest == material?.digest ?? []
  }

  /// A worker's connection stands; when all do, that is said.
  func noteConnected(workers: Int) {
    numbers.connections.count()
    let isNews = telling.withLock { telling in
      telling.connections += 1
      guard telling.connections >= workers else { return false }
      telling.lost = nil
      defer { telling.isNewsToStand = false }
      return telling.isNewsToStand
    }
    if isNews { report("sharedCache: connected to \(settings.url)") }
  }

  /// A worker's connection has ended because nobody needs it any more.
  func noteEnded() {
    numbers.connections.subtract(1, ordering: .relaxed)
    telling.withLock { $0.connections -= 1 }
  }

  /// A worker's connection is gone, or did not come about; said once for all of them, and anew when
  /// the reason is another.
  func noteLost(_ fault: RedisFault, wasConnected: Bool) {
    if wasConnected { numbers.connections.subtract(1, ordering: .relaxed) }
    let nowMs = Clock.monotonicNs() / 1_000_000
    let isNews = telling.withLock { telling in
      if wasConnected { telling.connections -= 1 }
      guard telling.lost != fault else { return false }
      telling.lost = fault
      guard telling.mayTell("\(fault)", nowMs: nowMs) else { return false }
      telling.isNewsToStand = true
      return true
    }
    guard isNews else { return }
    report(
      .warning(
        "sharedCache: \(settings.url) \(fault.sentence); tokens are exchanged without it until it "
          + "is back"))
  }

  /// An error in place of a reply: the token is exchanged as if there were none.
  func note(_ code: RedisErrorCode) {
    numbers.errors.count()
    tell("\(settings.url) answers \(code.text): \(code.advice)", about: code.text)
  }

  /// An entry that does not open.
  func noteUnreadable() {
    numbers.errors.count()
    tell(
      "an entry at \(settings.url) does not open; was it sealed with a key that is not among "
        + "sharedCache.keys, or changed?", about: "unreadable")
  }

  /// A reply of a kind that none of the commands has.
  func noteNonsense() {
    numbers.errors.count()
    tell("\(settings.url) answers what is no answer: is it Redis?", about: "nonsense")
  }

  private func tell(_ text: String, about key: String) {
    let nowMs = Clock.monotonicNs() / 1_000_000
    if telling.withLock({ $0.mayTell(key, nowMs: nowMs) }) {
      report(.warning("sharedCache: \(text)"))
    }
  }
}

extension RedisFault {
  /// For the log; nothing that the server said.
  fileprivate var sentence: String {
    switch self {
    case .unconnected(let text): text
    case .ended: "hung up"
    case .late: "did not answer in time"
    case .nonsense: "answers what is no answer: is it Redis?"
    case .refused(let code): "answers \(code.text): \(code.advice)"
    }
  }
}

extension RedisErrorCode {
  /// What to do about it.
  fileprivate var advice: String {
    switch text {
    case "LOADING": "it is still reading its data, and passed over until it has"
    case "READONLY": "a replica takes no entries; sharedCache.url must name the primary"
    case "OOM": "it has no memory left; raise its maxmemory, or set maxmemory-policy allkeys-lru"
    case "MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN", "TRYAGAIN":
      "a Redis Cluster is not supported; sharedCache.url must name a server on its own"
    case "NOAUTH": "it wants a password: sharedCache.password"
    case "WRONGPASS": "it refuses sharedCache.username and password"
    case "NOPERM":
      "the user may not do what is needed: +ping +select +eval +get +set +del +exists +pexpire "
        + "+time "
        + "~tollgate:*"
    case "WRONGTYPE": "somebody else uses names that begin with \"tollgate:\""
    case "MISCONF", "NOREPLICAS": "it takes no entries in this state; see its own log"
    case "MASTERDOWN": "a replica without its primary; sharedCache.url must name the primary"
    case "BUSY": "a script of somebody else holds it up"
    default: "see its own log"
    }
  }
}
