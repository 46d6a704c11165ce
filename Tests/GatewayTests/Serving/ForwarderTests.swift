import Reactor
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Gateway

private let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

private func ok(_ content: String, _ fields: String = "") -> String {
  "HTTP/1.1 200 OK\r\nContent-Length: \(content.utf8.count)\r\n\(fields)\r\n\(content)"
}

struct ForwarderTests {
  @Test func `answers requests one after the other on one connection to the server`() async throws {
    let server = try ScriptedServer([
      { peer in
        for number in 0..<3 {
          let head = try peer.receive(through: "\r\n\r\n").text
          #expect(head.hasPrefix("GET /\(number)?q HTTP/1.1\r\nHost: 127.0.0.1:"))
          try peer.send(ok("answer \(number)"))
        }
      }
    ])
    let gateway = try RunningGateway.forwarding(to: server)
    let caller = try gateway.connect()
    // All in one piece: they are served in order.
    try caller.send((0..<3).map { "GET /\($0)?q HTTP/1.1\r\nHost: x\r\n\r\n" }.joined())
    for number in 0..<3 {
      #expect(try caller.receiveAnswer().content.text == "answer \(number)")
    }
    let log = try gateway.finish()
    #expect(log.map { $0.text("path") } == ["/0", "/1", "/2"])
    #expect(server.connectionCount == 1)
    try server.finish()
  }

  @Test(
    arguments: [
      (
        "chunked",
        "Transfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\nX-T: 1\r\n\r\n"
      ),
      ("length", "Content-Length: 11\r\n\r\nhello world"),
      ("until the end", "\r\nhello world"),
    ])
  func `passes an answer on, however its bytes come`(_ name: String, _ answer: String) async throws
  {
    let text = "HTTP/1.1 200 OK\r\n" + answer
    let server = try ScriptedServer(
      (0..<2).map { _ in
        { peer in
          _ = try peer.receive(through: "\r\n\r\n")
          for byte in text.utf8 { try peer.send([byte]) }
        }
      })
    let gateway = try RunningGateway.forwarding(to: server)
    // HTTP/1.1: a framing of the gateway's own.
    let caller = try gateway.connect()
    try caller.send(get)
    if name == "length" {
      #expect(try caller.receiveAnswer().content.text == "hello world")
    } else {
      let head = try caller.receive(through: "\r\n\r\n").text
      #expect(head.contains("\r\nTransfer-Encoding: chunked\r\n"))
      #expect(!head.contains("Content-Length"))
      let content = try caller.receive(through: "\r\n\r\n")
      let decoded = try #require(try decode(content))
      #expect(decoded.content == "hello world")
      #expect(decoded.trailers == (name == "chunked" ? "X-T: 1\r\n" : ""))
    }
    // HTTP/1.0: no chunks; the end of the connection where no length is known.
    let old = try gateway.connect()
    try old.send("GET /a HTTP/1.0\r\n\r\n")
    let whole = try old.receiveToEnd().text
    #expect(whole.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(whole.hasSuffix("\r\n\r\nhello world"))
    #expect(!whole.contains("chunked"))
    _ = try gateway.finish()
    try server.finish()
  }

  private func decode(_ bytes: [UInt8]) throws -> (content: String, trailers: String)? {
    var decoder = ChunkedDecoder()
    var content: [UInt8] = []
    var index = 0
    while true {
      switch try decoder.next(bytes.span, from: index) {
      case .data(let range):
        content += bytes[range]
        index = range.upperBound
      case .needMore: return nil
      case .end: return (content.text, decoder.trailers.bytes.text)
      }
    }
  }

