import Reactor
import TestSupport
import Testing
import Wire

@testable import Gateway

/// What the gateway says by itself, and what it logs, over a connection.
struct AnswersTests {
  private static let routes = """
    [
      {"name": "fixed", "match": {"path": "/fixed", "methods": "GET"},
       "authenticate": "none", "respond": {"status": 200, "headers": {"X-A": "b"}, "body": "hi"}},
      {"name": "empty", "match": {"path": "/empty"}, "authenticate": "none",
       "respond": {"status": 204}},
      {"name": "any", "match": {"path": "/any/*"}, "authenticate": "none", "respond": {}}
    ]
    """

  private func refusal(_ answer: Answer) throws -> JSONNode {
    #expect(answer.head.contains("\r\nContent-Type: application/problem+json\r\n"))
    let json = try JSONParser(.strict, bytesMax: 1 << 16).parse(answer.content)
    #expect(json["status"]?.integer == Int64(answer.status))
    #expect(json.text("type") == "about:blank")
    return json
  }

  @Test func `answers by itself, and a HEAD without the content`() async throws {
    let gateway = try RunningGateway(routes: Self.routes)
    let caller = try gateway.connect()
    try caller.send("GET /fixed HTTP/1.1\r\nHost: x\r\n\r\n")
    let answer = try caller.receiveAnswer()
    #expect((answer.status, answer.content.text) == (200, "hi"))
    #expect(answer.head.contains("\r\nX-A: b\r\n"))
    try caller.send("HEAD /fixed HTTP/1.1\r\nHost: x\r\n\r\n")
    let head = try caller.receiveAnswer(toHead: true)
    #expect(head.head.contains("\r\nContent-Length: 2\r\n"))
    try caller.send("DELETE /empty HTTP/1.1\r\nHost: x\r\n\r\n")
    let empty = try caller.receiveAnswer()
    #expect(empty.status == 204)
    #expect(!empty.head.contains("Content-Length"))
    try caller.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(try caller.receiveAnswer().status == 204)
    let log = try gateway.finish()
    #expect(log.map { $0.text("route") } == ["fixed", "fixed", "empty", nil])
    #expect(log.map { $0.text("method") } == ["GET", "HEAD", "DELETE", "OPTIONS"])
    #expect(log.allSatisfy { $0.text("reason") == nil })
  }

  @Test(
    arguments: [
      ("GET /none HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no_route", false),
      ("POST /fixed HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed", false),
      ("TRACE /any HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed", false),
      ("GET /any/a%5Cb HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed_request", true),
      ("GET /any/a%2Fb HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed_request", true),
      ("GET /any/a;b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed_request", true),
      ("GET /any HTTP/1.1\r\n\r\n", 400, "malformed_request", true),
      ("nonsense\r\n\r\n", 400, "malformed_request", true),
      ("GET /any HTTP/3.0\r\nHost: x\r\n\r\n", 505, "version_unsupported", true),
      ("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 501, "not_implemented", true),
      (
        "POST /any HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501,
        "not_implemented", true
      ),
      ("GET /any HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417, "expectation_failed", true),
      (
        "GET /\(String(repeating: "a", count: 9_000)) HTTP/1.1\r\n", 414, "request_line_too_long",
        true
      ),
      (
        "GET /any HTTP/1.1\r\nHost: x\r\nA: \(String(repeating: "a", count: 33_000))\r\n", 431,
        "headers_too_large", true
      ),
      (
        "GET /any HTTP/1.1\r\nHost: x\r\n" + String(repeating: "a: b\r\n", count: 101), 431,
        "headers_too_large", true
      ),
    ])
  func `refuses with a problem, and keeps the connection where it can`(
    _ request: String, _ status: Int, _ reason: String, _ closes: Bool
  ) async throws {
    let gateway = try RunningGateway(routes: Self.routes)
    let caller = try gateway.connect()
    try caller.send(request)
    let answer = try caller.receiveAnswer()
    #expect(answer.status == status)
    #expect(try refusal(answer).text("reason") == reason)
    #expect(answer.head.contains("\r\nConnection: close\r\n") == closes)
    if status == 405 {
      let allowed =
        request.hasPrefix("TRACE")
        ? "Allow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n" : "Allow: GET, HEAD\r\n"
      #expect(answer.head.contains(allowed))
    }
    if closes {
      #expect(try caller.isEnded())
    } else {
      try caller.send("GET /any HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(try caller.receiveAnswer().status == 200)
    }
    let log = try #require(try gateway.finish().first)
    #expect(log.text("reason") == reason)
    #expect(log["status"]?.integer == Int64(status))
  }

  @Test func `content that nobody wants is dropped, and no request taken for it`() async throws {
    let gateway = try RunningGateway(routes: Self.routes)
    let caller = try gateway.connect()
    let next = "GET /fixed HTTP/1.1\r\nHost: x\r\n\r\n"
    try caller.send("POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: \(next.utf8.count)\r\n\r\n")
    try caller.send(next)
    try caller.send(next)
    #expect(try caller.receiveAnswer().status == 404)
    #expect(try caller.receiveAnswer().content.text == "hi")
    // More of it, or content whose end nobody knows, ends the connection.
    for content in ["Content-Length: 70000", "Transfer-Encoding: chunked"] {
      let other = try gateway.connect()
      try other.send("POST /none HTTP/1.1\r\nHost: x\r\n\(content)\r\n\r\n")
      #expect(try other.receiveAnswer().head.contains("\r\nConnection: close\r\n"))
      #expect(try other.isEnded())
    }
    #expect(try gateway.finish().count == 4)
  }

  @Test func `every line of the log is JSON, whatever callers send`() async throws {
    let gateway = try RunningGateway(routes: Self.routes)
    let caller = try gateway.connect()
    let agents: [[UInt8]] = [
      Array("\"}{\"reason\":\"forged\\".utf8), [0xFF, 0xFE, 0x80], [0xC3, 0x28], [9, 9, 65],
      Array("üñí ".utf8), [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x80, 0xA8],
      (0x80...0xFF).map { $0 }, (0x20...0x7E).map { $0 },
    ]
    // Refused before anything of it is understood.
    try caller.send(
      Array("GET /any/%22%7D%0b HTTP/1.1\r\nHost: x\r\nUser-Agent: ".utf8) + agents[0]
        + [13, 10, 13, 10])
    _ = try? caller.receiveToEnd()
    let other = try gateway.connect()
    for agent in agents {
      try other.send(
        Array("X-ODD /any/%22%7D?secret HTTP/1.1\r\nHost: x\r\nUser-Agent: ".utf8) + agent
          + [13, 10, 13, 10])
      #expect(try other.receiveAnswer().status == 200)
    }
    let log = try gateway.finish()
    #expect(log.count == agents.count + 1)
    for (line, agent) in zip(log.dropFirst(), agents) {
      let trimmed = Array(
        agent.drop { $0 == 9 || $0 == 32 }.reversed().drop { $0 == 9 || $0 == 32 }.reversed())
      #expect(line.text("user_agent") == String(decoding: trimmed, as: UTF8.self))
      #expect(line.text("method") == "X-ODD")
      #expect(line.text("path") == "/any/%22%7D")
      #expect(line.text("reason") == nil)
      #expect(line["status"]?.integer == 200)
    }
  }
}
