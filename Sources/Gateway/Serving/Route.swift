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
  let ignoresCase: Bool
  /// nil where pages of other origins are not thought of, or the service answers for itself.
  let cors: CORS?
  let rates: RouteRates?
  /// Trailer fields of requests that don't go on; nil where they are the same on every route.
  let withheldTrailers: [FieldNameKey]?
  /// What preflights for this route meet in its place: they bear no token.
  let preflight: Route?
  /// What this worker counts of its requests.
  let tally: RouteTally

  enum Access {
    case open
    case checked(Check)
  }

  /// What a protected route asks of a caller; an object, because each request takes it along.
  final class Check {
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

    init(
      issuers: [Bool], scopes: [UTF8Text], anyScopes: [UTF8Text], claims: ClaimRules?,
      sources: Sources?, realm: String?, admission: RouteAccess.Admission, onward: Onward
    ) {
      self.issuers = issuers
      self.scopes = scopes
      self.anyScopes = anyScopes
      self.claims = claims
      self.sources = sources
      self.realm = realm
      self.admission = admission
      self.onward = onward
    }

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
    case redirect(Redirect)
    /// The gateway's word on what pages of other origins may ask for.
    case preflight
  }

  /// Another address for the caller.
  struct Redirect {
    let to: FieldTemplate
    /// How many segments stand before those that follow the address; nil: none follow.
    let restAfter: Int?
    let status: Int
    /// The token places of the whole file: a query goes nowhere with what stands in them.
    let places: TokenPlaces?
  }

  final class Forward {
    let upstream: Upstream
    let hostPolicy: ForwardSettings.HostPolicy
    let hostLiteral: [UInt8]
    let timeoutMs: Int64?
    let idleTimeoutMs: Int64
    let retries: Int
    let via: Bool
    /// Protocols that may take over the connection, in lower case.
    let upgrades: [[UInt8]]
    /// The token places of the whole file, less which requests go on.
    let places: TokenPlaces?
    /// Whether a token stays in the place in which the caller sent it.
    let keepsToken: Bool
    /// The caller's fields that don't go on as they came.
    let stopped: FieldNameSet
    /// The same by their names, in trailers too: those that no caller may fill on whatever route,
    /// and those that this one removes or sets.
    let withheld: [FieldNameKey]
    /// nil where no field is removed or set.
    let fields: FieldRewrite?
    /// nil where the path goes on as it is.
    let paths: PathMapping?
    /// nil where answers go on as they are.
    let answerChanges: AnswerChanges?
    /// Whether servers are told of the trace by the gateway: a route that removes or sets the field
    /// has the last word.
    let tellsTrace: Bool
    /// The same of `tracestate`.
    let tellsTraceState: Bool

    init(
      _ settings: ForwardSettings, upstream: Upstream, places: TokenPlaces? = nil,
      keepsToken: Bool = false, callerHeaders: [FieldNameKey] = [], traces: Bool = false,
      fields: FieldRewrite? = nil,
      answerChanges: AnswerChanges? = nil
    ) {
      self.fields = fields
      self.answerChanges = answerChanges
      paths = PathMapping(settings.path)
      withheld = callerHeaders + (fields?.dropped ?? [])
      self.places = places
      self.keepsToken = keepsToken
      tellsTrace = traces && fields?.dropped.contains { $0.known == .traceparent } != true
      tellsTraceState = fields?.dropped.contains { $0.known == .tracestate } != true
      var stopped = places.map { RequestWriter.dropped.union($0.fields) } ?? RequestWriter.dropped
      if tellsTrace { stopped = stopped.union(TraceFields.names) }
      self.stopped = stopped
      self.upstream = upstream
      hostPolicy = settings.host
      hostLiteral = if case .literal(let host) = settings.host { Array(host.utf8) } else { [] }
      timeoutMs = settings.timeoutMs
      idleTimeoutMs = settings.idleTimeoutMs
      retries = settings.retries
      via = settings.via
      upgrades = settings.upgrades.map(\.bytes)
    }
  }

  init(
    _ settings: RouteSettings, access: Access, ownToken: OwnToken? = nil, action: Action,
    listenerCount: Int, tally: RouteTally, cors: CORS? = nil, rates: RouteRates? = nil,
    preflight: Route? = nil
  ) {
    self.tally = tally
    self.cors = cors
    self.rates = rates
    if case .forward(let forward) = action, forward.fields != nil {
      withheldTrailers = forward.withheld
    } else {
      withheldTrailers = nil
    }
    self.preflight = preflight
    ignoresCase = settings.pathRules.ignoreCase
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
