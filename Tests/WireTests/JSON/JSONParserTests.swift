import Testing

@testable import Wire

private func parse(
  _ text: String, _ dialect: JSONParser.Dialect = .strict
) throws(JSONFault) -> JSONNode {
  try JSONParser(dialect, bytesMax: 10_000, depthMax: 8, nodesMax: 200).parse(Array(text.utf8))
}

private func fault(_ text: String, _ dialect: JSONParser.Dialect = .strict) -> JSONFault? {
  do {
    _ = try parse(text, dialect)
    return nil
  } catch {
    return error
  }
}

struct BrokenJSON: Sendable, CustomTestStringConvertible {
  let text: String
  let kind: JSONFault.Kind
  let range: Range<Int>
  var testDescription: String { text }

  init(_ text: String, _ kind: JSONFault.Kind, _ range: Range<Int>) {
    self.text = text
    self.kind = kind
    self.range = range
  }

  static let all: [BrokenJSON] = [
    .init("", .empty, 0..<0),
    .init(" \n", .empty, 2..<2),
    .init("\u{FEFF}{}", .byteOrderMark, 0..<3),
    .init("{} x", .trailingBytes, 3..<4),
    .init("{}{}", .trailingBytes, 2..<3),
    .init("[1,2", .unclosedArray, 0..<1),
    .init("[1,[2]", .unclosedArray, 0..<1),
    .init("{\"a\":1", .unclosedObject, 0..<1),
    .init("{\"a\"", .unclosedObject, 0..<1),
    .init("[{\"a\":", .unclosedObject, 1..<2),
    .init("{\"a\":}", .expectedValue, 5..<6),
    .init("[,]", .expectedValue, 1..<2),
    .init("[1,]", .trailingComma, 2..<3),
    .init("{\"a\":1,}", .trailingComma, 6..<7),
    .init("[1 2]", .expectedCommaOrBracket, 3..<4),
    .init("{\"a\":1 \"b\":2}", .expectedCommaOrBrace, 7..<8),
    .init("{\"a\" 1}", .expectedColon, 5..<6),
    .init("{a:1}", .expectedMemberName, 1..<2),
    .init("{1:1}", .expectedMemberName, 1..<2),
    .init("{'a':1}", .singleQuote, 1..<2),
    .init("['a']", .singleQuote, 1..<2),
    .init("{\"a\":1,\"a\":2}", .duplicateMember, 7..<10),
    .init("{\"a\":1,\"\\u0061\":2}", .duplicateMember, 7..<15),
    .init("{\"x\":{\"a\":1,\"b\":2,\"a\":3}}", .duplicateMember, 18..<21),
    .init("\"abc", .unclosedString, 0..<4),
    .init("\"a\nb\"", .unclosedString, 0..<2),
    .init("\"a\u{1}\"", .controlCharacter, 2..<3),
    .init("\"a\tb\"", .controlCharacter, 2..<3),
    .init("\"\\x\"", .invalidEscape, 1..<3),
    .init("\"\\", .invalidEscape, 1..<2),
    .init("\"\\u12g4\"", .invalidEscape, 1..<5),
    .init("\"\\u12", .invalidEscape, 1..<5),
    .init("\"\\ud800\"", .loneSurrogate, 1..<7),
    .init("\"\\ud800x\"", .loneSurrogate, 1..<7),
    .init("\"\\ud800\\u0041\"", .loneSurrogate, 1..<7),
    .init("\"\\udc00\"", .loneSurrogate, 1..<7),
    .init("01", .invalidNumber, 0..<2),
    .init("-", .invalidNumber, 0..<1),
    .init("-x", .invalidNumber, 0..<2),
    .init("1.", .invalidNumber, 0..<2),
    .init("1.e3", .invalidNumber, 0..<4),
    .init("1e", .invalidNumber, 0..<2),
    .init("1e+", .invalidNumber, 0..<3),
    .init("-00", .invalidNumber, 0..<3),
    .init("1_000", .invalidNumber, 0..<5),
    .init("0x10", .invalidNumber, 0..<4),
    .init("+1", .invalidLiteral, 0..<2),
    .init(".5", .invalidLiteral, 0..<2),
    .init("NaN", .invalidLiteral, 0..<3),
    .init("True", .invalidLiteral, 0..<4),
    .init("nullx", .invalidLiteral, 0..<5),
    .init("tru", .invalidLiteral, 0..<3),
    .init("[1] // no", .commentRefused, 4..<6),
    .init("[1 /* no */]", .commentRefused, 3..<5),
    .init("[/]", .expectedValue, 1..<2),
    .init("[[[[[[[[[1]]]]]]]]]", .tooDeep(depthMax: 8), 8..<9),
    .init("é", .invalidLiteral, 0..<2),
  ]

