import HTTP
import Reactor
import Wire

extension Engine {
  /// One request's way through, top to bottom.
  ///
  /// Each step needs the value that the step before made, and nothing else can make it, so leaving
  /// out a check does not compile. Whatever happens, one line is logged when the answer has ended.
  func serve(_ request: Request) async {
    do throws(Refusal) {
      if request.connection.head.targetForm == .asterisk { return await answerForServer(request) }
      try begin(request)
      let route = try router.route(request)
      try note(route, on: request)
      if overload.isSheddingKnown { try overload.checkKnown(request) }
      if let rates = route.rates { try await limiter.take(rates.early, for: request) }
      let caller = try await authenticator.identity(of: request, at: route)
      let admitted = try Admission.admit(caller, at: route)
      if let rates = route.rates { try await limiter.take(rates.late, for: request) }
      switch try MaxForwards.action(of: route, for: request) {
      case .respond(let answer): await respond(answer, to: request)
      case .redirect(let redirect): try await self.redirect(redirect, request)
      case .preflight: await finishOwnAnswer(204, request.cors?.preflightFields ?? [], request)
      case .forward(let forward):
        let bearing = try await exchanger.bearing(of: admitted, for: request)
        switch try await Forwarder.forward(request, bearing, along: route, forward) {
        case .answered: break
        case .tokenRefused(let isAnswered):
          exchanger.forget(bearing, of: admitted)
          if isAnswered { break }
          let fresh = try await exchanger.bearing(of: admitted, for: request)
          _ = try await Forwarder.forward(request, fresh, along: route, forward)
        }
      }
    } catch {
      await refuse(error, request)
    }
    record(request)
  }

  /// Serves what came next on a connection that has not ended.
  func serve(_ arrival: ServerConnection.Arrival, _ request: Request) async {
    request.reset(startedNs: Clock.monotonicNs())
    switch arrival {
    case .request: await serve(request)
    case .faulty(let fault):
      if fault == .malformed(.handshake) { tellOfHandshake(request) }
      await refuseHead(refusal(for: fault), request)
    case .tooSlow: await refuseHead(Refusal(.requestTimeout), request)
    case .finished, .parked: break
    }
  }

  /// Callers who speak TLS where none is spoken get an answer that they can't read, so the operator
  /// is told.
  private func tellOfHandshake(_ request: Request) {
    let peer = String(decoding: request.peer.address, as: UTF8.self)
    shared.process.reportStrangers(
      "a connection of \(peer) to \(request.listener.name) begins with a TLS handshake, and this "
        + "listener speaks HTTP\(request.connection.stream.tls == nil ? " in the clear" : ""): "
        + "call it by http://, or give it a \"tls\"", nowMs: loop.nowMs)
  }

  /// Turns away a connection that is one too many, with an answer that costs little.
  ///
  /// - Parameter isTold: without it there is no answer, only the line in the log.
  func shed(
    _ connection: ServerConnection, from listener: Listener, peer: Peer, isTold: Bool
  ) async {
    let request = Request(connection, listener: listener, peer: peer)
    request.reset(startedNs: Clock.monotonicNs())
    if isTold {
      await refuseHead(.overloaded, request)
      if connection.isAborted { return }
      await connection.close(lingerMs: Limits.shedLingerMs, quietMs: Limits.shedQuietMs)
    } else {
      identify(request)
      request.record.status = Refusal.Reason.overloaded.status
      request.record.reason = .overloaded
      record(request)
    }
  }

  /// `OPTIONS *` asks about the gateway itself and is never forwarded (RFC 9110 §9.3.7).
  private func answerForServer(_ request: Request) async {
    request.path = NormalisedPath()
    beginContent(request)
    identify(request)
    await finishOwnAnswer(204, [], request)
    record(request)
  }

  private func beginContent(_ request: Request) {
    let head = request.connection.head
    if !head.keepAlive { request.connection.closesAfterAnswer = true }
    request.connection.content = BodyFlow(
      head.framing, as: head.framing == .chunked ? .chunked : .length, pinned: head.byteCount)
    if !callerHeaders.isEmpty { request.connection.content.withheldTrailers = callerHeaders }
  }

  private func begin(_ request: Request) throws(Refusal) {
    try look(at: request)
    try checkAuthority(of: request) { wanted, listener, host in
      request.connection.stream.tls?.wasGiven(wanted, of: listener, for: host) ?? false
    }
  }

