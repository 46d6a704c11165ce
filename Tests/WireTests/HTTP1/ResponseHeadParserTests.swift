import Testing
import Wire

/// What a response's head comes to, in text that a test can compare.
private func parseResponse(
  _ input: [UInt8], answering method: Wire.Method = .get, cuts: [Int] = [],
  limits: ResponseHeadLimits = ResponseHeadLimits(headBytesMax: 32768)
) -> Result<String?, ResponseFault> {
  var parser = ResponseHeadParser(limits: limits)
  var head = ResponseHead()
  for end in cuts + [input.count] {
    do throws(ResponseFault) {
      let bytes = input.span.extracting(0..<end)
      guard try parser.parse(bytes, answering: method, into: &head) == .complete else { continue }
      let reason = String(decoding: input[head.reason], as: UTF8.self)
      let fields = head.fields.map { line in
        let name = String(decoding: input[line.name], as: UTF8.self)
        return "\(line.isHopByHop ? "-" : "+")\(name)"
      }
      return .success(
        "\(head.status) '\(reason)' 1.\(head.minorVersion) \(fields.joined(separator: " ")) "
          + "\(head.framing)\(head.keepAlive ? " keepAlive" : "")"
          + "\(head.upgradeAccepted ? " upgrade" : "")\(head.isInterim ? " interim" : "")")
    } catch {
      return .failure(error)
    }
  }
  return .success(nil)
}

private func expectSame(
  _ input: [UInt8], answering method: Wire.Method = .get,
  limits: ResponseHeadLimits = ResponseHeadLimits(headBytesMax: 32768)
) -> Result<String?, ResponseFault> {
  let whole = parseResponse(input, answering: method, limits: limits)
  for cut in 0...input.count {
    #expect(
      parseResponse(input, answering: method, cuts: [cut], limits: limits) == whole,
      "cut after byte \(cut)")
  }
  let all = Array(0...input.count)
  #expect(parseResponse(input, answering: method, cuts: all, limits: limits) == whole)
  return whole
}

struct ResponseHeadParserTests {
  @Test(arguments: [
    (
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "200 'OK' 1.1 +Content-Length length(5) keepAlive"
    ),
    ("HTTP/1.1 200\r\nContent-Length: 0\r\n", "200 '' 1.1 +Content-Length length(0) keepAlive"),
    ("HTTP/1.1 200 \r\nContent-Length: 0\r\n", "200 '' 1.1 +Content-Length length(0) keepAlive"),
    (
      "HTTP/1.1 200  é\tb\r\nContent-Length: 0\r\n",
      "200 ' é\tb' 1.1 +Content-Length length(0) keepAlive"
    ),
    (
      "HTTP/1.1 999 X\r\nTransfer-Encoding: chunked\r\n",
      "999 'X' 1.1 -Transfer-Encoding chunked keepAlive"
    ),
    ("HTTP/1.1 200 OK\r\n", "200 'OK' 1.1  untilClose"),
    ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n", "200 'OK' 1.0 +Content-Length length(1)"),
    (
      "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n",
      "200 'OK' 1.0 +Content-Length -Connection length(1) keepAlive"
    ),
    (
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close, x\r\nX: 1\r\nKeep-Alive: 1\r\n",
      "200 'OK' 1.1 +Content-Length -Connection -X -Keep-Alive length(1)"
    ),
    ("HTTP/1.1 204 No Content\r\n", "204 'No Content' 1.1  none keepAlive"),
    (
      "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n",
      "204 'No Content' 1.1 +Content-Length none keepAlive"
    ),
    // Content that a 204 can't have, but may be on its way.
    (
      "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n",
      "204 'No Content' 1.1 +Content-Length none"
    ),
    (
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n",
      "304 'Not Modified' 1.1 +Content-Length none keepAlive"
    ),
    ("HTTP/1.1 100 Continue\r\n", "100 'Continue' 1.1  none keepAlive interim"),
    (
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n",
      "103 'Early Hints' 1.1 +Link none keepAlive interim"
    ),
    (
      "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n",
      "101 'Switching' 1.1 -Upgrade -Connection none keepAlive upgrade"
    ),
    (
      "HTTP/1.1 200 OK\r\nServer: x\r\nProxy-Authenticate: Basic\r\nProxy_Connection: x\r\n",
      "200 'OK' 1.1 +Server -Proxy-Authenticate -Proxy_Connection untilClose"
    ),
  ])
  func `reads a response the same however its bytes arrive`(_ head: String, _ expected: String) {
    let input = Array("\(head)\r\n".utf8)
    #expect(expectSame(input) == .success(expected))
  }

