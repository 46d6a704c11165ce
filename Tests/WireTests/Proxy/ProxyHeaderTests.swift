import Testing

@testable import Wire

/// The beginning of a connection, and what is read in it.
struct ProxyHeaderCase: Sendable, CustomTestStringConvertible {
  let input: [UInt8]
  /// nil: more must come.
  let expected: Result<ProxyHeader?, ProxyHeader.Fault>
  /// Bytes behind the header.
  let rest: Int
  let testDescription: String

  init(_ input: String, _ header: ProxyHeader?, rest: Int = 0) {
    self.init(input.debugDescription, Array(input.utf8), .success(header), rest)
  }

  init(_ input: String, _ fault: ProxyHeader.Fault) {
    self.init(input.debugDescription, Array(input.utf8), .failure(fault), 0)
  }

  init(_ name: String, _ input: [UInt8], _ header: ProxyHeader?, rest: Int = 0) {
    self.init(name, input, .success(header), rest)
  }

  init(_ name: String, _ input: [UInt8], _ fault: ProxyHeader.Fault) {
    self.init(name, input, .failure(fault), 0)
  }

  private init(
    _ name: String, _ input: [UInt8], _ expected: Result<ProxyHeader?, ProxyHeader.Fault>,
    _ rest: Int
  ) {
    testDescription = name
    self.input = input
    self.expected = expected
    self.rest = rest
  }

  private static func caller(_ address: String, _ port: UInt16) -> ProxyHeader {
    guard let address = IPAddress(address) else { fatalError("no address: \(address)") }
    return .caller(address, port: port)
  }

  /// A version 2 header: its addresses and what follows them.
  static func binary(
    _ family: UInt8, _ content: [UInt8], command: UInt8 = 0x21, length: Int? = nil
  ) -> [UInt8] {
    let length = length ?? content.count
    let fixed = [command, family, UInt8(length >> 8 & 0xFF), UInt8(length & 0xFF)]
    return ProxyHeaderV2.signature + fixed + content
  }