  @Test(
    arguments: [
      ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut", "HTTP/1.1"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncut\r\n", "HTTP/1.1"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncut\r\n", "HTTP/1.0"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncut\r\nnonsense", "HTTP/1.1"),
      ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncut\r\nnonsense", "HTTP/1.0"),
    ])
  func `nobody takes an answer that was cut for whole`(
    _ answer: String, _ version: String
  ) async throws {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send(answer)
      }
    ])
    let gateway = try RunningGateway.forwarding(to: server)
    let caller = try gateway.connect()
    try caller.send("GET /a \(version)\r\nHost: x\r\nUser-Agent: me\r\n\r\n")
    // The reset may come before or behind what there was of the answer.
    #expect(throws: SystemError.self) { try caller.receiveToEnd() }
    let log = try #require(try gateway.finish().first)
    #expect(log.text("aborted") == "upstream")
    #expect(log.text("reason") == "upstream_failed")
    #expect((log.text("method"), log.text("user_agent")) == ("GET", "me"))
    try server.finish()
  }

  @Test(
    arguments: [
      "", "HTTP/1.1 20", "nonsense\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
      String(repeating: "HTTP/1.1 103 Hints\r\n\r\n", count: 17),
    ])
  func `what is no answer is a 502`(_ answer: String) async throws {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try? peer.send(answer)
      }
    ])
    let gateway = try RunningGateway.forwarding(to: server, more: #", "retries": 0"#)
    let caller = try gateway.connect()
    try caller.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    let refusal = try caller.receiveAnswer()
    #expect(refusal.status == 502)
    #expect(refusal.content.text.contains(#""reason":"upstream_failed""#))
    _ = try gateway.finish()
    try server.finish()
  }

  @Test func `interim answers go on before the answer, to callers that know them`() async throws {
    let play: ScriptedServer.Script = { peer in
      _ = try peer.receive(through: "\r\n\r\n")
      try peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\n\r\n")
      try peer.send("HTTP/1.1 100 Continue\r\n\r\n" + ok("done"))
    }
    let server = try ScriptedServer([play, play])
    let gateway = try RunningGateway.forwarding(to: server)
    let caller = try gateway.connect()
    try caller.send(get)
    #expect(
      try caller.receive(through: "\r\n\r\n").text
        == "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    // RFC 9110 §15.2: also the 100 that this caller did not ask for.
    #expect(try caller.receive(through: "\r\n\r\n").text == "HTTP/1.1 100 Continue\r\n\r\n")
    #expect(try caller.receiveAnswer().content.text == "done")
    let old = try gateway.connect()
    try old.send("GET /a HTTP/1.0\r\n\r\n")
    let answer = try old.receiveToEnd().text
    #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
    _ = try gateway.finish()
    try server.finish()
  }

  @Test func `content waits for the server's 100 where the caller does`() async throws {
    let server = try ScriptedServer([
      { peer in
        let head = try peer.receive(through: "\r\n\r\n").text
        #expect(head.contains("\r\nExpect: 100-continue\r\n"))
        try peer.send("HTTP/1.1 100 Continue\r\n\r\n")
        #expect(try peer.receive(through: "hello").text == "hello")
        try peer.send(ok("thanks"))
      }
    ])
    let gateway = try RunningGateway.forwarding(to: server)
    let caller = try gateway.connect()
    try caller.send(
      "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    #expect(try caller.receive(through: "\r\n\r\n").text == "HTTP/1.1 100 Continue\r\n\r\n")
    try caller.send("hello")
    #expect(try caller.receiveAnswer().content.text == "thanks")
    _ = try gateway.finish()
    try server.finish()
  }

  @Test func `a server that is silent while the caller waits for a 100 is the slow one`()
    async throws
  {
    let server = try ScriptedServer([{ peer in _ = try peer.receiveToEnd() }])
    let gateway = try RunningGateway.forwarding(to: server, more: #", "timeout": "50ms""#)
    let caller = try gateway.connect()
    try caller.send(
      "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    let refusal = try caller.receiveAnswer()
    #expect(refusal.status == 504)
    #expect(refusal.content.text.contains(#""reason":"upstream_timeout""#))
    #expect(try caller.isEnded())
    _ = try gateway.finish()
    try server.finish()
  }

  @Test func `content of any size reaches the server as it was sent`() async throws {
    let content = (0..<400_000).map { UInt8(truncatingIfNeeded: $0 &* 13 >> 4) }
    let server = try ScriptedServer([
      { peer in
        for _ in 0..<2 {
          let head = try peer.receive(through: "\r\n\r\n").text
          var got: [UInt8] = []
          if head.contains("chunked") {
            got = try Self.receiveChunked(peer)
          } else {
            while got.count < content.count { got += try peer.receive() }
          }
          #expect(got == content)
          try peer.send(ok("thanks"))
        }
      }
    ])
    let gateway = try RunningGateway.forwarding(to: server)
    let caller = try gateway.connect()
    try caller.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: \(content.count)\r\n\r\n")
    try caller.send(content)
    #expect(try caller.receiveAnswer().content.text == "thanks")
    try caller.send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    var rest = content[...]
    for size in [1, 15, 16, 4_096, 70_000, 1_000_000] where !rest.isEmpty {
      let piece = rest.prefix(size)
      try caller.send(Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [13, 10])
      rest = rest.dropFirst(size)
    }
    try caller.send("0\r\n\r\n")
    #expect(try caller.receiveAnswer().content.text == "thanks")
    let log = try gateway.finish()
    #expect(log.compactMap { $0["bytes_in"]?.integer } == [400_000, 400_000])
    try server.finish()
  }

  private static func receiveChunked(_ peer: FarEnd) throws -> [UInt8] {
    var decoder = ChunkedDecoder()
    var content: [UInt8] = []
    while true {
      let bytes = try peer.receive()
      if bytes.isEmpty { throw Impatience("a chunk") }
      var index = 0
      reading: while true {
        switch try decoder.next(bytes.span, from: index) {
        case .data(let range):
          content += bytes[range]
          index = range.upperBound
        case .needMore: break reading
        case .end: return content
        }
      }
    }
  }

  @Test func `content behind a head that fills a buffer reaches the server`() async throws {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        #expect(try peer.receive(through: "hello").text == "hello")
        try peer.send(ok("thanks"))
      }
    ])
    let gateway = try RunningGateway.forwarding(to: server)
    let caller = try gateway.connect()
    let start = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX: "
    let filler = 32_768 - start.utf8.count - 4
    try caller.send(start + String(repeating: "v", count: filler) + "\r\n\r\n")
    // Only when the head has gone on is there content.
    try caller.send("hello")
    #expect(try caller.receiveAnswer().content.text == "thanks")
    _ = try gateway.finish()
    try server.finish()
  }

  @Test func `the caller's next request is no content of one that a server failed`() async throws {
    let isRead = Latch()
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        #expect(try peer.receive(through: "hello").text == "hello")
        // Hangs up without an answer.
        isRead.open()
      },
      { peer in
        let head = try peer.receive(through: "\r\n\r\n").text
        #expect(head.hasPrefix("GET /next "))
        try peer.send(ok("next"))
      },
    ])
    let gateway = try RunningGateway.forwarding(to: server)
    let caller = try gateway.connect()
    try caller.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    // In a piece of its own, behind the head.
    try caller.send("hel")
    try caller.send("lo")
    isRead.wait()
    #expect(try caller.receiveAnswer().status == 502)
    try caller.send("GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(try caller.receiveAnswer().content.text == "next")
    _ = try gateway.finish()
    try server.finish()
  }

  @Test func `content that is refused does not reach the server whole`() async throws {
    let server = try ScriptedServer([{ peer in _ = try peer.receiveToEnd() }])
    let gateway = try RunningGateway.forwarding(
      to: server, keys: [("limits", #"{"body": "10B"}"#)])
    for content in [
      "Content-Length: 11\r\n\r\nhello world",
      "Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
    ] {
      let caller = try gateway.connect()
      try caller.send("POST /a HTTP/1.1\r\nHost: x\r\n" + content)
      let refusal = try caller.receiveAnswer()
      #expect(refusal.status == 413)
      #expect(refusal.head.contains("\r\nConnection: close\r\n"))
      #expect(try caller.isEnded())
    }
    let caller = try gateway.connect()
    try caller.send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
    #expect(try caller.receiveAnswer().status == 400)
    _ = try gateway.finish()
    try server.finish()
  }

  @Test func `a caller that goes ends the call to the server`() async throws {
    let hasEnded = Latch()
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        hasEnded.open()
        #expect(try peer.receive().isEmpty)
      }
    ])
    let gateway = try RunningGateway.forwarding(to: server)
    let caller = try gateway.connect()
    try caller.send(get)
    hasEnded.wait()
    caller.endSending()
    // Nobody is told anything.
    #expect((try? caller.receiveToEnd().isEmpty) ?? true)
    try server.finish()
    let log = try #require(try gateway.finish().first)
    #expect(log.text("reason") == "caller_gone")
    #expect(log["status"]?.integer == 499)
    #expect(log.text("method") == "GET")
  }

  @Test func `an answer that comes before the content has ended is delivered`() async throws {
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send(ok("enough"))
        _ = try? peer.receiveToEnd()
      }
    ])
    let gateway = try RunningGateway.forwarding(to: server)
    let caller = try gateway.connect()
    try caller.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nstart")
    let answer = try caller.receiveAnswer()
    #expect(answer.content.text == "enough")
    #expect(answer.head.contains("\r\nConnection: close\r\n"))
    #expect(try caller.isEnded())
    _ = try gateway.finish()
    try server.finish()
  }

  @Test func `a caller that reads slowly gets all of a large answer`() async throws {
    let size = 3 << 20
    let server = try ScriptedServer([
      { peer in
        _ = try peer.receive(through: "\r\n\r\n")
        try peer.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
        try peer.send([UInt8](repeating: 9, count: size))
      }
    ])
    let gateway = try RunningGateway.forwarding(to: server)
    let caller = try gateway.connect()
    try caller.send(get)
    #expect(try caller.receiveAnswer().content.count == size)
    _ = try gateway.finish()
    try server.finish()
  }

  @Test func `an idle connection that the server closed is no failure, whatever the method`()
    async throws
  {
    let play: ScriptedServer.Script = { peer in
      _ = try peer.receive(through: "\r\n\r\n")
      try peer.send(ok("one"))
      peer.end()
    }
    let server = try ScriptedServer([play, play, play])
    let gateway = try RunningGateway.forwarding(to: server, more: #", "retries": 0"#)
    let caller = try gateway.connect()
    for method in ["GET", "POST", "DELETE"] {
      try caller.send("\(method) /a HTTP/1.1\r\nHost: x\r\n\r\n")
      let answer = try caller.receiveAnswer()
      // A POST that was written to a connection just closed may not be sent again.
      #expect(answer.status == 200 || method == "POST" && answer.status == 502)
    }
    _ = try gateway.finish()
    try? server.finish()
  }
}

/// Opened by one thread, waited for by another.
final class Latch: Sendable {
  private let semaphore = Semaphore()

  func open() { semaphore.signal() }

  func wait() { semaphore.wait(milliseconds: Stage.patienceMs) }
}
