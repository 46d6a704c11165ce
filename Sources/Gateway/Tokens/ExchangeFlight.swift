import Crypto
import OAuth
import Reactor
import Synchronization
import Wire

/// One exchange under way: the call belongs to none of the callers who wait for it, so that one
/// caller's going changes nothing for another.
final class ExchangeFlight: Sendable {
  enum Outcome: Sendable {
    case issued(IssuedToken)
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
  /// The caller's token, empty where there is none: it goes to the token service and nowhere else.
  let subjectToken: [UInt8]
  private let state = Mutex(State())

  init(
    key: SHA256Digest, target: SharedTarget, subject: VerifiedToken?, subjectToken: [UInt8]
  ) {
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
  let flights = ExchangeFlights()
  let breaker: Breaker
  /// Calls under way at once.
  let calls: Places

  init(
    _ settings: ExchangeSettings, context: TLSClientContext?, assertion: ClientAssertion? = nil
  ) {
    self.settings = settings
    self.context = context
    self.assertion = assertion
    cache = ExchangeCache(settings.cache)
    breaker = Breaker(settings.breaker)
    calls = Places(settings.concurrency)
  }
}

/// One target of exchanged tokens: an exchange with audiences, resources and scopes.
final class SharedTarget: Sendable {
  let exchange: SharedExchange
  let exchangeIndex: Int
  let digest: SHA256Digest
  let request: TokenExchange
  let judge: ExchangeJudge

  init(
    _ exchange: SharedExchange, index: Int, target: ExchangeTarget, tokenService: UTF8Text,
    digester: Digester
  ) {
    self.exchange = exchange
    exchangeIndex = index
    digest = TargetDigest.make(
      exchange.settings, tokenService: tokenService, target: target, digester: digester)
    request = TokenExchange(exchange.settings, target: target)
    judge = ExchangeJudge(exchange.settings, target: target)
  }
}

/// Stops calling a token service that fails: after so many failures in a row none is made for the
/// cooldown, then one is tried, and its success closes the breaker again.
final class Breaker: Sendable {
  private struct State {
    var failures = 0
    var openUntilMs = Int64.min
    var isProbing = false
  }

  private let settings: ExchangeSettings.Breaker
  private let state = Mutex(State())

  init(_ settings: ExchangeSettings.Breaker) { self.settings = settings }

  /// Whether a call may be made now: nil, or milliseconds until one may.
  func blockedForMs(nowMs: Int64) -> Int64? {
    state.withLock { state in
      guard state.openUntilMs != .min else { return nil }
      if nowMs < state.openUntilMs { return state.openUntilMs - nowMs }
      if state.isProbing { return settings.cooldownMs }
      state.isProbing = true
      return nil
    }
  }

  func noteFailure(nowMs: Int64) {
    state.withLock { state in
      state.failures += 1
      state.isProbing = false
      if settings.failures > 0, state.failures >= settings.failures {
        state.openUntilMs = nowMs + settings.cooldownMs
      }
    }
  }

  /// Any answer that is no failure of the service.
  func noteSuccess() { state.withLock { $0 = State() } }
}