  /// What must be known of a request before anything is decided: who sent it, its id, its path in
  /// the form that is matched.
  func look(at request: Request) throws(Refusal) {
    let connection = request.connection
    let head = connection.head
    request.host += head.authority.host
    request.port = head.authority.port
    identify(request)
    if let tracer { request.trace = tracer.begin(request) }
    beginContent(request)
    let received = connection.received
    do throws(PathFault) {
      try PathNormaliser.normalise(received.slice(head.path), into: &request.path)
    } catch {
      request.path = NormalisedPath()
      throw Refusal(.malformedRequest, "The request's path is ambiguous.")
    }
  }

  /// A connection made for one certificate's names serves no other's (RFC 9110 §7.4): what one
  /// listener would have answered under another certificate is another place.
  ///
  /// - Parameter isMadeUnder: whether this connection was made under that one of the listener's
  ///   certificates, which is the host's.
  func checkAuthority(
    of request: Request, isMadeUnder: (Int, TLSServerContext, String) -> Bool
  ) throws(Refusal) {
    // §7.4 as well: what asks for https is not served over a connection that proves nothing. (One
    // from a trusted proxy may have been encrypted as far as there.)
    if request.connection.head.scheme == .https, request.listener.tls == nil,
      !request.peer.isTrusted
    {
      throw Refusal(.misdirected, "This connection is not encrypted, and the target says https.")
    }
    guard let tls = request.listener.tls, tls.hasSeveral else { return }
    let host = String(decoding: request.host, as: UTF8.self)
    if let wanted = tls.certificateIndex(for: host), !isMadeUnder(wanted, tls, host) {
      throw Refusal(.misdirected)
    }
  }

  /// What the matched route says of the request itself.
  func note(_ route: Route, on request: Request) throws(Refusal) {
    request.record.route = route
    if let cors = route.cors { request.cors = cors.grant(for: request) }
    if let names = route.withheldTrailers {
      request.connection.content.withheldTrailers = names
    }
    let head = request.connection.head
    if head.method == .trace {
      var refusal = Refusal(.methodNotAllowed)
      refusal.allow = route.allowed
      throw refusal
    }
    let rules = route.settings.pathRules
    if request.path.hasEncodedSlash, rules.encodedSlash == .reject {
      throw Refusal(.malformedRequest, "The path holds an encoded slash.")
    }
    if request.path.hasParameters, rules.parameters == .reject {
      throw Refusal(.malformedRequest, "The path holds a parameter (;).")
    }
    if request.path.hadEmptySegments, rules.emptySegments == .reject {
      throw Refusal(.malformedRequest, "The path holds an empty segment (//).")
    }
    if case .length(let count) = head.framing, count > route.bodyBytesMax {
      throw Refusal(.bodyTooLarge)
    }
    request.connection.content.limit(toBytes: route.bodyBytesMax)
    if head.upgradeRequested { Upgrades.note(on: request, at: route) }
  }

  private func respond(_ answer: FixedResponse, to request: Request) async {
    var fields: [UInt8] = []
    // As a server's answer is: `AnswerWriter.writeHead`.
    let isPrivate = request.tokenSource != .header && answer.status < 300
    if isPrivate {
      fields.append("Cache-Control: private")
      for (name, value) in answer.headers where name.equalsIgnoringASCIICase("cache-control") {
        fields += PrivateCaching.directives(of: value.bytes)
      }
      fields.append("\r\n")
    }
    for (name, value) in answer.headers
    where !(isPrivate && name.equalsIgnoringASCIICase("cache-control")) {
      fields += name.bytes
      fields.append(": ")
      fields += value.bytes
      fields.append("\r\n")
    }
    if let cors = request.cors { fields += cors.answerFields }
    await finishOwnAnswer(answer.status, fields, request, content: answer.body)
  }

  /// Sends the caller to another address.
  private func redirect(_ redirect: Route.Redirect, _ request: Request) async throws(Refusal) {
    let to = try Self.address(redirect, for: request)
    var fields = Array("Location: ".utf8) + to + Array("\r\n".utf8)
    if let cors = request.cors { fields += cors.answerFields }
    await finishOwnAnswer(redirect.status, fields, request)
  }

