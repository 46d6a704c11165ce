import HTTP
import Reactor
import TestSupport
import Testing
import Wire

@testable import Gateway

struct ForwardedForTests {
  private static let trusted = ["10.0.0.0/8", "2001:db8::/32"]

  @Test(
    arguments: [
      (["X-Forwarded-For: 1.2.3.4"], "1.2.3.4"),
      (["X-Forwarded-For: 1.2.3.4, 10.0.0.1"], "1.2.3.4"),
      (["X-Forwarded-For: 6.6.6.6, 1.2.3.4,10.0.0.1 ,\t10.0.0.2"], "1.2.3.4"),
      (["X-Forwarded-For: 1.2.3.4", "x-forwarded-for: 10.0.0.1"], "1.2.3.4"),
      (["X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 1.2.3.4"], "1.2.3.4"),
      // All are trusted: the leftmost.
      (["X-Forwarded-For: 10.0.0.3, 10.0.0.1"], "10.0.0.3"),
      (["X-Forwarded-For: 2001:db8::1, 2001:db9::1, 2001:db8::2"], "2001:db9::1"),
      // What can't be read ends the search; what stands left of it is anybody's word.
      (["X-Forwarded-For: 1.2.3.4, unknown, 10.0.0.1"], "10.0.0.1"),
      (["X-Forwarded-For: 1.2.3.4, unknown"], nil), (["X-Forwarded-For: unknown"], nil),
      (["X-Forwarded-For: 1.2.3.4:80"], nil), (["X-Forwarded-For: "], nil),
      (["X-Forwarded-For: ,, ,"], nil), (["X_Forwarded_For: 1.2.3.4"], nil), ([], nil),
      (["X-Forwarded-For: , 1.2.3.4 ,"], "1.2.3.4"),
    ] as [([String], String?)])
  func `the client is the rightmost address that is no trusted proxy's`(
    _ fields: [String], _ client: String?
  ) async throws {
    let ranges = AddressRanges(try Self.trusted.map { try AddressRange($0) })
    let text = (["GET / HTTP/1.1", "Host: x"] + fields).joined(separator: "\r\n") + "\r\n\r\n"
    let buffer = Buffer(capacity: 4_096)
    buffer.append(Array(text.utf8))
    var head = RequestHead()
    var parser = RequestHeadParser(
      limits: .init(requestLineBytesMax: 100, headBytesMax: 4_000, fieldCountMax: 20))
    #expect(try parser.parse(buffer.readable, into: &head) == .complete)
    let found = ForwardedFor.client(head, buffer, trusted: ranges)
    #expect(found?.text == client)
  }

  @Test func `what goes on says who asked, and believes trusted proxies only`() async throws {
    for isTrusted in [false, true] {
      let server = try ScriptedServer([
        { peer in
          let head = try peer.receive(through: "\r\n\r\n").text
          let lines = head.split(separator: "\r\n").map(String.init)
          func all(_ name: String) -> [String] {
            lines.filter { $0.lowercased().hasPrefix(name + ":") }
          }
          #expect(
            all("x-forwarded-for") == [
              isTrusted
                ? "X-Forwarded-For: 1.2.3.4, 5.6.7.8, 127.0.0.1" : "X-Forwarded-For: 127.0.0.1"
            ])
          #expect(
            all("x-forwarded-proto") == ["X-Forwarded-Proto: \(isTrusted ? "https" : "http")"])
          #expect(
            all("x-forwarded-host") == [
              "X-Forwarded-Host: \(isTrusted ? "outside.test" : "x.test")"
            ])
          #expect(all("x-request-id").count == 1)
          #expect((all("x-request-id").first == "X-Request-Id: abc-1") == isTrusted)
          #expect(all("x_request_id").isEmpty)
          #expect(all("forwarded").isEmpty)
          #expect(all("x-forwarded-evil").isEmpty)
          #expect(all("authorization").isEmpty)
          #expect(all("x-named").isEmpty)
          #expect(all("x-kept") == ["X-Kept: yes"])
          try peer.send("HTTP/1.1 204 No Content\r\n\r\n")
        }
      ])
      let gateway = try RunningGateway.forwarding(
        to: server, keys: isTrusted ? [("trustedProxies", #"["127.0.0.0/8"]"#)] : [])
      let caller = try gateway.connect()
      try caller.send(
        """
        GET /a HTTP/1.1\r\nHost: x.test\r\nX_Request_Id: forged\r\nX-Forwarded-For: 1.2.3.4\r
        X-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outside.test\r
        X-Request-Id: abc-1\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Evil: 1\r
        Authorization: Bearer secret\r\nConnection: keep-alive, X-Named\r\nX-Named: 1\r
        X-Kept: yes\r\n\r\n
        """)
      #expect(try caller.receiveAnswer().status == 204)
      let log = try #require(try gateway.finish().first)
      #expect(log.text("client") == (isTrusted ? "5.6.7.8" : "127.0.0.1"))
      #expect((log.text("id") == "abc-1") == isTrusted)
      try server.finish()
    }
  }
}
