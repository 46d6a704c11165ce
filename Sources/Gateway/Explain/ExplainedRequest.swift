import Crypto
import HTTP
import OAuth
import Reactor
import Wire

/// One request on the way that `Engine.serve` has it go, each step with the very call that is made
/// there, and a word on it. It ends before anything would be sent.
final class ExplainedRequest {
  let call: ExplainedCall
  let engine: Engine
  let digester: Digester
  let configuration: Configuration
  let nowMs = Clock.wallMs()
  private(set) var steps: [Explanation.Step] = []
  var caveats: [String] = []
  /// The other end of the request's connection, kept open while it is served.
  private var client: Socket?
  /// The first 16 hexadecimal digits of the token's SHA-256; empty without one.
  let tokenDigest: String

  init(_ call: ExplainedCall, _ engine: Engine, _ digester: Digester) {
    self.call = call
    self.engine = engine
    self.digester = digester
    configuration = engine.shared.configuration
    tokenDigest = call.token.map { String(digester.digest($0).description.prefix(16)) } ?? ""
  }

  func add(
    _ name: String, _ mark: Explanation.Mark, _ summary: String, _ facts: [Explanation.Fact] = []
  ) {
    steps.append(Explanation.Step(name, mark, summary, facts))
  }

  /// - Throws: what the system refuses.
  func explain() async throws(SystemError) -> Explanation {
    let listener = chosenListener()
    let place = try await tokenPlace(at: listener)
    let keys = await judgedToken()
    let (request, arrival) = try await arrive(at: listener, token: keys.token, in: place)
    var verdict: Explanation.Verdict
    do throws(Refusal) {
      verdict = try await follow(request, arrival, place, keys)
    } catch {
      verdict = Explanation.Verdict(error)
    }
    return Explanation(
      title: "\(call.method) \(title)", steps: steps, verdict: verdict, caveats: caveats)
  }

  /// Which route the request finds, and no more.
  func explainRoute() async throws(SystemError) -> Refusal? {
    let (request, arrival) = try await arrive(at: chosenListener(), token: nil, in: .header)
    do throws(Refusal) {
      try receive(request, arrival)
      _ = try findRoute(request)
      return nil
    } catch {
      return error
    }
  }

  /// The URL, without what its query says: that may be a secret.
  private var title: String {
    let path = call.target.prefix { $0 != "?" }
    let query = path.count < call.target.count ? "?…" : ""
    guard let isSecure = call.isSecure else { return "\(path)\(query)" }
    return "\(isSecure ? "https" : "http")://\(call.authority)\(path)\(query)"
  }

  /// The way of `Engine.serve`.
  private func follow(
    _ request: Request, _ arrival: ServerConnection.Arrival, _ place: TokenPlace,
    _ keys: JudgedToken
  ) async throws(Refusal) -> Explanation.Verdict {
    try receive(request, arrival)
    let route = try findRoute(request)
    try engine.note(route, on: request)
    tellOfLimits(route, request)
    let identity = try await authenticate(request, at: route, keys)
    let admitted = try admit(identity, at: route, request)
    switch try MaxForwards.action(of: route, for: request) {
    case .respond(let answer):
      add("answer", .well, "the gateway's own, \(answer.status)")
      return Explanation.Verdict(.answered, status: answer.status, "the gateway's own answer")
    case .redirect(let redirect):
      let address = try Engine.address(redirect, for: request)
      let shown = PlainText.of(Array(address.prefix { $0 != UInt8(ascii: "?") }))
      let hasQuery = address.contains(UInt8(ascii: "?"))
      let text = "sent to \(shown)\(hasQuery ? "?…" : "")"
      add("redirect", .well, text)
      return Explanation.Verdict(.answered, status: redirect.status, text)
    case .preflight:
      add("preflight", .well, "the gateway's own answer, 204, with its CORS fields")
      return Explanation.Verdict(.answered, status: 204, "a preflight: what the page may ask for")
    case .forward(let forward):
      let token = await tellOfToken(admitted, request)
      tellOfService(forward, route, request, admitted, token: token)
      let name = forward.upstream.shared.settings.name
      return Explanation.Verdict(.forwarded, "to \(name), \(token.goesOn)")
    }
  }

  // The request.