  /// Where a caller is sent.
  static func address(
    _ redirect: Route.Redirect, for request: Request
  ) throws(Refusal) -> [UInt8] {
    guard var to = redirect.to.filled(for: request, isURL: true) else {
      throw Refusal(.claimRefused, "There is no address for this caller.")
    }
    if let count = redirect.restAfter {
      to += request.path.rest(after: count)
      if let query = request.connection.head.query {
        let received = request.connection.received
        let out = Buffer(capacity: query.count + 1)
        if let places = redirect.places {
          places.writeQuery(query, keeping: nil, received, out)
        } else {
          out.append("?")
          out.append(received.slice(query))
        }
        to += [UInt8](copying: out.readable)
      }
    }
    return to
  }

  /// Tells the caller why it is turned away, and notes it.
  private func refuse(_ refusal: Refusal, _ request: Request) async {
    let connection = request.connection
    request.record.status = refusal.reason.status
    request.record.reason = refusal.reason
    request.record.exchangeError = refusal.exchangeError
    if refusal.reason == .callerGone {
      request.record.aborted = .client
      connection.abort()
      return
    }
    var shedSinceNs: Int64?
    if refusal.isShed {
      // What it has waited for before, a count of other gateways', was no work.
      let isInTurn = request.record.startedTurn == loop.turn
      shedSinceNs = isInTurn ? request.record.startedNs : Clock.monotonicNs()
    }
    let isKept = refusal.isShed || !refusal.reason.closesConnection
    if !isKept || !canDropContent(of: connection) {
      connection.closesAfterAnswer = true
    }
    Refusing.write(
      refusal, to: request, realm: request.record.route?.realm,
      closes: connection.closesAfterAnswer)
    await finishOwnAnswer(request, shedSinceNs: shedSinceNs)
  }

  /// Turns a request away whose head is not known.
  private func refuseHead(_ refusal: Refusal, _ request: Request) async {
    request.connection.forgetHead()
    request.path = NormalisedPath()
    identify(request)
    request.connection.closesAfterAnswer = true
    await refuse(refusal, request)
    record(request)
  }

  /// Answers a request that was let through, without a service.
  private func finishOwnAnswer(
    _ status: Int, _ fields: [UInt8], _ request: Request, content: [UInt8] = []
  ) async {
    let connection = request.connection
    if !canDropContent(of: connection) { connection.closesAfterAnswer = true }
    request.record.status = status
    AnswerWriter.writeOwn(
      status, fields: fields, content: content, isHead: request.method == .head,
      closes: connection.closesAfterAnswer, to: connection)
    await finishOwnAnswer(request)
  }

  /// - Parameter shedSinceNs: since when there was work with turning the request away.
  private func finishOwnAnswer(_ request: Request, shedSinceNs: Int64? = nil) async {
    let connection = request.connection
    let (turn, writtenNs) = (loop.turn, shedSinceNs == nil ? 0 : Clock.monotonicNs())
    let isSent = await connection.flushAll(stallMs: idleTimeoutMs)
    if let shedSinceNs {
      // A caller who is slow to take the answer, or to send content, costs the worker no time.
      overload.noteShed(ns: (loop.turn == turn ? Clock.monotonicNs() : writtenNs) - shedSinceNs)
    }
    if !isSent {
      request.record.aborted = .client
      connection.abort()
      return
    }
    if !connection.closesAfterAnswer, !connection.content.isDone {
      let isDropped = await connection.dropContent(
        bytesMax: Limits.dropContentBytesMax, withinMs: bodyTimeoutMs)
      if !isDropped { connection.closesAfterAnswer = true }
    }
  }

  /// Whether so little content is to come that reading it is cheaper than a new connection.
  private func canDropContent(of connection: ServerConnection) -> Bool {
    if connection.content.isDone { return true }
    if connection.head.expectsContinue { return false }
    guard let remaining = connection.content.remaining else { return false }
    return remaining <= Limits.dropContentBytesMax
  }

  func refusal(for fault: RequestFault) -> Refusal {
    switch fault {
    case .requestLineTooLong: Refusal(.requestLineTooLong)
    case .headersTooLarge, .tooManyFields: Refusal(.headersTooLarge)
    case .malformed(let malformation):
      Refusal(.malformedRequest, "The request is not well-formed HTTP/1.1: \(malformation).")
    case .versionUnsupported: Refusal(.versionUnsupported)
    case .transferCodingUnknown, .connectMethod: Refusal(.notImplemented)
    case .expectationFailed: Refusal(.expectationFailed)
    }
  }
}
