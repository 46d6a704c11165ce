import Crypto
import HTTP
import OAuth
import Reactor
import Wire

/// Obtains tokens for services: from what this worker knows, from what all workers know, from what
/// other gateways know, or from the token service (RFC 8693).
///
/// Concurrent misses for one key wait for one call, which belongs to none of them.
final class TokenExchanges {
  private let shared: SharedTokens
  private let worker: Worker
  private let workerIndex: Int
  private let clients: HTTPClients
  private let cache: SharedCacheLink?
  private let digester: Digester
  private let loop: EventLoop
  private let overload: Overload
  private var targets: [(shared: SharedTarget, audienceJSON: [UInt8], tally: ExchangeTally)] = []
  private var indexes: [TargetPlace: Int] = [:]
  private var ownTokens = OwnTokens()

  private struct TargetPlace: Hashable {
    let exchange: Int
    let digest: SHA256Digest
  }

  init(
    _ shared: SharedTokens, worker: Worker, index workerIndex: Int, clients: HTTPClients,
    cache: SharedCacheLink?,
    digester: Digester, loop: EventLoop, overload: Overload
  ) {
    self.overload = overload
    self.shared = shared
    self.workerIndex = workerIndex
    self.worker = worker
    self.clients = clients
    self.cache = cache
    self.digester = digester
    self.loop = loop
  }

  /// What is asked for by the index of a target.
  func shared(target index: Int) -> SharedTarget { targets[index].shared }

  /// The index of a target; routes with the same one share what is issued for it.
  func target(exchange: Int, _ target: ExchangeTarget) -> Int {
    let made = shared.target(exchange: exchange, target, digester)
    // Two entries of the file may ask the same of the same service, with another secret or timeout.
    let place = TargetPlace(exchange: exchange, digest: made.digest)
    if let known = indexes[place] { return known }
    var json: [UInt8] = []
    let audiences = target.audiences.isEmpty ? target.resources : target.audiences
    if let first = audiences.first { JSONWriter.appendString(first, to: &json) }
    targets.append((made, json, made.exchange.tallies.tally(of: workerIndex)))
    indexes[place] = targets.count - 1
    return targets.count - 1
  }

  /// A token for `target` that stands for `holder`.
  func token(
    for holder: TokenHolder, target index: Int, _ request: Request
  ) async throws(Refusal) -> HeldToken {
    request.record.audienceJSON = targets[index].audienceJSON
    let nowMs = Clock.wallMs()
    if let held = held(by: holder, target: index, nowMs: nowMs) {
      note(.hit, holder, target: index, request)
      return held
    }
    let key = key(of: holder, target: index)
    let exchange = targets[index].shared.exchange
    switch exchange.cache.find(key, credentials: exchange.credentials, nowMs: nowMs) {
    case .issued(let kept):
      let isRefreshed =
        kept.takeRefresh(nowMs: nowMs) && refresh(kept, key, for: holder, index, request)
      note(isRefreshed ? .refreshed : .hit, holder, target: index, request)
      return keep(kept.token, kept, for: holder, index)
    case .refused(let refusal, _):
      note(.denied, holder, target: index, request)
      throw Refusal(refusal)
    case nil: break
    }
    // Whose token was verified just now has been asked already.
    if overload.isShedding, request.record.authentication != .verified {
      try overload.checkCold(request)
    }
    let beganNs = Clock.monotonicNs()
    if request.record.exchangeBeganNs == 0 { request.record.exchangeBeganNs = beganNs }
    defer { request.record.exchangeNs += Clock.monotonicNs() - beganNs }
    let (flight, isNew) = begin(key, for: holder, index, request)
    let how: AccessRecord.Exchange = isNew ? .miss : .joined
    do throws(Refusal) {
      switch try await outcome(of: flight, request) {
      case .issued(let issued, let kept):
        note(issued.sharedUntilMs != nil ? .shared : how, holder, target: index, request)
        return keep(issued, kept, for: holder, index)
      case .refused(let refusal):
        note(refusal.isRemembered ? .denied : .failed, holder, target: index, request)
        throw Refusal(refusal)
      }
    } catch {
      if error.reason == .callerGone { request.record.exchange = holder.outcome(how) }
      throw error
    }
  }