  static let four: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 7, 0xC8, 0x22, 0x01, 0xBB]
  private static let six =
    [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
    + [UInt8](repeating: 0, count: 15) + [1] + [0xC8, 0x22, 0x01, 0xBB]

  static let text: [ProxyHeaderCase] = [
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\n", caller("192.0.2.1", 51234)),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 0 65535\r\nGET", caller("192.0.2.1", 0), rest: 3),
    .init("PROXY TCP6 2001:db8::1 ::1 51234 443\r\n", caller("2001:db8::1", 51234)),
    .init("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", caller("192.0.2.1", 1)),
    .init("PROXY UNKNOWN\r\n", .unknown),
    .init("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n\r\n", .unknown, rest: 2),
    .init("PROXY UNKNOWN " + String(repeating: "x", count: 91) + "\r\n", .unknown),
    // What is not there yet.
    .init("", nil),
    .init("P", nil),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 51234 443", nil),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r", nil),
    // What is none.
    .init("GET / HTTP/1.1\r\n", .absent),
    .init("POST / HTTP/1.1\r\n", .absent),
    .init("PROXY\r\n", .absent),
    .init("proxy TCP4 192.0.2.1 198.51.100.7 51234 443\r\n", .absent),
    .init("\u{16}\u{3}\u{1}", .absent),
    .init("PROXY \r\n", .malformed),
    .init("PROXY TCP4\r\n", .malformed),
    .init("PROXY UNKNOWNS\r\n", .malformed),
    .init("PROXY TCP5 192.0.2.1 198.51.100.7 51234 443\r\n", .malformed),
    .init("PROXY  TCP4 192.0.2.1 198.51.100.7 51234 443\r\n", .malformed),
    .init("PROXY TCP4 192.0.2.1  198.51.100.7 51234 443\r\n", .malformed),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 51234 443 \r\n", .malformed),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 51234\r\n", .malformed),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\n\r\n", .malformed),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\rGET", .malformed),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 051 443\r\n", .malformed),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n", .malformed),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 +1 443\r\n", .malformed),
    .init("PROXY TCP4 192.0.2.1 198.51.100.7 1 \r\n", .malformed),
    .init("PROXY TCP4 192.0.2.256 198.51.100.7 1 2\r\n", .malformed),
    .init("PROXY TCP4 192.0.2.1 host 1 2\r\n", .malformed),
    .init("PROXY TCP4 ::1 ::1 1 2\r\n", .malformed),
    .init("PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n", .malformed),
    .init("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", .malformed),
    .init("PROXY UNKNOWN \u{0}\r\n", .malformed),
    .init("PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n", .tooLong),
  ]

  static let bytes: [ProxyHeaderCase] = [
    .init("IPv4", binary(0x11, four), caller("192.0.2.1", 51234)),
    .init(
      "IPv4 and a request", binary(0x11, four) + [71, 69, 84], caller("192.0.2.1", 51234),
      rest: 3),
    .init("IPv6", binary(0x21, six), caller("2001:db8::1", 51234)),
    .init("TLVs", binary(0x11, four + [4, 0, 0, 1, 0, 2, 104, 50]), caller("192.0.2.1", 51234)),
    .init("a unix socket's", binary(0x31, [UInt8](repeating: 0, count: 216)), .unknown),
    .init("no family", binary(0x00, []), .unknown),
    .init("no family, a TLV", binary(0x00, [4, 0, 1, 7]), .unknown),
    .init("local", binary(0x00, [], command: 0x20), .local),
    .init("local, whatever follows", binary(0xFF, [1, 2, 3], command: 0x20), .local),
    .init("the longest", binary(0x11, four + padding(4_084)), caller("192.0.2.1", 51234)),
    // Behind a checksum a TLV of no content; the sum was had from another implementation.
    .init("a checksum", binary(0x11, four + checksum + [4, 0, 0]), caller("192.0.2.1", 51234)),
    // What is not there yet.
    .init("part of a signature", Array(ProxyHeaderV2.signature[..<5]), nil),
    .init("no addresses yet", binary(0x11, four, length: 13), nil),
    // What is none.
    .init("another signature", [0x0D, 0x0A, 0x0D, 0x0A, 0x0D], .absent),
    .init("version 1", binary(0x11, four, command: 0x11), .malformed),
    .init("version 3", binary(0x11, four, command: 0x31), .malformed),
    .init("another command", binary(0x11, four, command: 0x22), .malformed),
    .init("datagrams", binary(0x12, four), .malformed),
    .init("another family", binary(0x41, four), .malformed),
    .init("IPv4 cut short", binary(0x11, Array(four.dropLast())), .malformed),
    .init("IPv6 cut short", binary(0x21, Array(six.dropLast())), .malformed),
    .init("a path cut short", binary(0x31, [UInt8](repeating: 0, count: 215)), .malformed),
    .init("a TLV cut short", binary(0x11, four + [4, 0]), .malformed),
    .init("a TLV beyond the end", binary(0x11, four + [4, 0, 1]), .malformed),
    .init("a wrong checksum", binary(0x11, four + [3, 0, 4, 1, 2, 3, 4]), .checksumWrong),
    .init("a short checksum", binary(0x11, four + [3, 0, 3, 1, 2, 3]), .malformed),
    .init("two checksums", binary(0x11, four + checksum + checksum), .malformed),
    .init("one byte too long", binary(0x11, four + padding(4_085)), .tooLong),
  ]

  private static let checksum: [UInt8] = [3, 0, 4, 0x6B, 0xA0, 0xF6, 0x82]

  private static func padding(_ count: Int) -> [UInt8] {
    let value = count - 3
    return [4, UInt8(value >> 8), UInt8(value & 0xFF)] + [UInt8](repeating: 0, count: value)
  }
}

struct ProxyHeaderTests {
  private static func read(_ bytes: [UInt8]) -> Result<ProxyHeader.Outcome, ProxyHeader.Fault> {
    Result { () throws(ProxyHeader.Fault) in try ProxyHeader.parse(bytes.span) }
  }

  @Test(arguments: ProxyHeaderCase.text + ProxyHeaderCase.bytes)
  func `reads a header to its end and no further`(_ example: ProxyHeaderCase) {
    let expected: Result<ProxyHeader.Outcome, ProxyHeader.Fault> = example.expected.map { header in
      header.map { .header($0, byteCount: example.input.count - example.rest) } ?? .incomplete
    }
    #expect(Self.read(example.input) == expected)
  }

  @Test(arguments: ProxyHeaderCase.text + ProxyHeaderCase.bytes)
  func `says the same however the bytes arrive`(_ example: ProxyHeaderCase) {
    let whole = Self.read(example.input)
    for end in 0..<example.input.count {
      let part = Self.read(Array(example.input[..<end]))
      // What is decided early stays so.
      if part != .success(.incomplete) { #expect(part == whole, "the first \(end) bytes") }
    }
  }

  @Test func `sums as the protocol's registered check value`() {
    let digits = Array("123456789".utf8)
    #expect(CRC32C.of(digits.span) == 0xE306_9283)
    let withHole = digits + [1, 2, 3, 4]
    let withZeros = digits + [0, 0, 0, 0]
    #expect(CRC32C.of(withHole.span, asZero: 9..<13) == CRC32C.of(withZeros.span))
  }
}
