import Testing
import Wire

/// A request that reads as something.
struct GoodRequest: CustomTestStringConvertible, Sendable {
  var name: String
  var input: String
  /// As `RequestReading` describes itself, without the length.
  var expected: String
  var testDescription: String { name }

  init(_ name: String, _ input: String, _ expected: String) {
    self.name = name
    self.input = input
    self.expected = expected
  }

  static let all: [GoodRequest] = [
    GoodRequest(
      "origin form", "GET /a?b=c HTTP/1.1\r\nHost: Example.com:8080\r\n\r\n",
      "GET origin /a ?b=c @example.com:8080 1.1 [+Host=Example.com:8080] none keepAlive"),
    GoodRequest(
      "a leading empty line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET origin / @a 1.1 [+Host=a] none keepAlive"),
    GoodRequest(
      "an empty query, a second question mark", "GET /?? HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET origin / ?? @a 1.1 [+Host=a] none keepAlive"),
    GoodRequest(
      "HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "GET origin / @ 1.0 [] none"),
    GoodRequest(
      "HTTP/1.0 kept alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
      "GET origin / @ 1.0 [-Connection=Keep-Alive] none keepAlive"),
    GoodRequest(
      "close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, CLOSE\r\n\r\n",
      "GET origin / @a 1.1 [+Host=a, -Connection=keep-alive, CLOSE] none"),
    GoodRequest(
      "a content length with zeros in front",
      "PUT / HTTP/1.1\r\nHost: a\r\ncontent-length: 0012\r\n\r\n",
      "PUT origin / @a 1.1 [+Host=a, +content-length=0012] length(12) keepAlive"),
    GoodRequest(
      "chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \tChunked \r\n\r\n",
      "POST origin / @a 1.1 [+Host=a, -Transfer-Encoding=Chunked] chunked keepAlive"),
    GoodRequest(
      "blanks and emptiness", "GET / HTTP/1.1\r\nHost: \t a \t\r\nX:\r\nY: \r\nZ:a  b\r\n\r\n",
      "GET origin / @a 1.1 [+Host=a, +X=, +Y=, +Z=a  b] none keepAlive"),
    GoodRequest(
      "obs-text and a tab in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: é\tü\r\n\r\n",
      "GET origin / @a 1.1 [+Host=a, +X=é\tü] none keepAlive"),
    GoodRequest(
      "every token character in a name",
      "GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09AZaz: 1\r\n\r\n",
      "GET origin / @a 1.1 [+Host=a, +!#$%&'*+-.^_`|~09AZaz=1] none keepAlive"),
    GoodRequest(
      "absolute form", "GET http://A.b/c?d HTTP/1.1\r\nHost: a.B.:80\r\n\r\n",
      "GET absolute /c ?d @a.b 1.1 [+Host=a.B.:80] none keepAlive"),
    GoodRequest(
      "absolute form without path", "GET HTTPS://a:444?d HTTP/1.1\r\nHost: a:444\r\n\r\n",
      "GET absolute  ?d @a:444 1.1 [+Host=a:444] none keepAlive"),
    GoodRequest(
      "asterisk form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
      "OPTIONS asterisk  @a 1.1 [+Host=a] none keepAlive"),
    GoodRequest(
      "asterisk form, absolutely", "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
      "OPTIONS asterisk  @a 1.1 [+Host=a] none keepAlive"),
    GoodRequest(
      "another method", "get /| HTTP/1.1\r\nHost: a\r\n\r\n",
      "get origin /| @a 1.1 [+Host=a] none keepAlive"),
    GoodRequest(
      "an IPv6 host", "GET / HTTP/1.1\r\nHost: [2001:DB8:0::1]:8443\r\n\r\n",
      "GET origin / @[2001:db8::1]:8443 1.1 [+Host=[2001:DB8:0::1]:8443] none keepAlive"),
    GoodRequest(
      "100-continue",
      "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n",
      "POST origin / @a 1.1 [+Host=a, +Expect=100-Continue, +Content-Length=5] length(5) "
        + "keepAlive expectsContinue"),
    GoodRequest(
      "100-continue without content", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
      "GET origin / @a 1.1 [+Host=a, +Expect=100-continue] none keepAlive"),
    GoodRequest(
      "an upgrade",
      "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
      "GET origin / @a 1.1 [+Host=a, -Upgrade=websocket, -Connection=Upgrade] none "
        + "keepAlive upgrade"),
    GoodRequest(
      "an upgrade that Connection does not name",
      "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
      "GET origin / @a 1.1 [+Host=a, -Upgrade=websocket] none keepAlive"),
    GoodRequest(
      "no upgrade in HTTP/1.0",
      "GET / HTTP/1.0\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
      "GET origin / @ 1.0 [-Upgrade=x, -Connection=upgrade] none"),
    GoodRequest(
      "what Connection names, before and behind it",
      "GET / HTTP/1.1\r\nX-A: 1\r\nHost: a\r\nConnection: , x-a,,X_B ,Authorization\r\n"
        + "X-B: 2\r\nx_b: 3\r\nAuthorization: Bearer t\r\nX-AA: 4\r\n\r\n",
      "GET origin / @a 1.1 [-X-A=1, +Host=a, -Connection=, x-a,,X_B ,Authorization, +X-B=2, "
        + "-x_b=3, -Authorization=Bearer t, +X-AA=4] none keepAlive"),
    GoodRequest(
      "a known name that Connection names, and its disguise",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: user-agent\r\nUser-Agent: 1\r\n"
        + "User_Agent: 2\r\n\r\n",
      "GET origin / @a 1.1 [+Host=a, -Connection=user-agent, -User-Agent=1, +User_Agent=2] none "
        + "keepAlive"),
    GoodRequest(
      "what Connection names is still heeded",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: host, content-length\r\n\r\n",
      "POST origin / @a 1.1 [-Host=a, -Content-Length=3, -Connection=host, content-length] "
        + "length(3) keepAlive"),
    GoodRequest(
      "hop-by-hop by nature",
      "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X\r\nKeep-Alive: 5\r\n"
        + "Proxy-Connection: close\r\nProxy-Authorization: Basic eA==\r\nHTTP2-Settings: x\r\n\r\n",
      "GET origin / @a 1.1 [+Host=a, -TE=trailers, -Trailer=X, -Keep-Alive=5, "
        + "-Proxy-Connection=close, -Proxy-Authorization=Basic eA==, -HTTP2-Settings=x] none "
        + "keepAlive"),
  ]
}

/// A request that is refused, and why.
struct BadRequest: CustomTestStringConvertible, Sendable {
  var input: [UInt8]
  var fault: RequestFault
  var testDescription: String {
    "\(String(decoding: input, as: UTF8.self).debugDescription.prefix(70))"
  }

