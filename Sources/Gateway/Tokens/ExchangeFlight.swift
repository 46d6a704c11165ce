import Crypto
import OAuth
import Reactor
import Synchronization
import Wire

/// One exchange under way: the call belongs to none of the callers who wait for it, so that one
/// caller's going changes nothing for another.
final class ExchangeFlight: Sendable {
  enum Outcome: Sendable {
    /// With what is kept of it, where it may be used more than once.
    case issued(IssuedToken, KeptToken?)
    case refused(ExchangeRefusal)
  }

  private struct State {
    var outcome: Outcome?
    var waiters: [RemoteWaiter] = []
  }

  /// Of the caller's token and the target.
  let key: SHA256Digest
  let target: SharedTarget
  /// nil where the token is the gateway's own.
  let subject: VerifiedToken?
  /// When the caller's token ends, and what was had for it with it; never where there is none.
  var subjectEndsAtMs: Int64 { subject?.expiresAtMs ?? NumericDate.latestMs }
  /// The caller's token, empty where there is none: it goes to the token service and nowhere else.
  let subjectToken: [UInt8]
  /// The token that is refreshed, where this is no caller's first.
  let replacing: KeptToken?
  private let state = Mutex(State())

  init(
    key: SHA256Digest, target: SharedTarget, subject: VerifiedToken?, subjectToken: [UInt8],
    replacing: KeptToken? = nil
  ) {
    self.replacing = replacing
    self.key = key
    self.target = target
    self.subject = subject
    self.subjectToken = subjectToken
  }

  /// What came of it; until then the waiter is woken when something has.
  func outcome(orWake waiter: RemoteWaiter) -> Outcome? {
    state.withLock { state in
      if state.outcome == nil { state.waiters.append(waiter) }
      return state.outcome
    }
  }

  func end(_ outcome: Outcome) {
    let waiters = state.withLock { state in
      state.outcome = outcome
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.signal() }
  }
}

/// The calls of one exchange that are under way in the whole process, each once.
final class ExchangeFlights: Sendable {
  private let flights = Mutex<[SHA256Digest: ExchangeFlight]>([:])

  /// The flight of that key; a new one if there was none, which the caller then must perform.
  func join(
    _ key: SHA256Digest, orBegin begin: () -> ExchangeFlight
  ) -> (flight: ExchangeFlight, isNew: Bool) {
    flights.withLock { flights in
      if let flight = flights[key] { return (flight, false) }
      let flight = begin()
      flights[key] = flight
      return (flight, true)
    }
  }

  /// Ends a flight; what came of it is in the cache by now, so nobody begins another in between.
  func end(_ flight: ExchangeFlight, _ outcome: ExchangeFlight.Outcome) {
    flights.withLock { $0[flight.key] = nil }
    flight.end(outcome)
  }
}

/// One exchange of the configuration with what all workers share of it.
final class SharedExchange: Sendable {
  let settings: ExchangeSettings
  let context: TLSClientContext?
  /// What the gateway shows itself by, where its method is `private_key_jwt`.
  let assertion: ClientAssertion?
  let cache: ExchangeCache
  let flights: ExchangeFlights
  let gate: ExchangeGate
  /// Calls under way at once.
  let calls: Places
  let tallies: ExchangeTallies
  /// Tells this exchange from all others that this process has had: connections made for it are
  /// used for no other, nor for what has its name after a reload.
  let serial = SharedExchange.serials.add(1, ordering: .relaxed).newValue
  /// Names what the gateway shows itself by: the same after a reload that has changed nothing of
  /// it.
  let credentials: UInt64
  private let filesDigest: [UInt8]
  /// Whose metadata name the token endpoint, where the routes file doesn't.
  private let issuer: IssuerKeys?

  private static let serials = Atomic<UInt64>(0)

  /// - Parameters:
  ///   - issuer: the one that is the token service, if it is one.
  ///   - former: the exchange of that name before a reload. Its tokens stay: each is kept under a
  ///     digest of all that it depends on. With other credentials nobody waits for what was asked
  ///     by the former, and what they were refused says nothing any more.
  init(
    _ settings: ExchangeSettings, _ material: TLSMaterial.Client,
    assertion: ClientAssertion? = nil, issuer: IssuerKeys?, after former: SharedExchange? = nil
  ) {
    self.settings = settings
    self.assertion = assertion
    self.issuer = issuer
    context = material.context
    filesDigest = material.digest
    let same = former.flatMap { former in
      former.settings.client.isSame(as: settings.client)
        && former.filesDigest == material.digest ? former : nil
    }
    credentials = same?.credentials ?? serial
    let kept = former.flatMap { $0.settings.cache == settings.cache ? $0.cache : nil }
    cache = kept ?? ExchangeCache(settings.cache)
    flights = same?.flights ?? ExchangeFlights()
    // What another service did says nothing of this one.
    let gate = same.flatMap { same in
      same.settings.breaker == settings.breaker
        && same.settings.tokenService == settings.tokenService ? same.gate : nil
    }
    self.gate = gate ?? ExchangeGate(settings.breaker, after: former?.gate)
    let calls = former.flatMap {
      $0.settings.concurrency == settings.concurrency ? $0.calls : nil
    }
    self.calls =
      calls
      ?? Places(
        settings.concurrency, newestFirstAt: settings.concurrency * Limits.exchangesInOrder)
    tallies = former?.tallies ?? ExchangeTallies()
  }

  /// Has as many calls under way at once, from now on, as the token service is to have.
  func limitCalls(nowMs: Int64) {
    calls.limit(to: gate.callsMax(of: settings.concurrency, nowMs: nowMs))
  }

  /// Where tokens are exchanged; nil while discovery has not said so.
  var endpoint: HTTPURL? {
    switch settings.tokenService {
    case .endpoint(let url): return url
    case .issuer:
      let document = issuer?.discovery
      // RFC 8705 §5: certificates are asked for elsewhere, where the document says so.
      if case .certificate = settings.client.method,
        let alias = document?.certificateTokenEndpoint
      {
        return alias
      }
      return document?.tokenEndpoint
    }
  }

  /// The token service as the digest of a target names it.
  var tokenService: UTF8Text {
    switch settings.tokenService {
    case .endpoint(let url): UTF8Text("\(url)")
    case .issuer(_, let name): issuer?.rules.settings.issuer ?? UTF8Text(name)
    }
  }
}

/// One target of exchanged tokens: an exchange with audiences, resources and scopes.
final class SharedTarget: Sendable {
  let exchange: SharedExchange
  let digest: SHA256Digest
  let request: TokenExchange
  let judge: ExchangeJudge

  init(_ exchange: SharedExchange, target: ExchangeTarget, digester: Digester) {
    self.exchange = exchange
    digest = TargetDigest.make(
      exchange.settings, tokenService: exchange.tokenService, target: target, digester: digester)
    request = TokenExchange(exchange.settings, target: target)
    judge = ExchangeJudge(exchange.settings, target: target)
  }
}
