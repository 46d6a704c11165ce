import Crypto
import HTTP
import OAuth
import Reactor
import Wire

/// Obtains tokens for services: from what this worker knows, from what all workers know, or from
/// the token service (RFC 8693).
///
/// Concurrent misses for one key wait for one call, which belongs to none of them.
final class TokenExchanges {
  private let shared: SharedTokens
  private let worker: Worker
  private let clients: HTTPClients
  private let digester: Digester
  private let loop: EventLoop
  private var targets: [(shared: SharedTarget, audienceJSON: [UInt8])] = []
  private var indexes: [TargetPlace: Int] = [:]
  private var ownTokens = OwnTokens()

  private struct TargetPlace: Hashable {
    let exchange: Int
    let digest: SHA256Digest
  }

  init(
    _ shared: SharedTokens, worker: Worker, clients: HTTPClients, digester: Digester,
    loop: EventLoop
  ) {
    self.shared = shared
    self.worker = worker
    self.clients = clients
    self.digester = digester
    self.loop = loop
  }

  /// The index of a target; routes with the same one share what is issued for it.
  func target(exchange: Int, _ target: ExchangeTarget) -> Int {
    let made = shared.target(exchange: exchange, target, digester)
    // Two entries of the file may ask the same of the same service, with another secret or timeout.
    let place = TargetPlace(exchange: exchange, digest: made.digest)
    if let known = indexes[place] { return known }
    var json: [UInt8] = []
    let audiences = target.audiences.isEmpty ? target.resources : target.audiences
    if let first = audiences.first { JSONWriter.appendString(first, to: &json) }
    targets.append((made, json))
    indexes[place] = targets.count - 1
    return targets.count - 1
  }

  /// A token for `target` that stands for `caller`.
  func token(
    for caller: Caller, target index: Int, _ request: Request
  ) async throws(Refusal) -> [UInt8] {
    request.record.audienceJSON = targets[index].audienceJSON
    let nowMs = Clock.wallMs()
    if let held = caller.token.issuedToken(for: index, atMs: nowMs) {
      request.record.exchange = .hit
      return held
    }
    let target = targets[index].shared
    let key = ExchangeCache.key(
      token: caller.token.digest, target: target.digest, digester: digester)
    switch target.exchange.cache.find(key, nowMs: nowMs) {
    case .issued(let issued):
      request.record.exchange = .hit
      return keep(issued, for: caller, index, nowMs: nowMs)
    case .refused(let refusal):
      request.record.exchange = .denied
      throw Refusal(refusal)
    case nil: break
    }
    let beganNs = Clock.monotonicNs()
    defer { request.record.exchangeNs = Clock.monotonicNs() - beganNs }
    let (flight, isNew) = target.exchange.flights.join(key) {
      ExchangeFlight(
        key: key, target: target, subject: caller.token.verified,
        subjectToken: request.bytes(caller.tokenRange))
    }
    request.record.exchange = isNew ? .miss : .joined
    if isNew {
      let worker = worker
      loop.spawn { await worker.perform(flight) }
    }
    switch try await outcome(of: flight, request) {
    case .issued(let issued): return keep(issued, for: caller, index, nowMs: Clock.wallMs())
    case .refused(let refusal):
      request.record.exchange = refusal.isRemembered ? .denied : .failed
      throw Refusal(refusal)
    }
  }

  /// A token for `target` that stands for the gateway itself: one for all callers.
  func ownToken(
    target index: Int, _ request: Request
  ) async throws(Refusal) -> [UInt8] {
    request.record.audienceJSON = targets[index].audienceJSON
    let nowMs = Clock.wallMs()
    request.record.exchange = .clientCredentials
    if let held = ownTokens.token(for: index, atMs: nowMs) { return held }
    let target = targets[index].shared
    let key = ExchangeCache.ownKey(target: target.digest, digester: digester)
    switch target.exchange.cache.find(key, nowMs: nowMs) {
    case .issued(let issued): return keepOwn(issued, index, nowMs: nowMs)
    case .refused(let refusal):
      request.record.exchange = .denied
      throw Refusal(refusal)
    case nil: break
    }
    let beganNs = Clock.monotonicNs()
    defer { request.record.exchangeNs = Clock.monotonicNs() - beganNs }
    let (flight, isNew) = target.exchange.flights.join(key) {
      ExchangeFlight(key: key, target: target, subject: nil, subjectToken: [])
    }
    if isNew {
      let worker = worker
      loop.spawn { await worker.perform(flight) }
    }
    switch try await outcome(of: flight, request) {
    case .issued(let issued): return keepOwn(issued, index, nowMs: Clock.wallMs())
    case .refused(let refusal):
      request.record.exchange = refusal.isRemembered ? .denied : .failed
      throw Refusal(refusal)
    }
  }

  /// Keeps the gateway's own token in this worker's copy.
  private func keepOwn(_ issued: IssuedToken, _ index: Int, nowMs: Int64) -> [UInt8] {
    let token = issued.bytes.map { $0 }
    let settings = targets[index].shared.exchange.settings.cache
    if settings.sizeBytes > 0,
      let endsAtMs = issued.keptUntilMs(
        nowMs: nowMs, subjectEndsAtMs: NumericDate.latestMs, settings)
    {
      ownTokens.keep(token, for: index, untilMs: endsAtMs)
    }
    return token
  }