  /// Forgets a token that the service behind has refused, wherever it is kept: in this worker and
  /// in what all share. Other workers' copies go when the service refuses them there.
  func forget(_ held: HeldToken, of holder: TokenHolder, target index: Int) {
    switch holder {
    case .caller(let caller): caller.token.forget(held.token, for: index)
    case .gateway: ownTokens.forget(held.token, for: index)
    }
    let key = key(of: holder, target: index)
    targets[index].shared.exchange.cache.remove(key, ifTokenIs: held.token)
    cache?.remove(key)
  }

  /// This worker's own copy.
  private func held(by holder: TokenHolder, target index: Int, nowMs: Int64) -> HeldToken? {
    switch holder {
    case .caller(let caller): caller.token.issuedToken(for: index, atMs: nowMs)
    case .gateway: ownTokens.token(for: index, atMs: nowMs)
    }
  }

  private func key(of holder: TokenHolder, target index: Int) -> SHA256Digest {
    let target = targets[index].shared.digest
    return switch holder {
    case .caller(let caller):
      ExchangeCache.key(token: caller.token.digest, target: target, digester: digester)
    case .gateway: ExchangeCache.ownKey(target: target, digester: digester)
    }
  }

  private func note(
    _ outcome: AccessRecord.Exchange, _ holder: TokenHolder, target index: Int, _ request: Request
  ) {
    request.record.exchange = holder.outcome(outcome)
    targets[index].tally.count(request.record.exchange)
  }

  /// Joins the call for this token and target that is under way, or begins one.
  private func begin(
    _ key: SHA256Digest, for holder: TokenHolder, _ index: Int, _ request: Request,
    replacing old: KeptToken? = nil
  ) -> (flight: ExchangeFlight, isNew: Bool) {
    let target = targets[index].shared
    let joined = target.exchange.flights.join(key) {
      switch holder {
      case .caller(let caller):
        ExchangeFlight(
          key: key, target: target, subject: caller.token.verified,
          subjectToken: caller.tokenBytes(in: request), replacing: old)
      case .gateway:
        ExchangeFlight(key: key, target: target, subject: nil, subjectToken: [], replacing: old)
      }
    }
    if joined.isNew {
      let (worker, flight) = (worker, joined.flight)
      loop.spawn { await worker.perform(flight) }
    }
    return joined
  }

  /// Has a token issued anew before it ends; this caller does not wait for it.
  ///
  /// - Returns: whether it began to.
  private func refresh(
    _ kept: KeptToken, _ key: SHA256Digest, for holder: TokenHolder, _ index: Int,
    _ request: Request
  ) -> Bool {
    // The old token is still good: who has none goes first. But nothing tries a service that has
    // failed as well as this does, where it is time to: nobody waits for what comes of it.
    let exchange = targets[index].shared.exchange
    if exchange.gate.isShort(nowMs: loop.nowMs, callersWait: exchange.calls.hasWaiting) {
      kept.keepOn()
      return false
    }
    return begin(key, for: holder, index, request, replacing: kept).isNew
  }

  /// Keeps an issued token in this worker's own copy.
  private func keep(
    _ issued: IssuedToken, _ kept: KeptToken?, for holder: TokenHolder, _ index: Int
  ) -> HeldToken {
    // A copy of its own: the array is counted by this worker alone.
    let held = HeldToken(token: issued.bytes.map { $0 }, keptAtMs: kept?.keptAtMs ?? .max)
    guard let kept else { return held }
    switch holder {
    case .caller(let caller): caller.token.keep(held, for: index, untilMs: kept.unaskedUntilMs)
    case .gateway: ownTokens.keep(held, for: index, untilMs: kept.unaskedUntilMs)
    }
    return held
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
    let exchange = flight.target.exchange
    // One deadline for all of it: the wait for another gateway's exchange is no more time.
    let untilMs = loop.nowMs + exchange.settings.timeoutMs
    let sought = await seek(flight)
    let outcome: ExchangeFlight.Outcome
    if case .elsewhere = sought, let old = flight.replacing, old.endsAtMs > Clock.wallMs() {
      old.keepOn()
      outcome = .issued(old.token, old)
    } else {
      do throws(ExchangeRefusal) {
        let issued =
          if case .found(let token) = sought { token } else { try await call(flight, untilMs) }
        let kept = exchange.cache.insert(
          flight.key, issued, subjectEndsAtMs: flight.subjectEndsAtMs, nowMs: Clock.wallMs())
        outcome = .issued(issued, kept)
      } catch {
        settle(error, flight)
        outcome = .refused(error)
      }
    }
    exchange.flights.end(flight, outcome)
    share(sought, flight, outcome, nowMs: Clock.wallMs())
  }

