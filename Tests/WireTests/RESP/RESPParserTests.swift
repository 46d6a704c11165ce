import Testing

@testable import Wire

/// Bytes of a server, and what they are.
struct RESPCase: Sendable, CustomTestStringConvertible {
  let input: String
  let expected: Result<RESPReply?, RESPFault>
  var testDescription: String { input.debugDescription }

  init(_ input: String, _ reply: RESPReply?) {
    self.input = input
    expected = .success(reply)
  }

  init(_ input: String, _ fault: RESPFault) {
    self.input = input
    expected = .failure(fault)
  }

  static let all: [RESPCase] = [
    .init("+OK\r\n", .text(Array("OK".utf8))),
    .init("+\r\n", .text([])),
    .init("-ERR no such thing\r\n", .error(Array("ERR no such thing".utf8))),
    .init(":0\r\n", .integer(0)),
    .init(":-7\r\n", .integer(-7)),
    .init(":+7\r\n", .integer(7)),
    .init(":9223372036854775807\r\n", .integer(.max)),
    .init(":-9223372036854775808\r\n", .integer(.min)),
    .init("$5\r\nhello\r\n", .bulk(Array("hello".utf8))),
    .init("$0\r\n\r\n", .bulk([])),
    .init("$4\r\na\r\nb\r\n", .bulk(Array("a\r\nb".utf8))),
    .init("$-1\r\n", .null),
    .init("*-1\r\n", .null),
    .init("*0\r\n", .array([])),
    .init(
      "*3\r\n:1\r\n$-1\r\n*2\r\n+a\r\n$1\r\nb\r\n",
      .array([.integer(1), .null, .array([.text([97]), .bulk([98])])])),
    .init("*1\r\n*1\r\n*0\r\n", .array([.array([.array([])])])),
    // What is not there yet.
    .init("", nil),
    .init("$5\r\nhell", nil),
    .init("$5\r\nhello\r", nil),
    .init("*2\r\n:1\r\n", nil),
    .init("+OK\r", nil),
    // What is none.
    .init("HTTP/1.1 400 Bad Request\r\n", .kind(UInt8(ascii: "H"))),
    .init("_\r\n", .kind(UInt8(ascii: "_"))),
    .init("*1\r\nx", .kind(UInt8(ascii: "x"))),
    .init("+a\nb\r\n", .lineEnd),
    .init("+a\rb\r\n", .lineEnd),
    .init("$2\r\nabc\r\n", .lineEnd),
    .init("$2\r\nab\n\r", .lineEnd),
    .init(":\r\n", .number),
    .init(":-\r\n", .number),
    .init(":1x\r\n", .number),
    .init(":01\r\n", .number),
    .init(": 1\r\n", .number),
    .init(":9223372036854775808\r\n", .number),
    .init(":-9223372036854775809\r\n", .number),
    .init("$-2\r\n", .number),
    .init("$+1\r\na\r\n", .number),
    .init("$\r\n", .number),
    .init("*-0\r\n", .number),
    .init("$99999999999999999999\r\n", .number),
    // More than is taken.
    .init("$33\r\n", .bulkTooLong),
    .init("$9223372036854775807\r\n", .bulkTooLong),
    .init("+" + String(repeating: "a", count: 42), .lineTooLong),
    .init("*9\r\n", .tooManyElements),
    .init("*2\r\n*7\r\n", .tooManyElements),
    .init("*1\r\n*1\r\n*1\r\n*1\r\n", .tooDeep),
  ]
}

struct RESPParserTests {
  private static let limits = RESPLimits(
    lineBytesMax: 40, bulkBytesMax: 32, depthMax: 3, elementsMax: 8)

  private func outcome(
    _ parser: inout RESPParser, _ bytes: Span<UInt8>
  ) -> Result<RESPReply?, RESPFault> {
    do throws(RESPFault) {
      switch try parser.parse(bytes) {
      case .incomplete: return .success(nil)
      case .reply(let reply, let consumed):
        #expect(consumed == bytes.count)
        return .success(reply)
      }
    } catch {
      return .failure(error)
    }
  }

  @Test(arguments: RESPCase.all)
  func `reads a reply the same however its bytes come`(_ example: RESPCase) {
    let bytes = Array(example.input.utf8)
    for cut in 0...bytes.count {
      var parser = RESPParser(Self.limits)
      var answer = outcome(&parser, bytes.span.extracting(0..<cut))
      if case .success(nil) = answer { answer = outcome(&parser, bytes.span) }
      #expect(answer == example.expected, "cut after byte \(cut)")
    }
  }

  @Test(arguments: RESPCase.all)
  func `reads a reply byte by byte`(_ example: RESPCase) {
    let bytes = Array(example.input.utf8)
    var parser = RESPParser(Self.limits)
    var answer = Result<RESPReply?, RESPFault>.success(nil)
    for end in 0...bytes.count {
      answer = outcome(&parser, bytes.span.extracting(0..<end))
      if answer != .success(nil) { break }
    }
    #expect(answer == example.expected)
  }

  @Test func `reads replies one behind the other`() throws {
    let bytes = Array("+OK\r\n*2\r\n:1\r\n:2\r\n$-1\r\n$3\r\nabc\r\n+r".utf8)
    var parser = RESPParser(Self.limits)
    var start = 0
    var replies: [RESPReply] = []
    while case .reply(let reply, let consumed) = try parser.parse(
      bytes.span.extracting(start..<bytes.count))
    {
      replies.append(reply)
      start += consumed
    }
    #expect(
      replies == [
        .text(Array("OK".utf8)), .array([.integer(1), .integer(2)]), .null,
        .bulk(Array("abc".utf8)),
      ])
    #expect(bytes[start...].elementsEqual("+r".utf8))
  }

  @Test func `survives whatever a broken server sends`() {
    var random = SystemRandomNumberGenerator()
    let alphabet = Array("+-:$*0123456789\r\n\r\n\r\nab".utf8)
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
        alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
      }
      var whole = RESPParser(Self.limits)
      var split = RESPParser(Self.limits)
      let cut = Int.random(in: 0...bytes.count, using: &random)
      let first = either(&split, bytes.span.extracting(0..<cut))
      let second = first == .success(.incomplete) ? either(&split, bytes.span) : first
      #expect(either(&whole, bytes.span) == second, "\(bytes), cut at \(cut)")
    }
  }

  private func either(
    _ parser: inout RESPParser, _ bytes: Span<UInt8>
  ) -> Result<RESPParser.Outcome, RESPFault> {
    do throws(RESPFault) { return .success(try parser.parse(bytes)) } catch {
      return .failure(error)
    }
  }

  @Test func `writes commands that need no quoting`() {
    let written = RESPCommand.write([Array("SET".utf8), Array("a\r\nb".utf8), []])
    let expected = "*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n"
    #expect(String(decoding: written, as: UTF8.self) == expected)
  }
}
