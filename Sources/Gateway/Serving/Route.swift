import HTTP
import OAuth
import Reactor
import Wire

/// One route as one worker uses it: bytes ready to be compared and written, and counters of its
/// own. Each worker has its own copies, because counting references on shared objects costs a
/// fight for the cache line.
final class Route {
  let settings: RouteSettings
  /// JSON text, quotes included, for the access log.
  let nameJSON: [UInt8]
  let access: Access
  /// The gateway's own token, for systems' requests or all of a public route's.
  let ownToken: OwnToken?
  let action: Action
  let bodyBytesMax: UInt64
  let bodyTimeoutMs: Int64
  let listeners: [Bool]?
  let methods: Set<[UInt8]>?
  let headers: [(name: FieldNameKey, value: [UInt8])]
  let port: UInt16?
  /// What this worker counts of its requests.
  let tally: RouteTally

  enum Access {
    case open
    case checked(Check)
  }

  /// What a protected route asks of a caller.
  struct Check {
    /// By the issuer's index: whether its tokens count here.
    let issuers: [Bool]
    let scopes: [UTF8Text]
    let anyScopes: [UTF8Text]
    /// nil where no claim is looked at.
    let claims: ClaimRules?
    /// nil where the token is in the header and nowhere else.
    let sources: Sources?
    let realm: String?
    let admission: RouteAccess.Admission
    let onward: Onward

    /// Whether a token is exchanged here: it then ends without any skew.
    var isExchanging: Bool {
      if case .exchanged = onward { return true }
      return false
    }
  }

  /// Where a route looks for tokens.
  struct Sources {
    let places: TokenPlaces
    let list: [TokenSource]
  }

  /// A token of the gateway's own, and in which field the caller's client id goes on.
  struct OwnToken {
    /// By the index of the worker's targets.
    let target: Int
    let callerHeader: [UInt8]?
  }

  enum Onward {
    /// By the index of the worker's targets.
    case exchanged(target: Int)
    case stripped
    case passedThrough
  }

  enum Action {
    case forward(Forward)
    case respond(FixedResponse)
  }

  final class Forward {
    let upstream: Upstream
    let hostPolicy: ForwardSettings.HostPolicy
    let hostLiteral: [UInt8]
    let timeoutMs: Int64?
    let idleTimeoutMs: Int64
    let retries: Int
    let via: Bool
    /// The token places of the whole file, less which requests go on.
    let places: TokenPlaces?
    /// Whether a token stays in the place in which the caller sent it.
    let keepsToken: Bool
    /// The caller's fields that don't go on as they came.
    let stopped: FieldNameSet

    /// Fields that no caller may fill, on whatever route.
    let callerHeaders: [FieldNameKey]

    init(
      _ settings: ForwardSettings, upstream: Upstream, places: TokenPlaces? = nil,
      keepsToken: Bool = false, callerHeaders: [FieldNameKey] = []
    ) {
      self.places = places
      self.keepsToken = keepsToken
      stopped = places.map { RequestWriter.dropped.union($0.fields) } ?? RequestWriter.dropped
      self.upstream = upstream
      self.callerHeaders = callerHeaders
      hostPolicy = settings.host
      hostLiteral = if case .literal(let host) = settings.host { Array(host.utf8) } else { [] }
      timeoutMs = settings.timeoutMs
      idleTimeoutMs = settings.idleTimeoutMs
      retries = settings.retries
      via = settings.via
    }
  }

  init(
    _ settings: RouteSettings, access: Access, ownToken: OwnToken? = nil, action: Action,
    listenerCount: Int, tally: RouteTally
  ) {
    self.tally = tally
    self.settings = settings
    self.access = access
    self.ownToken = ownToken
    self.action = action
    var json: [UInt8] = []
    JSONWriter.appendString(settings.name, to: &json)
    nameJSON = json
    bodyBytesMax = UInt64(max(0, settings.limits.bodyBytesMax))
    bodyTimeoutMs = settings.limits.bodyTimeoutMs
    listeners = settings.match.listeners.map { chosen in
      (0..<listenerCount).map { chosen.contains($0) }
    }
    methods = settings.match.methods.map { Set($0.map(\.bytes)) }
    headers = settings.match.headers.compactMap { condition in
      FieldNameKey(condition.name.bytes).map { ($0, condition.value.bytes) }
    }
    port = settings.match.host.port
  }

  /// For `Allow`: its methods, or the usual ones where it takes any.
  var allowed: [UInt8] {
    let names = methods.map { $0.map { String(decoding: $0, as: UTF8.self) } }
    return Array(
      (names ?? ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]).sorted()
        .joined(separator: ", ").utf8)
  }

  /// The realm of this route's challenges, where it has one of its own.
  var realm: String? {
    guard case .checked(let check) = access else { return nil }
    return check.realm
  }

  /// How much more than another route of the same pattern this one asks for: who asks for more is
  /// tried first.
  var precedence: (Int, Int, Int) {
    (listeners == nil ? 0 : 1, methods == nil ? 0 : 1, headers.count)
  }
}

/// A group of equal servers, as one worker uses it.
final class Upstream {
  struct Server {
    let pool: UpstreamPool
    /// What `Host` says to it.
    let authority: [UInt8]
    /// For the access log, as JSON text with its quotes.
    let nameJSON: [UInt8]
  }

  let shared: SharedUpstream
  let servers: [Server]
  /// How many resends are left: a fifth of the requests sent, so that a failing server is not
  /// asked much more than a healthy one, and a few a second where there is little traffic.
  private var retryBudget: Double = Upstream.retryFloor
  private var floorAtMs = Int64.min
  private var next: Int

  private static let retryFloor = 10.0
  private static let retryCeiling = 100.0

  /// - Parameter first: where to begin the round: different for each worker.
  init(_ shared: SharedUpstream, servers: [Server], first: Int) {
    self.shared = shared
    self.servers = servers
    next = servers.isEmpty ? 0 : first % servers.count
  }

  /// The server whose turn it is, other than those tried.
  func pick(except tried: UInt64) -> Int? {
    for _ in servers.indices {
      let index = next
      next = next + 1 == servers.count ? 0 : next + 1
      if index >= 64 || tried & (1 << UInt64(index)) == 0 { return index }
    }
    return nil
  }

  /// Counts a request, which earns a fifth of a resend.
  func noteRequest() {
    if retryBudget < Self.retryCeiling { retryBudget += 0.2 }
  }

  /// Takes a resend out of the budget.
  func mayRetry(nowMs: Int64) -> Bool {
    if nowMs >= floorAtMs {
      retryBudget = max(retryBudget, Self.retryFloor)
      floorAtMs = nowMs + 1_000
    }
    guard retryBudget >= 1 else { return false }
    retryBudget -= 1
    return true
  }
}