  init(_ input: String, _ fault: RequestFault) {
    self.input = Array(input.utf8)
    self.fault = fault
  }

  init(_ input: String, _ malformation: Malformation) {
    self.init(input, .malformed(malformation))
  }

  /// A request whose field lines, beside Host, are these.
  init(fields: String, _ malformation: Malformation) {
    self.init("POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n", .malformed(malformation))
  }

  init(target: String, _ malformation: Malformation, host: String = "a") {
    self.init("GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n", .malformed(malformation))
  }

  static let lines: [BadRequest] = [
    BadRequest("GET / HTTP/1.1\nHost: a\n\n", .bareLineFeed),
    BadRequest("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", .bareLineFeed),
    BadRequest("GET / HTTP/1.1\r\nHost: a\r\n\n", .bareLineFeed),
    BadRequest("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .bareLineFeed),
    BadRequest("GET / HTTP/1.1\r\nHost: a\r\rX: b\r\n\r\n", .bareCarriageReturn),
    BadRequest("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", .bareCarriageReturn),
    BadRequest("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", .bareCarriageReturn),
    BadRequest("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest("\u{16}\u{3}\u{1}\u{2}\0\u{1}", .controlCharacter),
    BadRequest(fields: "X: a\0b", .controlCharacter),
    BadRequest(fields: "X: a\u{7F}b", .controlCharacter),
    BadRequest(fields: "X: a\u{B}b", .controlCharacter),
    BadRequest(fields: "X\0: ab", .controlCharacter),
  ]

  static let requestLines: [BadRequest] = [
    BadRequest("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", .methodInvalid),
    BadRequest("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", .methodInvalid),
    BadRequest("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", .methodInvalid),
    BadRequest("GÉT / HTTP/1.1\r\nHost: a\r\n\r\n", .methodInvalid),
    BadRequest("GET\r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest("GET /\r\n", .requestLineInvalid),
    BadRequest("GET / \r\n", .requestLineInvalid),
    BadRequest("GET / HTTP/1.1x\r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest("GET / http/1.1\r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest("GET / HTTP/1\r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest("GET / HTTP/11\r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest("GET / HTTP/1,1\r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest("GET / a HTTP/1.1\r\nHost: a\r\n\r\n", .requestLineInvalid),
    BadRequest("GET / HTTP/1.2\r\nHost: a\r\n\r\n", .versionUnsupported),
    BadRequest("GET / HTTP/0.9\r\nHost: a\r\n\r\n", .versionUnsupported),
    BadRequest("GET / HTTP/3.0\r\nHost: a\r\n\r\n", .versionUnsupported),
    BadRequest("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .versionUnsupported),
    BadRequest("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", .connectMethod),
    BadRequest(target: "/a#b", .targetInvalid),
    BadRequest(target: "/é", .targetInvalid),
    BadRequest(target: "/\t", .targetInvalid),
    BadRequest(target: "a", .targetFormInvalid),
    BadRequest(target: "?a", .targetFormInvalid),
    BadRequest(target: "*", .targetFormInvalid),
    BadRequest(target: "a:80", .targetFormInvalid),
    BadRequest(target: "ftp://a/", .targetFormInvalid),
    BadRequest(target: "http:/a/", .targetFormInvalid),
    BadRequest(target: "http:a", .targetFormInvalid),
    BadRequest(target: "httpss://a/", .targetFormInvalid),
    BadRequest(target: "http://", .authorityInvalid),
    BadRequest(target: "http:///a", .authorityInvalid),
    BadRequest(target: "http://u@a/", .authorityInvalid),
    BadRequest(target: "http://u:p@a/", .authorityInvalid),
    BadRequest(target: "http://a:b/", .authorityInvalid),
    BadRequest(target: "http://a%2fb/", .authorityInvalid),
    BadRequest(target: "http://a\\b/", .authorityInvalid),
    BadRequest(target: "http://b/", .authorityDisagrees),
    BadRequest(target: "http://a:81/", .authorityDisagrees),
    BadRequest(target: "https://a:80/", .authorityDisagrees),
    BadRequest("OPTIONS *a HTTP/1.1\r\nHost: a\r\n\r\n", .targetFormInvalid),
    BadRequest("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", .authorityDisagrees),
  ]

  static let fieldLines: [BadRequest] = [
    BadRequest(fields: " X: a", .foldedLine),
    BadRequest(fields: "X: a\r\n b", .foldedLine),
    BadRequest(fields: "X: a\r\n\tb", .foldedLine),
    BadRequest("GET / HTTP/1.1\r\n Host: a\r\n\r\n", .foldedLine),
    BadRequest(fields: "X : a", .spaceBeforeColon),
    BadRequest(fields: "X\t: a", .spaceBeforeColon),
    BadRequest(fields: "Transfer-Encoding : chunked", .spaceBeforeColon),
    BadRequest(fields: "X Y: a", .fieldNameInvalid),
    BadRequest(fields: ": a", .fieldNameInvalid),
    BadRequest(fields: "X(: a", .fieldNameInvalid),
    BadRequest(fields: "Xé: a", .fieldNameInvalid),
    BadRequest(fields: "\"X\": a", .fieldNameInvalid),
    BadRequest(fields: "X", .colonMissing),
    BadRequest(fields: "GET / HTTP/1.1", .fieldNameInvalid),
    BadRequest("GET / HTTP/1.1\r\n\r\n", .hostMissing),
    BadRequest("GET http://a/ HTTP/1.1\r\n\r\n", .hostMissing),
    BadRequest(fields: "Host: a", .hostRepeated),
    BadRequest(fields: "hOST: b", .hostRepeated),
    BadRequest("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", .hostRepeated),
    BadRequest(target: "/", .hostInvalid, host: ""),
    BadRequest(target: "/", .hostInvalid, host: "a b"),
    BadRequest(target: "/", .hostInvalid, host: "a, b"),
    BadRequest(target: "/", .hostInvalid, host: "u@a"),
    BadRequest(target: "/", .hostInvalid, host: "a/b"),
    BadRequest(target: "/", .hostInvalid, host: "a:0"),
    BadRequest(target: "/", .hostInvalid, host: "[::1"),
    BadRequest("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", .hostInvalid),
    BadRequest(fields: "Connection: a b", .connectionOptionInvalid),
    BadRequest(fields: "Connection: a;b", .connectionOptionInvalid),
    BadRequest(
      fields: "Connection: " + (0...32).map { "x\($0)" }.joined(separator: ","),
      .connectionOptionInvalid),
  ]

  static let framing: [BadRequest] = [
    BadRequest(fields: "Content-Length:", .contentLengthInvalid),
    BadRequest(fields: "Content-Length: +1", .contentLengthInvalid),
    BadRequest(fields: "Content-Length: -1", .contentLengthInvalid),
    BadRequest(fields: "Content-Length: 1 2", .contentLengthInvalid),
    BadRequest(fields: "Content-Length: 1, 1", .contentLengthInvalid),
    BadRequest(fields: "Content-Length: 0x1", .contentLengthInvalid),
    BadRequest(fields: "Content-Length: 1a", .contentLengthInvalid),
    BadRequest(fields: "Content-Length: 1.0", .contentLengthInvalid),
    BadRequest(fields: "Content-Length: 9223372036854775808", .contentLengthInvalid),
    BadRequest(fields: "Content-Length: 18446744073709551617", .contentLengthInvalid),
    BadRequest(fields: "Content-Length: 1\r\nContent-Length: 1", .contentLengthRepeated),
    BadRequest(fields: "Content-Length: 1\r\ncontent-length: 2", .contentLengthRepeated),
    BadRequest(fields: "Content-Length: 1\r\nTransfer-Encoding: chunked", .framingAmbiguous),
    BadRequest(fields: "Transfer-Encoding: chunked\r\nContent-Length: 0", .framingAmbiguous),
    BadRequest(fields: "Transfer-Encoding: gzip\r\nContent-Length: 0", .framingAmbiguous),
    BadRequest(fields: "Transfer-Encoding:", .transferEncodingInvalid),
    BadRequest(fields: "Transfer-Encoding: ,chunked", .transferEncodingInvalid),
    BadRequest(fields: "Transfer-Encoding: chunked,", .transferEncodingInvalid),
    BadRequest(fields: "Transfer-Encoding: chunked, chunked", .transferEncodingInvalid),
    BadRequest(fields: "Transfer-Encoding: chunked, identity", .transferEncodingInvalid),
    BadRequest(fields: "Transfer-Encoding: chunked;a=b", .transferEncodingInvalid),
    BadRequest(fields: "Transfer-Encoding: \"chunked\"", .transferEncodingInvalid),
    BadRequest(fields: "Transfer-Encoding: chunked gzip", .transferEncodingInvalid),
    BadRequest(fields: "Transfer-Encoding: x;a=\"b,chunked\"", .transferEncodingInvalid),
    BadRequest(
      fields: "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      .transferEncodingInvalid),
    BadRequest(fields: "Transfer_Encoding: chunked", .framingDisguised),
    BadRequest(fields: "Content_Length: 5", .framingDisguised),
    BadRequest(
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncodingInHTTP10),
    BadRequest(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      .transferCodingUnknown),
    BadRequest(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", .transferCodingUnknown),
    BadRequest(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", .transferCodingUnknown),
    BadRequest("GET / HTTP/1.1\r\nHost: a\r\nExpect: a\r\n\r\n", .expectationFailed),
    BadRequest("GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n\r\n", .expectationFailed),
    BadRequest("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100_continue\r\n\r\n", .expectationFailed),
  ]
}

struct RequestHeadParserTests {
  @Test(arguments: GoodRequest.all)
  func `reads a request the same however its bytes arrive`(_ example: GoodRequest) throws {
    let input = Array(example.input.utf8)
    let read = try expectSameReading(input).get()
    let reading = try #require(read)
    #expect(reading.description == example.expected)
    #expect(reading.byteCount == input.count)
    // What follows the head is not looked at.
    #expect(parseRequest(input + Array("\0\nGET".utf8)) == .success(reading))
  }

  @Test(
    arguments: BadRequest.lines + BadRequest.requestLines + BadRequest.fieldLines
      + BadRequest.framing)
  func `refuses what has two readings or none`(_ example: BadRequest) {
    #expect(expectSameReading(example.input) == .failure(example.fault))
  }

  @Test func `is incomplete until the last byte`() {
    let input = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    for count in 0..<input.count {
      #expect(parseRequest(Array(input.prefix(count))) == .success(nil))
    }
  }

  @Test func `accepts a head of exactly the limits and nothing beyond them`() throws {
    let line = "GET /0123456789 HTTP/1.1"
    let fields = "Host: a\r\nX: 1\r\n\r\n"
    let input = Array("\(line)\r\n\(fields)".utf8)
    func limits(_ line: Int, _ head: Int, _ count: Int) -> RequestHeadLimits {
      RequestHeadLimits(requestLineBytesMax: line, headBytesMax: head, fieldCountMax: count)
    }
    let exact = limits(line.utf8.count, fields.utf8.count, 2)
    #expect(try expectSameReading(input, limits: exact).get() != nil)
    #expect(
      expectSameReading(input, limits: limits(line.utf8.count - 1, 999, 99))
        == .failure(RequestFault.requestLineTooLong))
    #expect(
      expectSameReading(input, limits: limits(99, fields.utf8.count - 1, 99))
        == .failure(RequestFault.headersTooLarge))
    #expect(
      expectSameReading(input, limits: limits(99, 999, 1)) == .failure(RequestFault.tooManyFields))
  }

  @Test func `reports a line that is too long before it ends`() {
    let limits = RequestHeadLimits(requestLineBytesMax: 20, headBytesMax: 30, fieldCountMax: 9)
    #expect(
      parseRequest([UInt8](repeating: 0x41, count: 22), limits: limits)
        == .failure(RequestFault.requestLineTooLong))
    #expect(
      parseRequest(
        Array("GET / HTTP/1.1\r\n".utf8) + [UInt8](repeating: 0x41, count: 30), limits: limits)
        == .failure(RequestFault.headersTooLarge))
  }

  @Test func `reads the next head with the same parser and head`() throws {
    var parser = RequestHeadParser(limits: wideLimits)
    var head = RequestHead()
    let inputs = [
      "POST /a?b HTTP/1.1\r\nHost: abc\r\nConnection: close, x\r\nContent-Length: 3\r\nX: 1\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n", "\r\nGET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n",
    ]
    for text in inputs {
      let input = Array(text.utf8)
      #expect(try parser.parse(input.span, into: &head) == .complete)
      let alone = try parseRequest(input).get()
      #expect(RequestReading(head, input) == alone)
    }
  }

  @Test func `forgets a head that was begun`() throws {
    var parser = RequestHeadParser(limits: wideLimits)
    var head = RequestHead()
    let begun = Array("\r\nGET /abc HTTP/1.1\r\nX".utf8)
    #expect(try parser.parse(begun.span, into: &head) == .incomplete)
    parser.reset()
    let input = Array("\r\nPUT /a HTTP/1.0\r\n\r\n".utf8)
    #expect(try parser.parse(input.span, into: &head) == .complete)
    #expect(head.method == .put)
  }

  /// Not a measurement: a quadratic scan of this head would take minutes.
  @Test func `takes a large head byte by byte in linear time`() throws {
    let limits = RequestHeadLimits(
      requestLineBytesMax: 8192, headBytesMax: 1 << 20, fieldCountMax: 100)
    let value = String(repeating: "a", count: 200_000)
    let input = Array("GET / HTTP/1.1\r\nHost: a\r\nX: \(value)\r\n\r\n".utf8)
    var parser = RequestHeadParser(limits: limits)
    var head = RequestHead()
    for end in 0..<input.count {
      #expect(try parser.parse(input.span.extracting(0..<end), into: &head) == .incomplete)
    }
    #expect(try parser.parse(input.span, into: &head) == .complete)
  }

  @Test func `never traps on anything`() {
    var random = SplitMix64(seed: 20_250_101)
    let seeds = (GoodRequest.all.map { Array($0.input.utf8) })
    let spice: [UInt8] = Array("\r\n\t :,;=?#%/\0\u{7F}*[]@_-019aZ".utf8) + [0x80, 0xFF]
    for _ in 0..<20_000 {
      var input = seeds[Int(random.next() % UInt64(seeds.count))]
      for _ in 0..<(1 + random.next() % 4) {
        let at = Int(random.next() % UInt64(input.count))
        let byte = spice[Int(random.next() % UInt64(spice.count))]
        switch random.next() % 3 {
        case 0: input[at] = byte
        case 1: input.insert(byte, at: at)
        default: if input.count > 1 { input.remove(at: at) }
        }
      }
      let whole = parseRequest(input)
      let cut = Int(random.next() % UInt64(input.count + 1))
      #expect(parseRequest(input, cuts: [cut]) == whole)
    }
  }
}