  /// Keeps an issued token in the worker's own copy of what it knows of the caller's.
  private func keep(
    _ issued: IssuedToken, for caller: Caller, _ index: Int, nowMs: Int64
  ) -> [UInt8] {
    // A copy of its own: the array is counted by this worker alone.
    let token = issued.bytes.map { $0 }
    let settings = targets[index].shared.exchange.settings.cache
    if settings.sizeBytes > 0,
      let endsAtMs = issued.keptUntilMs(
        nowMs: nowMs, subjectEndsAtMs: caller.token.expiresAtMs, settings)
    {
      caller.token.keep(token, for: index, untilMs: endsAtMs)
    }
    return token
  }

  /// Waits for the call, or until this caller has gone; the call goes on without it.
  private func outcome(
    of flight: ExchangeFlight, _ request: Request
  ) async throws(Refusal) -> ExchangeFlight.Outcome {
    let waiter = request.connection.waiter
    while true {
      if let outcome = flight.outcome(orWake: waiter.remote) { return outcome }
      if request.connection.hasCallerGone() { throw Refusal(.callerGone) }
      _ = await waiter.wait()
    }
  }

  /// Makes a flight's call; runs as a task of its own.
  func perform(_ flight: ExchangeFlight) async {
    let outcome = await call(flight)
    let cache = flight.target.exchange.cache
    let nowMs = Clock.wallMs()
    let endsAtMs = flight.subject?.expiresAtMs ?? NumericDate.latestMs
    switch outcome {
    case .issued(let issued):
      cache.insert(flight.key, issued, subjectEndsAtMs: endsAtMs, nowMs: nowMs)
    case .refused(let refusal):
      cache.insert(flight.key, refusal, subjectEndsAtMs: endsAtMs, nowMs: nowMs)
    }
    flight.target.exchange.flights.end(flight, outcome)
  }

  private func call(_ flight: ExchangeFlight) async -> ExchangeFlight.Outcome {
    let exchange = flight.target.exchange
    let waiter = Waiter(on: loop)
    let untilMs = loop.nowMs + exchange.settings.timeoutMs
    guard await exchange.calls.enter(waiter, untilMs: untilMs) == .taken else {
      return .refused(.timedOut)
    }
    defer { exchange.calls.give() }
    if let blockedMs = exchange.breaker.blockedForMs(nowMs: loop.nowMs) {
      return .refused(.breakerOpen(seconds: (blockedMs + 999) / 1_000))
    }
    guard let endpoint = shared.tokenEndpoint(of: exchange) else {
      exchange.breaker.noteSuccess()
      return .refused(.unreachable)
    }
    return await attempt(flight, at: endpoint, waiter, untilMs)
  }

  private func attempt(
    _ flight: ExchangeFlight, at endpoint: HTTPURL, _ waiter: Waiter, _ untilMs: Int64
  ) async -> ExchangeFlight.Outcome {
    let exchange = flight.target.exchange
    var retriesLeft = exchange.settings.retries
    while true {
      do throws(ExchangeRefusal) {
        let issued = try await askOnce(flight, at: endpoint, waiter, untilMs)
        exchange.breaker.noteSuccess()
        return .issued(issued)
      } catch {
        if error.mayBeSentAgain, retriesLeft > 0 {
          let pauseMs = Int64.random(in: 20...120)
          if loop.nowMs + pauseMs < untilMs {
            retriesLeft -= 1
            let againMs = loop.nowMs + pauseMs
            while await waiter.wait(untilMs: againMs) {}
            continue
          }
        }
        if error.countsForBreaker {
          exchange.breaker.noteFailure(nowMs: loop.nowMs)
        } else {
          exchange.breaker.noteSuccess()
        }
        shared.note(error, of: exchange)
        return .refused(error)
      }
    }
  }

  private func askOnce(
    _ flight: ExchangeFlight, at endpoint: HTTPURL, _ waiter: Waiter, _ untilMs: Int64
  ) async throws(ExchangeRefusal) -> IssuedToken {
    let target = flight.target
    let call = try target.call(at: endpoint, flight)
    let pool = clients.pool(
      for: endpoint.origin, tls: target.exchange.context, .exchange(target.exchangeIndex))
    let beganAtMs = Clock.wallMs()
    let answer: CallAnswer
    do throws(CallFault) {
      answer = try await pool.call(call, waiter: waiter, untilMs: untilMs) {
        target.callAgain(call, at: endpoint, flight)
      }
    } catch {
      switch error {
      case .timedOut, .unconnected(.timedOut): throw .timedOut
      case .unconnected, .broken: throw .unreachable
      case .tooLarge: throw .nonsense
      }
    }
    let subjectToken = flight.subjectToken
    let issued = try target.judge.judge(
      TokenAnswer(
        status: answer.status,
        contentType: answer.contentType.isEmpty ? nil : answer.contentType,
        retryAfter: answer.retryAfter, body: answer.content),
      subject: flight.subject, subjectToken: subjectToken.span, nowMs: beganAtMs)
    if target.exchange.settings.verify.signature {
      try await shared.checkSignature(of: issued, waiter, untilMs: untilMs)
    }
    return issued
  }
}

extension Refusal {
  /// No token was to be had for the service.
  init(_ refusal: ExchangeRefusal) {
    let reason: Reason =
      switch refusal.reason {
      case .subjectRefused: .subjectRefused
      case .denied: .exchangeDenied
      case .misconfigured: .exchangeMisconfigured
      case .unverified: .exchangeUnverified
      case .unavailable: .exchangeUnavailable
      case .timeout: .exchangeTimeout
      }
    self.init(
      reason, exchangeError: refusal.note.bytes,
      retryAfter: refusal.retryAfterSeconds.map { Int(clamping: $0) })
    claims = refusal.claimsChallenge?.bytes ?? []
  }
}