  @Test func `finds no content in an answer to HEAD`() {
    for fields in ["Content-Length: 5", "Transfer-Encoding: chunked", "X: 1"] {
      let name = fields.prefix { $0 != ":" }
      let sign = name == "Transfer-Encoding" ? "-" : "+"
      #expect(
        expectSame(Array("HTTP/1.1 200 OK\r\n\(fields)\r\n\r\n".utf8), answering: .head)
          == .success("200 'OK' 1.1 \(sign)\(name) none keepAlive"))
    }
  }

  @Test(arguments: [
    ("HTTP/1.1 20 OK\r\n\r\n", Malformation.statusLineInvalid),
    ("HTTP/1.1 2000 OK\r\n\r\n", .statusLineInvalid),
    ("HTTP/1.1 099 OK\r\n\r\n", .statusLineInvalid),
    ("HTTP/1.1 2x0 OK\r\n\r\n", .statusLineInvalid),
    ("HTTP/1.1  200 OK\r\n\r\n", .statusLineInvalid),
    ("HTTP/1.1 200OK\r\n\r\n", .statusLineInvalid),
    ("HTTP/1.1\t200 OK\r\n\r\n", .statusLineInvalid),
    ("http/1.1 200 OK\r\n\r\n", .statusLineInvalid),
    ("ICY 200 OK\r\n\r\n", .statusLineInvalid),
    ("HTTP/1.1\r\n\r\n", .statusLineInvalid),
    ("\r\nHTTP/1.1 200 OK\r\n\r\n", .statusLineInvalid),
    ("HTTP/1.1 200 OK\n\n", .bareLineFeed),
    ("HTTP/1.1 200 O\0K\r\n\r\n", .controlCharacter),
    ("HTTP/1.1 200 OK\r\nX : a\r\n\r\n", .spaceBeforeColon),
    ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", .foldedLine),
    ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", .contentLengthRepeated),
    (
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      .framingAmbiguous
    ),
    ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncodingInHTTP10),
    ("HTTP/1.1 304 X\r\nContent-Length: 1, 1\r\n\r\n", .contentLengthInvalid),
  ])
  func `refuses what has two readings or none`(_ head: String, _ fault: Malformation) {
    #expect(expectSame(Array(head.utf8)) == .failure(ResponseFault.malformed(fault)))
  }

  @Test func `refuses versions and codings it does not speak`() {
    #expect(
      expectSame(Array("HTTP/2.0 200 OK\r\n\r\n".utf8))
        == .failure(ResponseFault.versionUnsupported))
    #expect(
      expectSame(Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".utf8))
        == .failure(ResponseFault.transferCodingUnknown))
  }

  @Test func `accepts a head of exactly the limits and nothing beyond them`() {
    let input = Array("HTTP/1.1 204 X\r\nA: 1\r\nB: 2\r\n\r\n".utf8)
    func reading(_ bytes: Int, _ count: Int) -> Result<String?, ResponseFault> {
      expectSame(input, limits: ResponseHeadLimits(headBytesMax: bytes, fieldCountMax: count))
    }
    #expect(reading(input.count, 2) == .success("204 'X' 1.1 +A +B none keepAlive"))
    #expect(reading(input.count - 1, 2) == .failure(ResponseFault.headTooLarge))
    #expect(reading(input.count, 1) == .failure(ResponseFault.tooManyFields))
  }

  @Test func `reads an interim head and the final one behind it`() throws {
    let interim = "HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n"
    let input = Array("\(interim)HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".utf8)
    var parser = ResponseHeadParser(limits: ResponseHeadLimits(headBytesMax: 999))
    var head = ResponseHead()
    #expect(try parser.parse(input.span, answering: .get, into: &head) == .complete)
    #expect(head.isInterim && head.byteCount == interim.utf8.count)
    let rest = input.span.extracting(head.byteCount...)
    #expect(try parser.parse(rest, answering: .get, into: &head) == .complete)
    #expect(head.status == 200 && head.framing == .length(2) && head.fields.count == 1)
  }
}
