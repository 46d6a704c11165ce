import Testing

@testable import Wire

struct JSONWriterTests {
  @Test(arguments: [
    ("", #""""#), ("plain", #""plain""#), ("a\"b\\c/", #""a\"b\\c/""#),
    ("\n\r\t\u{0}\u{1F}\u{7F}", #""\n\r\t\u0000\u001f\u007f""#),
    ("a\u{2028}b\u{2029}c", #""a\u2028b\u2029c""#),
    ("\u{202E}\u{2066}\u{200F}\u{61C}\u{FEFF}", #""\u202e\u2066\u200f\u061c\ufeff""#),
    ("\u{2027}\u{202F}\u{2065}\u{206A}\u{61B}", "\"\u{2027}\u{202F}\u{2065}\u{206A}\u{61B}\""),
    ("\u{9B}2J\u{A0}é€😀", "\"\\u009b2J\u{A0}é€😀\""),
  ])
  func `escapes what a line or a terminal would obey`(_ text: String, _ expected: String) {
    var bytes: [UInt8] = []
    JSONWriter.appendString(text, to: &bytes)
    #expect(String(decoding: bytes, as: UTF8.self) == expected)
    bytes = []
    JSONWriter.appendString(UTF8Text(text), to: &bytes)
    #expect(String(decoding: bytes, as: UTF8.self) == expected)
  }

  @Test func `replaces malformed UTF-8`() {
    var bytes: [UInt8] = []
    JSONWriter.appendString([0x61, 0xFF, 0xC3, 0x62, 0xED, 0xA0, 0x80], to: &bytes)
    #expect(String(decoding: bytes, as: UTF8.self) == "\"a��b���\"")
  }

  @Test func `writes what the parser reads back`() throws {
    for scalar in (0...0x10FFFF as ClosedRange<UInt32>).compactMap(Unicode.Scalar.init)
    where scalar.value < 0x3000 || scalar.value % 97 == 0 {
      let text = UTF8Text("<\(Character(scalar))>")
      var bytes: [UInt8] = []
      JSONWriter.appendString(text, to: &bytes)
      #expect(try JSONParser(.strict, bytesMax: 100).parse(bytes).string == text)
    }
  }

  @Test(arguments: [0, 7, -7, 10, .max, .min] as [Int64])
  func `writes integers`(_ value: Int64) {
    var bytes: [UInt8] = [0x20]
    JSONWriter.appendInteger(value, to: &bytes)
    #expect(String(decoding: bytes, as: UTF8.self) == " \(value)")
  }

  @Test func `writes the smallest kinds of integer`() {
    var bytes: [UInt8] = []
    JSONWriter.appendInteger(UInt8.max, to: &bytes)
    JSONWriter.appendInteger(Int8.min, to: &bytes)
    JSONWriter.appendBool(true, to: &bytes)
    #expect(String(decoding: bytes, as: UTF8.self) == "255-128true")
  }
}

struct SourceLocationTests {
  @Test func `counts lines and characters from one`() {
    let bytes = Array("ab\r\n\té日e\u{301}x\n".utf8)
    #expect(SourceLocation(offset: 0, in: bytes) == SourceLocation(line: 1, column: 1))
    #expect(SourceLocation(offset: 1, in: bytes) == SourceLocation(line: 1, column: 2))
    #expect(SourceLocation(offset: 4, in: bytes) == SourceLocation(line: 2, column: 1))
    let x = bytes.firstIndex(of: UInt8(ascii: "x")) ?? 0
    #expect(SourceLocation(offset: x, in: bytes) == SourceLocation(line: 2, column: 5))
    #expect(SourceLocation(offset: 999, in: bytes) == SourceLocation(line: 3, column: 1))
    #expect(SourceLocation(line: 2, column: 9) < SourceLocation(line: 10, column: 1))
  }

  @Test func `counts no column for a byte order mark`() {
    let bytes = Array("\u{FEFF}{ x".utf8)
    #expect(SourceLocation(offset: 5, in: bytes) == SourceLocation(line: 1, column: 3))
  }
}

struct UTF8TextTests {
  @Test func `compares bytes`() {
    #expect(UTF8Text("\u{E9}") != UTF8Text("e\u{301}"))
    #expect(UTF8Text("a") < UTF8Text("ab"))
    #expect(UTF8Text("svc-x").hasPrefix("svc-"))
    #expect(!UTF8Text("sv").hasPrefix("svc-"))
    #expect(UTF8Text("x@clients").hasSuffix("@clients"))
    #expect(!UTF8Text("clients").hasSuffix("@clients"))
    #expect(UTF8Text("SyStem").equalsIgnoringASCIICase("sYstEm"))
    #expect(!UTF8Text("k").equalsIgnoringASCIICase("\u{212A}"))
    #expect(!UTF8Text("[").equalsIgnoringASCIICase("{"))
  }
}