  /// Looks among what other gateways have had.
  private func seek(_ flight: ExchangeFlight) async -> SharedCacheLink.Sought {
    let settings = flight.target.exchange.settings
    guard let cache, settings.cache.sizeBytes > 0, settings.cache.maxLifeMs > 0 else {
      return .missing
    }
    let waiter = Waiter(on: loop)
    if let old = flight.replacing {
      return await cache.seek(flight.key, newerThan: old.token, waiter: waiter)
    }
    // Where that gateway is stuck, a quarter is left for an exchange of our own.
    return await cache.seek(flight.key, waiter: waiter, waitMs: settings.timeoutMs * 3 / 4)
  }

  /// Lets other gateways have what came of it.
  private func share(
    _ sought: SharedCacheLink.Sought, _ flight: ExchangeFlight, _ outcome: ExchangeFlight.Outcome,
    nowMs: Int64
  ) {
    guard let cache else { return }
    let settings = flight.target.exchange.settings.cache
    switch outcome {
    case .issued(let issued, _):
      let keptUntilMs =
        settings.sizeBytes > 0
        ? issued.keptUntilMs(
          nowMs: nowMs, subjectEndsAtMs: flight.subjectEndsAtMs, settings) : nil
      cache.settle(sought, flight.key, issued: issued, keptUntilMs: keptUntilMs, nowMs: nowMs)
    case .refused:
      cache.settle(sought, flight.key, issued: nil, keptUntilMs: nil, nowMs: nowMs)
    }
  }

  /// What a refusal does to what is kept.
  private func settle(_ refusal: ExchangeRefusal, _ flight: ExchangeFlight) {
    let exchange = flight.target.exchange
    let cache = exchange.cache
    let nowMs = Clock.wallMs()
    if let old = flight.replacing {
      switch refusal.reason {
      case .subjectRefused, .denied:
        // Also where refusals are not remembered.
        cache.remove(flight.key, ifTokenIs: old.token.bytes)
        self.cache?.remove(flight.key)
      case .misconfigured, .unverified, .unavailable, .timeout:
        // No word about this caller: the token that is kept stays as good as it was.
        if let seconds = refusal.retryAfterSeconds {
          old.postponeRefresh(untilMs: nowMs + seconds * 1_000)
        } else {
          old.keepOn()
        }
        return
      }
    }
    cache.insert(
      flight.key, refusal, credentials: exchange.credentials,
      subjectEndsAtMs: flight.subjectEndsAtMs, nowMs: nowMs)
  }

  private func call(
    _ flight: ExchangeFlight, _ untilMs: Int64
  ) async throws(ExchangeRefusal) -> IssuedToken {
    let exchange = flight.target.exchange
    guard let endpoint = exchange.endpoint else {
      throw .unreachable("its issuer's metadata were never had")
    }
    let waiter = Waiter(on: loop)
    do throws(ExchangeGuard.Denial) {
      try exchange.gate.admit(nowMs: loop.nowMs)
    } catch {
      throw ExchangeRefusal(error)
    }
    exchange.limitCalls(nowMs: loop.nowMs)
    guard await exchange.calls.enter(waiter, untilMs: untilMs) == .taken else {
      throw .timedOut
    }
    defer {
      exchange.calls.give()
      exchange.limitCalls(nowMs: loop.nowMs)
    }
    let pass: ExchangeGuard.Pass
    do throws(ExchangeGuard.Denial) {
      pass = try exchange.gate.begin(nowMs: loop.nowMs)
    } catch {
      throw ExchangeRefusal(error)
    }
    let tally = exchange.tallies.tally(of: workerIndex)
    let beganNs = Clock.monotonicNs()
    defer { tally.countCall(ns: Clock.monotonicNs() - beganNs) }
    return try await attempt(flight, pass, at: endpoint, waiter, untilMs)
  }