  static let commented: [BrokenJSON] = [
    .init("{ /* never", .unclosedComment, 2..<4),
    .init("{ /*/ }", .unclosedComment, 2..<4),
    .init("{,}", .expectedMemberName, 1..<2),
    .init("[1,,]", .expectedValue, 3..<4),
    .init("[] / /", .expectedValue, 3..<4),
    .init("// only this", .empty, 12..<12),
  ]
}

struct JSONParserTests {
  @Test(arguments: BrokenJSON.all)
  func `refuses what is not JSON and says where`(_ example: BrokenJSON) {
    let expected = JSONFault(kind: example.kind, range: example.range)
    #expect(fault(example.text) == expected)
  }

  @Test(arguments: BrokenJSON.commented)
  func `refuses broken comments and commas`(_ example: BrokenJSON) {
    let expected = JSONFault(kind: example.kind, range: example.range)
    #expect(fault(example.text, .commented) == expected)
  }

  @Test func `reads every kind of value`() throws {
    let node = try parse(
      #" {"n":null,"t":true,"f":false,"i":-12,"d":1.5e3,"s":"x","a":[1,[]],"o":{}} "#)
    #expect(node["n"]?.isNull == true)
    #expect(node["t"]?.bool == true)
    #expect(node["f"]?.bool == false)
    #expect(node["i"]?.integer == -12)
    #expect(node["d"]?.number?.double == 1500)
    #expect(node["s"]?.string == "x")
    #expect(node["a"]?.elements?.count == 2)
    #expect(node["o"]?.members?.isEmpty == true)
    #expect(node["missing"] == nil)
    #expect(node["s"]?.elements == nil)
    #expect(node["a"]?["x"] == nil)
  }

  @Test func `knows where every value and name stood`() throws {
    let node = try parse(#"{ "one" : [ true , "é" ] }"#)
    let member = try #require(node.members?.first)
    #expect(member.nameRange == 2..<7)
    #expect(member.node.range == 10..<25)
    #expect(member.node.elements?.map(\.range) == [12..<16, 19..<23])
    #expect(node.range == 0..<27)
  }

  @Test(arguments: [
    (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
    (#""\u0041\u00e9\u20ac""#, "Aé€"),
    (#""\ud83d\ude00""#, "😀"),
    (#""\u0000""#, "\0"),
    ("\"é€😀\"", "é€😀"),
    ("\"\u{7F}\"", "\u{7F}"),
  ])
  func `unescapes strings`(_ text: String, _ expected: String) throws {
    #expect(try parse(text).string?.bytes == Array(expected.utf8))
  }

  @Test(arguments: [
    [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80],
    [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xE2, 0x82], [0xF0, 0x80, 0x80, 0x80],
    [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF],
  ])
  func `refuses malformed UTF-8 in strings and comments`(_ malformed: [UInt8]) {
    let parser = JSONParser(.commented, bytesMax: 100)
    for (open, close) in [("\"", "\""), ("1//", "\n"), ("1/*", "*/")] {
      let bytes = Array(open.utf8) + malformed + Array(close.utf8)
      #expect {
        try parser.parse(bytes)
      } throws: {
        ($0 as? JSONFault)?.kind == .invalidUTF8
      }
    }
  }

  @Test func `does not take equivalent names for the same one`() throws {
    let node = try parse("{\"\u{E9}\":1,\"e\u{301}\":2}")
    #expect(node["\u{E9}"]?.integer == 1)
    #expect(node[UTF8Text("e\u{301}")]?.integer == 2)
  }

  @Test func `finds a name given twice among many`() {
    let names = (0..<50).map { "\"n\($0)\":0" }
    #expect(fault("{\(names.joined(separator: ","))}") == nil)
    let again = fault("{\((names + ["\"n3\":0"]).joined(separator: ","))}")
    #expect(again?.kind == .duplicateMember)
  }

  @Test func `bounds size, depth and count`() {
    #expect(fault(String(repeating: " ", count: 10_001))?.kind == .tooLong(bytesMax: 10_000))
    #expect(fault("[[[[[[[[1]]]]]]]]") == nil)
    let many = "[" + Array(repeating: "1", count: 199).joined(separator: ",") + "]"
    #expect(fault(many) == nil)
    let tooMany = "[" + Array(repeating: "1", count: 200).joined(separator: ",") + "]"
    #expect(fault(tooMany)?.kind == .tooManyValues(nodesMax: 200))
    let names = "{" + (0..<100).map { "\"\($0)\":1" }.joined(separator: ",") + "}"
    #expect(fault(names)?.kind == .tooManyValues(nodesMax: 200))
  }

  @Test func `survives a hundred thousand open brackets`() {
    let parser = JSONParser(.strict, bytesMax: 1_000_000, depthMax: .max, nodesMax: .max)
    for bracket in ["[", "{\"a\":"] {
      let bytes = Array(String(repeating: bracket, count: 100_000).utf8)
      #expect(throws: JSONFault.self) { try parser.parse(bytes) }
    }
  }

  @Test func `takes comments, trailing commas and a byte order mark where people write`() throws {
    let text = """
      \u{FEFF}// first
      { /* a */ "a" /**/ : /***/ [1, /* two */ 2, ], // "b": 0
        "c": "// no comment", }
      // last
      """
    let node = try parse(text, .commented)
    #expect(node["a"]?.elements?.map(\.integer) == [1, 2])
    #expect(node["c"]?.string == "// no comment")
    #expect(node["b"] == nil)
  }

  @Test func `answers every prefix and every changed byte without a trap`() {
    let text = Array(#"{"a":[1,-2.5e+3,"\u00e9\ud83d\ude00x"],/*c*/"b":{"c":null},}//é"#.utf8)
    let hostile: [UInt8] = Array("\"\\{}[],:/*u0-.e \n\u{0}".utf8) + [0x80, 0xC3, 0xED, 0xFF]
    for dialect in [JSONParser.Dialect.strict, .commented] {
      let parser = JSONParser(dialect, bytesMax: 1000)
      for cut in 0...text.count {
        do {
          _ = try parser.parse(Array(text[..<cut]))
        } catch {
          #expect(error.range.upperBound <= cut)
        }
        for byte in hostile where cut < text.count {
          var changed = text
          changed[cut] = byte
          _ = try? parser.parse(changed)
        }
      }
    }
  }

  @Test func `is equal by what it says, not by where it stood`() throws {
    #expect(try parse("{\"a\":[1, 2]}") == parse(" { \"a\" : [1,2] } "))
    #expect(try parse("{\"a\":1}") != parse("{\"b\":1}"))
  }
}

struct JSONNumberTests {
  @Test(
    arguments: [
      ("0", 0), ("-0", 0), ("7", 7), ("100.0", 100), ("1e2", 100), ("1E+2", 100), ("1.5e1", 15),
      ("1500e-2", 15), ("0.0e999999999999999999999", 0), ("9223372036854775807", .max),
      ("-9223372036854775808", .min), ("922337203685477580.7e1", .max),
      ("0.0000000000000000000000000001e28", 1),
    ] as [(String, Int64)])
  func `reads whole numbers however they are spelled`(_ text: String, _ expected: Int64) throws {
    #expect(try parse(text).integer == expected)
  }

  @Test(arguments: [
    "1.5", "1e-1", "9223372036854775808", "-9223372036854775809", "1e19",
    "1e999999999999999999999", "1e-999999999999999999999",
  ])
  func `has no integer where there is none`(_ text: String) throws {
    #expect(try parse(text).integer == nil)
  }

  @Test func `has a double only where it is finite`() throws {
    #expect(try parse("0.2").number?.double == 0.2)
    #expect(try parse("1e400").number?.double == nil)
    #expect(JSONNumber(-5).integer == -5)
  }
}
