import JOSE
import Reactor
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Gateway

/// Whatever a caller sends and a server answers, what goes on is one message that our own parsers
/// read as the one that was meant: rewritten, with nothing of this hop's in it.
struct ForwardedMessageTests {
  private static let requestsPerSeed = 120

  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func `what goes on is the message that was meant`(_ seed: UInt64) async throws {
    let bench = try Bench()
    var random = SplitMix64(seed: seed)
    var caller = try bench.gateway.connect()
    var input: [UInt8] = []
    for number in 0..<Self.requestsPerSeed {
      let label = Comment("seed \(seed), request \(number)")
      let (route, sent, expected) = bench.authorization(&random)
      let request = RandomRequest(
        &random, prefix: route, keepsEmpty: route == "/kept", authorization: sent)
      let answer = RandomAnswer(&random, toHead: request.method == "HEAD")
      bench.play(answer)
      let cut = random.number(in: 0...request.bytes.count)
      try caller.send(Array(request.bytes[..<cut]))
      try caller.send(Array(request.bytes[cut...]))

      if answer.interim != nil, request.minorVersion == 1 {
        let interim = try ReadAnswer(caller, &input, request.method)
        #expect(interim.status == 103 && interim.fields == answer.interim, label)
      }
      let got = try ReadAnswer(caller, &input, request.method)
      let seen = try #require(bench.seen, label)
      #expect(seen.line == "\(request.method) \(request.target) HTTP/1.1", label)
      #expect(seen.content == request.content, label)
      #expect(seen.fields == bench.fields(of: request, authorization: expected), label)
      #expect(got.status == answer.status && got.content == answer.content, label)
      let date = try #require(got.fields.first { $0.name.lowercased() == "date" }, label)
      #expect(
        got.fields
          == Bench.fields(of: answer, to: request, date: date, closes: !got.keepAlive), label)
      if !got.keepAlive {
        #expect(try input.isEmpty && caller.isEnded(), label)
        caller = try bench.gateway.connect()
      }
    }
    #expect(try bench.finish().allSatisfy { $0["reason"] == nil })
  }
}

/// A gateway with two public routes, of which one keeps what it may, one that hands the caller's
/// token on and one that exchanges it, all to one server.
private final class Bench {
  struct Script {
    var answer: RandomAnswer
    /// What came to the server for it.
    var seen: ReadRequest?
  }

  final class Box: Sendable {
    let state = Mutex<Script?>(nil)
    /// The servers' ends, which a gateway that has stopped keeps open as long as it lives.
    let peers = Mutex<[FarEnd]>([])
  }

  let gateway: RunningGateway
  private let box = Box()
  private let server: ScriptedServer
  private let tokenService: ScriptedServer
  private let folder: TemporaryFolder
  private let token: String

  init() throws {
    let issuer = try TestIssuer()
    token = try issuer.token().bytes.text
    folder = try TemporaryFolder(in: "/tmp", name: "tollgate-test")
    try folder.write(issuer.signer.makeKeySet(), to: "keys.json")
    let box = box
    server = try ScriptedServer(
      Array(repeating: { @Sendable peer in try Self.serve(peer, box) }, count: 400))
    tokenService = try ScriptedServer([
      { peer in
        box.peers.withLock { $0.append(peer) }
        _ = try peer.receive(through: "\r\n\r\n")
        let answer = #"{"access_token": "issued", "token_type": "Bearer", "expires_in": 3600}"#
        try peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(answer.utf8.count)\r\n\r\n\(answer)")
        _ = try peer.receiveToEnd()
      }
    ])
    let to = #""to": "http://\#(server.address)""#
    let forward = #""forward": {\#(to)}"#
    gateway = try RunningGateway(
      routes: """
        [{"match": {"path": "/open/*"}, "authenticate": "none", \(forward)},
         {"match": {"path": "/kept/*"}, "authenticate": "none",
          "pathRules": {"emptySegments": "keep"},
          "forward": {\(to), "host": "preserve", "via": false}},
         {"match": {"path": "/pass/*"}, "exchange": "passthrough", \(forward)},
         {"match": {"path": "/swap/*"}, "exchange": {"audience": "orders"}, \(forward)}]
        """,
      keys: [
        (
          "issuers",
          """
          {"corp": {"issuer": "https://login.example.com", "audiences": "api",
           "jwks": "\(folder.file("keys.json"))"}}
          """
        ),
        (
          "exchanges",
          """
          {"corp": {"tokenService": "http://\(tokenService.address)/token",
           "client": {"id": "gateway", "secret": "s"}}}
          """
        ),
      ])
  }

  private static func serve(_ peer: FarEnd, _ box: Box) throws {
    box.peers.withLock { $0.append(peer) }
    var input: [UInt8] = []
    while let request = try ReadRequest(peer, &input) {
      let answer = box.state.withLock { script -> RandomAnswer? in
        script?.seen = request
        return script?.answer
      }
      guard let answer else { return }
      try peer.send(answer.bytes)
      if answer.framing == .untilClose { return peer.end() }
    }
  }

  /// Has the server answer the next request so.
  func play(_ answer: RandomAnswer) { box.state.withLock { $0 = Script(answer: answer) } }

  /// The request that it answered.
  var seen: ReadRequest? { box.state.withLock { $0?.seen } }

  /// A route's prefix, what the caller says there, and what the server must hear.
  func authorization(
    _ random: inout SplitMix64
  ) -> (route: String, sent: Field?, expected: Field?) {
    let own = Field(random.pick(["Authorization", "authorization"]), "Bearer \(token)")
    switch random.number(in: 0...3) {
    case 0: return ("/open", random.pick([nil, own, Field("Authorization", "Basic eA==")]), nil)
    case 1: return ("/kept", random.pick([nil, own]), nil)
    case 2: return ("/pass", own, Field("Authorization", "Bearer \(token)"))
    default: return ("/swap", own, Field("Authorization", "Bearer issued"))
    }
  }

