import Testing

@testable import Wire

private func lines(_ fields: String) throws -> (RequestHead, [UInt8]) {
  let input = Array("GET / HTTP/1.0\r\n\(fields)\r\n\r\n".utf8)
  var parser = RequestHeadParser(limits: wideLimits)
  var head = RequestHead()
  #expect(try parser.parse(input.span, into: &head) == .complete)
  return (head, input)
}

struct FieldNameTests {
  private static let named = FieldName.allCases.filter { $0 != .other && !$0.isFamily }

  @Test func `fits into a set`() {
    #expect(FieldName.allCases.count <= 64)
    #expect(Set(Self.named.map(\.spelling)).count == Self.named.count)
    var all = FieldNameSet()
    #expect(all.isEmpty)
    for name in FieldName.allCases {
      #expect(!all.contains(name))
      all.insert(name)
      #expect(all.contains(name))
    }
  }

  @Test(arguments: named)
  func `is recognised in every case and under its disguise`(_ name: FieldName) throws {
    let spelling = name.spelling
    let capital = spelling.prefix(1).uppercased() + spelling.dropFirst()
    for spelled in [spelling, spelling.uppercased(), capital] {
      let key = try #require(FieldNameKey(Array(spelled.utf8)))
      #expect(key.known == name)
      #expect(String(decoding: key.spelling, as: UTF8.self) == spelling)
    }
    let disguised = String(spelling.map { $0 == "-" ? "_" : $0 })
    #expect(FieldNameKey(Array(disguised.utf8))?.known == name)
    for other in ["\(spelling)x", "x\(spelling)", "\(spelling)-", String(spelling.dropLast())] {
      let known = FieldNameKey(Array(other.utf8))?.known
      #expect(known == .other || known == .xForwardedOther || known == .accessControlOther)
    }
  }

  @Test(arguments: [
    ("x-forwarded-", FieldName.xForwardedOther), ("X-Forwarded-Anything", .xForwardedOther),
    ("x_forwarded_user", .xForwardedOther), ("x-forwarded", .other), ("x-forwarde-d", .other),
    ("access-control-allow-origin", .accessControlOther), ("access-control", .other),
    ("Access_Control-Max-Age", .accessControlOther),
    ("x-forwarded-with-a-name-of-more-than-thirty-two-bytes", .xForwardedOther),
    ("access-control-request-headers-", .accessControlOther),
    ("a-name-of-more-than-thirty-two-bytes-that-nobody-has", .other),
    ("content-lengthcontent-lengthcontent-length", .other),
  ])
  func `tells families by their prefix`(_ text: String, _ expected: FieldName) {
    #expect(FieldNameKey(Array(text.utf8))?.known == expected)
  }

  @Test(arguments: ["", "a b", "a:", "é", "a\0", "a\r", "(", "a,b"])
  func `refuses a key that is no token`(_ text: String) {
    #expect(FieldNameKey(Array(text.utf8)) == nil)
  }

  @Test func `compares lines by key, with and without underscores`() throws {
    let (head, input) = try lines(
      "X-Tenant: 1\r\nx_tenant: 2\r\nX-Tenants: 3\r\nX-Tenan: 4\r\nxxtenant: 5")
    let key = try #require(FieldNameKey(Array("x-TENANT".utf8)))
    #expect(
      head.fields.map { key.matches($0, in: input.span) } == [true, false, false, false, false])
    #expect(
      head.fields.map { key.matchesFolded($0, in: input.span) }
        == [true, true, false, false, false])
    let score = try #require(FieldNameKey(Array("X_TENANT".utf8)))
    #expect(
      head.fields.map { score.matches($0, in: input.span) } == [false, true, false, false, false])
    #expect(
      head.fields.map { score.matchesFolded($0, in: input.span) }
        == [true, true, false, false, false])
  }

  @Test func `compares names longer than its table's words`() throws {
    let long = String(repeating: "x", count: 40)
    let (head, input) = try lines("\(long): 1\r\n\(long.dropLast())y: 2\r\n\(long.uppercased()): 3")
    let key = try #require(FieldNameKey(Array(long.utf8)))
    #expect(head.fields.map { key.matches($0, in: input.span) } == [true, false, true])
  }

  @Test func `finds the first line of a name's exact spelling`() throws {
    let (head, input) = try lines("User_Agent: 1\r\nUSER-AGENT: 2\r\nUser-Agent: 3")
    let line = try #require(head.first(.userAgent))
    #expect(input[line.value].elementsEqual("2".utf8))
    #expect(head.names.contains(.userAgent) && !head.names.contains(.server))
    #expect(head.first(.server) == nil)
    #expect(head.fields.map(\.known) == [.userAgent, .userAgent, .userAgent])
    #expect(head.fields.map(\.hasUnderscore) == [true, false, false])
  }

  @Test func `a disguised name does not count as the name`() throws {
    let (head, _) = try lines("X_Forwarded_For: 1\r\nHost_: x\r\nConnection_: close")
    #expect(!head.names.contains(.xForwardedFor))
    #expect(head.fields[0].known == .xForwardedFor && head.fields[0].hasUnderscore)
  }

  @Test func `ends at this hop by nature`() {
    let hopByHop = FieldName.allCases.filter(\.isHopByHop)
    #expect(
      hopByHop == [
        .connection, .keepAlive, .proxyConnection, .proxyAuthenticate, .proxyAuthorization, .te,
        .trailer, .transferEncoding, .upgrade, .http2Settings, .close,
      ])
  }

  @Test func `a line is small`() {
    #expect(MemoryLayout<FieldLine>.stride == 24)
  }
}

struct MethodTests {
  @Test(arguments: Wire.Method.allCases)
  func `is recognised by its name and no other`(_ method: Wire.Method) throws {
    guard let name = method.name else { return }
    #expect(try parsed(name) == (method == .connect ? nil : method))
    #expect(try parsed(name.lowercased()) == .other)
    #expect(try parsed("\(name)X") == .other)
    #expect(try parsed(String(name.dropLast())) == .other)
  }

  @Test func `takes any token`() throws {
    #expect(try parsed("M-SEARCH") == .other)
    #expect(try parsed("VERSION-CONTROL") == .other)
    #expect(try parsed("\u{1}") == nil)
  }

  private func parsed(_ name: String) throws -> Wire.Method? {
    let input = Array("\(name) / HTTP/1.0\r\n\r\n".utf8)
    var parser = RequestHeadParser(limits: wideLimits)
    var head = RequestHead()
    do throws(RequestFault) {
      #expect(try parser.parse(input.span, into: &head) == .complete)
      return head.method
    } catch {
      return nil
    }
  }
}