  private func attempt(
    _ flight: ExchangeFlight, _ pass: ExchangeGuard.Pass, at endpoint: HTTPURL, _ waiter: Waiter,
    _ untilMs: Int64
  ) async throws(ExchangeRefusal) -> IssuedToken {
    let exchange = flight.target.exchange
    var retriesLeft = exchange.settings.retries
    while true {
      do throws(ExchangeRefusal) {
        let issued = try await askOnce(flight, at: endpoint, waiter, untilMs)
        if let back = exchange.gate.note(.issued, of: pass, nowMs: loop.nowMs) {
          shared.note(back, of: exchange)
        }
        return issued
      } catch {
        if error.mayBeSentAgain, retriesLeft > 0,
          exchange.gate.mayTryAgain(pass, nowMs: loop.nowMs)
        {
          // Where the service says how long to wait, sooner is too soon.
          let pauseMs = (error.retryAfterSeconds ?? 0) * 1_000 + Int64.random(in: 20...120)
          if loop.nowMs + pauseMs < untilMs {
            retriesLeft -= 1
            _ = exchange.gate.note(.again, of: pass, nowMs: loop.nowMs)
            let againMs = loop.nowMs + pauseMs
            while await waiter.wait(untilMs: againMs) {}
            continue
          }
        }
        _ = exchange.gate.note(.init(error), of: pass, nowMs: loop.nowMs)
        if error.asksForPatience, let seconds = error.retryAfterSeconds {
          exchange.gate.hold(untilMs: loop.nowMs + min(seconds * 1_000, Limits.patienceMsMax))
        }
        shared.note(error, of: exchange)
        throw error
      }
    }
  }

  private func askOnce(
    _ flight: ExchangeFlight, at endpoint: HTTPURL, _ waiter: Waiter, _ untilMs: Int64
  ) async throws(ExchangeRefusal) -> IssuedToken {
    let target = flight.target
    let call = try target.call(at: endpoint, flight)
    let pool = clients.pool(
      for: endpoint.origin, tls: target.exchange.context, .exchange(serial: target.exchange.serial))
    let beganAtMs = Clock.wallMs()
    let answer: CallAnswer
    do throws(CallFault) {
      answer = try await pool.call(call, waiter: waiter, untilMs: untilMs) {
        target.callAgain(call, at: endpoint, flight)
      }
    } catch {
      switch error {
      case .timedOut, .unconnected(.timedOut): throw .timedOut
      case .unconnected(let fault):
        throw .unreachable("\(endpoint.origin.authority) \(error.text)", fault.advice)
      case .broken: throw .unreachable("\(endpoint.origin.authority) \(error.text)")
      case .tooLarge: throw .nonsense
      }
    }
    let subjectToken = flight.subjectToken
    let issued = try target.judge.judge(
      TokenAnswer(
        status: answer.status,
        contentType: answer.contentType.isEmpty ? nil : answer.contentType,
        retryAfter: answer.retryAfter, body: answer.content),
      subject: flight.subject, subjectToken: subjectToken.span, askedAtMs: beganAtMs,
      nowMs: Clock.wallMs())
    if target.exchange.settings.verify.signature {
      try await shared.checkSignature(of: issued, waiter, untilMs: untilMs)
    }
    return issued
  }
}

extension ExchangeRefusal {
  /// The token service is not called. Those who are told so together are not to come again
  /// together.
  fileprivate init(_ denial: ExchangeGuard.Denial) {
    switch denial {
    case .open(let ms):
      let seconds = (ms + 999) / 1_000
      self = .notCalled(
        seconds: seconds + Int64.random(in: 0...seconds / 2), "the token service failed too often")
    case .patience(let ms):
      self = .notCalled(seconds: (ms + 999) / 1_000, "the token service asked to wait")
    case .throttled:
      self = .notCalled(
        seconds: Int64.random(in: 1...Int64(Limits.retryAfterSecondsMax)),
        "the token service fails often, so it is asked less")
    }
  }
}

extension ExchangeGuard.Outcome {
  fileprivate init(_ refusal: ExchangeRefusal) {
    self =
      switch refusal.reason {
      case .subjectRefused, .denied: .answered
      case .misconfigured: refusal.countsForBreaker ? .refusedGateway : .useless
      case .unverified: .useless
      case .unavailable where refusal.asksForPatience: .busy
      case .unavailable, .timeout: refusal.countsForBreaker ? .failed : .answered
      }
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
