import Testing

@testable import Wire

/// Values of W3C Trace Context's own text, and what its grammar forbids.
struct TraceParentTests {
  static let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

  private func parse(_ text: String) -> TraceParent? {
    let bytes = Array(text.utf8)
    return TraceParent(bytes.span)
  }

  @Test
  func `what is read is written as it was`() throws {
    let parent = try #require(parse(Self.good))
    var text: [UInt8] = []
    parent.append(to: &text)
    #expect(String(decoding: text, as: UTF8.self) == Self.good)
    #expect(text.count == TraceParent.byteCount)
    #expect(parent.flags == .sampled)
  }

  @Test(arguments: [
    "", "00", "4bf92f3577b34da6a3ce929d0e0e4736",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A",
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e47.6-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902.7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-.1",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "FF-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "000-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
    " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, 00",
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what",
  ])
  func `what the grammar forbids is nothing`(_ text: String) {
    #expect(parse(text) == nil)
  }

  @Test(arguments: ["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"])
  func `a later version is read by what it has in common with this one`(_ text: String) {
    let now = parse(Self.good)
    #expect(parse(text) == now)
    #expect(parse(text + "-what-the-future-will-be-like") == now)
    #expect(parse(text + "-") == now)
  }

  @Test
  func `flags that nobody knows yet do not go on`() {
    let start = Self.good.dropLast(2)
    #expect(parse(start + "ff")?.flags == [.sampled, .random])
    #expect(parse(start + "fc")?.flags == [])
    #expect(parse(start + "02")?.flags == .random)
  }

  @Test
  func `no byte of a value can be changed into anything but a digit`() {
    let bytes = Array(Self.good.utf8)
    for index in bytes.indices {
      for byte in [0, UInt8(ascii: "G"), UInt8(ascii: "/"), UInt8(ascii: ":"), 0x60, 0x80, 0xFF] {
        var changed = bytes
        changed[index] = byte
        #expect(TraceParent(changed.span) == nil, "byte \(index) as \(byte)")
      }
    }
  }
}

struct TraceStateTests {
  private func kept(_ text: String) -> String {
    let bytes = Array(text.utf8)
    return String(decoding: TraceState.kept(of: bytes.span), as: UTF8.self)
  }

  @Test(arguments: [
    ("", ""), (",", ""), (" \t", ""),
    ("foo=1", "foo=1"), ("foo=1,bar=2", "foo=1,bar=2"),
    ("foo=1 \t , \t bar=2, \t baz=3", "foo=1,bar=2,baz=3"),
    ("foo=1,,,bar=2,", "foo=1,bar=2"),
    ("foo@=1,bar=2", "foo@=1,bar=2"), ("fw529a3039@dt=a", "fw529a3039@dt=a"),
    ("0a=1", "0a=1"), ("a_-*/z=1", "a_-*/z=1"),
    ("foo= 1 2", "foo= 1 2"),
    ("foo=1,bar=2,foo=3", "foo=1,bar=2"),
    ("foo=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~", "foo=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~"),
  ])
  func `a list goes on as it came`(_ given: String, _ expected: String) {
    #expect(kept(given) == expected)
  }

  @Test(arguments: [
    "foo", "foo=", "=1", "Foo=1", "_foo=1", "@foo=1", "foo =1", "foo.bar=1", "foo=bar=baz",
    "foo=\u{1}", "foo=\u{7F}", "foo=ü", "foo=1;bar=2,b=,", "ok=1,Foo=1",
  ])
  func `a list that breaks the grammar is dropped whole`(_ given: String) {
    #expect(kept(given) == "")
  }

  @Test
  func `keys and values have lengths`() {
    let long = String(repeating: "a", count: 256)
    #expect(kept("\(long)=1") == "\(long)=1")
    #expect(kept("\(long)a=1") == "")
    #expect(kept("a=\(long)") == "a=\(long)")
    #expect(kept("a=\(long)a") == "")
  }

  @Test
  func `a list has at most 32 members`() {
    let members = (0..<33).map { "k\($0)=1" }
    let most = members.prefix(32).joined(separator: ",")
    #expect(kept(most) == most)
    #expect(kept(members.joined(separator: ",")) == "")
  }

  @Test
  func `of a list that is too long long members go first and then the last ones`() {
    let long = "long=\(String(repeating: "x", count: 200))"
    let short = (0..<20).map { "k\($0)=\(String(repeating: "y", count: 18))" }
    let all = ([long] + short).joined(separator: ",")
    #expect(all.utf8.count > TraceState.bytesMax)
    #expect(kept(all) == short.joined(separator: ","))
    let more = short + (20..<30).map { "k\($0)=\(String(repeating: "y", count: 18))" }
    let cut = kept(more.joined(separator: ","))
    #expect(cut.utf8.count <= TraceState.bytesMax)
    let few = short.joined(separator: ",")
    #expect(cut.hasPrefix(few) || few.hasPrefix(cut))
    #expect(more.joined(separator: ",").hasPrefix(cut + ","))
  }
}