  /// All that the server must see, but for the request's id.
  func fields(of request: RandomRequest, authorization: Field?) -> [Field] {
    let isKept = request.prefix == "/kept"
    let host = isKept ? request.authority : "\(server.address)"
    var fields = [Field("Host", host)] + request.kept
    switch request.framing {
    case .none, .untilClose: break
    case .length: fields.append(Field("Content-Length", String(request.content.count)))
    case .chunked: fields.append(Field("Transfer-Encoding", "chunked"))
    }
    fields += [
      Field("X-Forwarded-For", "127.0.0.1"), Field("X-Forwarded-Proto", "http"),
      Field("X-Forwarded-Host", request.authority), Field("X-Request-Id", "32"),
    ]
    if !isKept { fields.append(Field("Via", "1.\(request.minorVersion) tollgate")) }
    return fields + (authorization.map { [$0] } ?? [])
  }

  /// All that the caller must see; `date` is what it saw, for answers that came without one
  /// (RFC 9110 §6.6.1).
  static func fields(
    of answer: RandomAnswer, to request: RandomRequest, date: Field, closes: Bool
  ) -> [Field] {
    var fields = answer.kept
    switch answer.framing {
    case .none: break
    case .length: fields.append(Field("Content-Length", String(answer.content.count)))
    case .chunked, .untilClose:
      if request.minorVersion == 1 { fields.append(Field("Transfer-Encoding", "chunked")) }
    }
    if !answer.kept.contains(where: { $0.name.lowercased() == "date" }) { fields.append(date) }
    if request.prefix != "/kept" { fields.append(Field("Via", "1.1 tollgate")) }
    if closes {
      fields.append(Field("Connection", "close"))
    } else if request.minorVersion == 0 {
      fields.append(Field("Connection", "keep-alive"))
    }
    return fields
  }

  func finish() throws -> [JSONNode] {
    let log = try gateway.finish()
    for peer in box.peers.withLock({ $0 }) { peer.end() }
    try server.finish()
    try tokenService.finish()
    folder.remove()
    return log
  }
}

/// A request as its parser reads it.
private struct ReadRequest: Sendable {
  let line: String
  var fields: [Field]
  let content: [UInt8]

  /// Takes the next one off `input`, reading on where it must; nil at the end.
  init?(_ peer: FarEnd, _ input: inout [UInt8]) throws {
    var head = RequestHead()
    var parser = RequestHeadParser(limits: wideRequestLimits)
    while try parser.parse(input.span, into: &head) == .incomplete {
      let more = try peer.receive()
      if more.isEmpty { return nil }
      input += more
    }
    line = "\(input[head.methodRange].text) \(input[head.target].text) HTTP/1.\(head.minorVersion)"
    fields = Field.all(head.fields, input)
    #expect(head.fields.allSatisfy { !$0.isHopByHop || $0.known == .transferEncoding })
    if let id = fields.firstIndex(where: { $0.name == "X-Request-Id" }) {
      fields[id].value = Array("\(fields[id].value.count)".utf8)
    }
    input.removeFirst(head.byteCount)
    content = try Field.content(head.framing, peer, &input)
  }
}

/// An answer as its parser reads it.
private struct ReadAnswer {
  let status: Int
  let fields: [Field]
  let content: [UInt8]
  let keepAlive: Bool

  init(_ peer: FarEnd, _ input: inout [UInt8], _ method: String) throws {
    var head = ResponseHead()
    var parser = ResponseHeadParser(limits: ResponseHeadLimits(headBytesMax: 1 << 16))
    let asked = Method.allCases.first { $0.name == method } ?? .other
    while try parser.parse(input.span, answering: asked, into: &head) == .incomplete {
      let more = try peer.receive()
      if more.isEmpty { throw Impatience("an answer") }
      input += more
    }
    status = Int(head.status)
    fields = Field.all(head.fields, input)
    keepAlive = head.keepAlive
    input.removeFirst(head.byteCount)
    content = try Field.content(head.framing, peer, &input)
  }
}

private let wideRequestLimits = RequestHeadLimits(
  requestLineBytesMax: 1 << 14, headBytesMax: 1 << 16, fieldCountMax: 200)

extension Field {
  fileprivate static func all(_ lines: [FieldLine], _ bytes: [UInt8]) -> [Field] {
    lines.map { Field(Array(bytes[$0.name]).text, Array(bytes[$0.value])) }
  }

  /// Takes a message's content off `input`, reading on where it must.
  fileprivate static func content(
    _ framing: BodyFraming, _ peer: FarEnd, _ input: inout [UInt8]
  ) throws -> [UInt8] {
    func readMore() throws {
      let more = try peer.receive()
      if more.isEmpty { throw Impatience("content") }
      input += more
    }
    switch framing {
    case .none: return []
    case .untilClose:
      defer { input = [] }
      return input + (try peer.receiveToEnd())
    case .length(let count):
      while input.count < Int(count) { try readMore() }
      defer { input.removeFirst(Int(count)) }
      return Array(input[..<Int(count)])
    case .chunked:
      var decoder = ChunkedDecoder()
      var content: [UInt8] = []
      var index = 0
      while true {
        switch try decoder.next(input.span, from: index) {
        case .data(let range):
          content += input[range]
          index = range.upperBound
        case .needMore(let consumed):
          index = consumed
          try readMore()
        case .end(let consumed):
          input.removeFirst(consumed)
          return content
        }
      }
    }
  }
}

extension ArraySlice<UInt8> {
  fileprivate var text: String { String(decoding: self, as: UTF8.self) }
}