  private func receive(
    _ request: Request, _ arrival: ServerConnection.Arrival
  ) throws(Refusal) {
    switch arrival {
    case .request: break
    case .faulty(let fault):
      let refusal = engine.refusal(for: fault)
      add("request", .wrong, refusal.detail)
      throw refusal
    case .tooSlow, .finished, .parked:
      let refusal = Refusal(.malformedRequest)
      add("request", .wrong, "the head has no end")
      throw refusal
    }
    var facts: [Explanation.Fact] = []
    do throws(Refusal) {
      try engine.look(at: request)
      // What goes into fields and is another one each time.
      request.id = Array("(an id of its own)".utf8)
      // A client asks for the host's own certificate, so it has the one that fits.
      try engine.checkAuthority(of: request) { _, _, _ in true }
    } catch {
      add("request", .wrong, error.detail, pathFault(of: request))
      throw error
    }
    let path = PlainText.of(request.path.merged)
    facts.append(Explanation.Fact("host", PlainText.of(request.host)))
    let sent = String(call.target.prefix { $0 != "?" })
    facts.append(Explanation.Fact("path", path == sent ? path : "\(path), sent as \(sent)"))
    facts.append(Explanation.Fact("listener", listenerText(request.listener)))
    add("request", .well, "\(call.method) \(path)", facts)
  }

  /// What is wrong with the path, where that is it: callers are not told.
  private func pathFault(of request: Request) -> [Explanation.Fact] {
    let received = request.connection.received
    var path = NormalisedPath()
    do throws(PathFault) {
      try PathNormaliser.normalise(received.slice(request.connection.head.path), into: &path)
      return []
    } catch {
      return [Explanation.Fact("path", "\(error)", mark: .wrong)]
    }
  }

  private func listenerText(_ listener: Listener) -> String {
    var text = "\(listener.name), \(listener.tls == nil ? "in the clear" : "TLS")"
    if call.isSecure == true, listener.tls == nil {
      text += " (no listener speaks TLS; taken for one behind who ends it)"
    }
    return text
  }

  // The connection.

  /// The one named; else the first one that speaks as the URL says, at its port if there is one.
  private func chosenListener() -> Listener {
    let listeners = configuration.listenerDoors.compactMap { engine.listeners[$0] }
    func best(_ fits: (Listener) -> Bool) -> Listener? { listeners.first(where: fits) }
    if let name = call.listener, let named = best({ $0.name == name }) { return named }
    let url = try? HTTPURL("\(call.isSecure == true ? "https" : "http")://\(call.authority)")
    let isSecure = call.isSecure ?? (listeners.first?.tls != nil)
    let fitting = best { listener in
      guard case .network(let address) = configuration.listeners[listener.index].address else {
        return false
      }
      return (listener.tls != nil) == isSecure && address.port == url?.origin.port
    }
    // A configuration has at least one.
    return fitting ?? best { ($0.tls != nil) == isSecure } ?? listeners[0]
  }

  /// Where a client has to put its token: in `Authorization`, unless the route that the request
  /// finds takes none there.
  private func tokenPlace(at listener: Listener) async throws(SystemError) -> TokenPlace {
    guard call.token != nil else { return .header }
    let (request, arrival) = try await arrive(at: listener, token: nil, in: .header)
    guard case .request = arrival else { return .header }
    do throws(Refusal) {
      try engine.look(at: request)
      let route = try engine.router.route(request)
      guard case .checked(let settings, _, _) = route.settings.access,
        !settings.places.contains(.header)
      else { return .header }
      return settings.places.first ?? .header
    } catch {
      return .header
    }
  }

  /// The request as the gateway's own parser takes it from a socket.
  private func arrive(
    at listener: Listener, token: [UInt8]?, in place: TokenPlace
  ) async throws(SystemError) -> (Request, ServerConnection.Arrival) {
    let (ours, theirs) = try Socket.pair(on: engine.loop)
    client = theirs
    let head = call.head(token: token, in: place)
    let buffer = Buffer(capacity: head.count)
    buffer.append(head)
    let connection = ServerConnection(
      ByteStream(ours), waiter: Waiter(on: engine.loop), buffers: engine.buffers,
      limits: engine.connectionLimits)
    while !buffer.isEmpty, case .bytes = theirs.write(from: buffer) {}
    let arrival = await connection.nextRequest()
    let request = Request(
      connection, listener: listener,
      peer: Peer(address: Array("(the caller's address)".utf8), isTrusted: false))
    request.reset(startedNs: Clock.monotonicNs())
    return (request, arrival)
  }
}
