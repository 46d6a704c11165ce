/// What a proxy in front says of a connection before its first byte (HAProxy's PROXY protocol,
/// versions 1 and 2).
///
///     v1  PROXY TCP4 192.0.2.1 198.51.100.7 51234 443 CRLF        107 bytes at most
///     v2  signature(12) version|command(1) family(1) length(2) addresses TLVs
///
/// Whoever may send it says who the caller is, so there is one reading or none: single spaces, no
/// leading zeros, addresses of the family named, and nothing left over. What a header says beside
/// the caller's address is passed over.
package enum ProxyHeader: Equatable, Sendable {
  /// The caller, as the proxy saw it.
  case caller(IPAddress, port: UInt16)
  /// The proxy forwards for somebody whose address it does not tell: `UNKNOWN`, or a family that is
  /// neither IPv4 nor IPv6.
  case unknown
  /// The proxy says that it speaks for itself: a health check.
  case local

  package enum Outcome: Equatable, Sendable {
    /// So far it is the beginning of a header.
    case incomplete
    /// A header, and how many bytes it took from the front.
    case header(ProxyHeader, byteCount: Int)
  }

  /// Why what came is no header.
  package enum Fault: Error, Equatable, Sendable {
    /// It begins in another way: the caller speaks TLS or HTTP at once.
    case absent
    case malformed
    case tooLong
    /// The checksum in it is another one's.
    case checksumWrong
  }

  /// The longest header that is taken, in bytes. What proxies send beside the addresses, a client
  /// certificate's name above all, takes a few hundred.
  package static let bytesMax = 16 + 4_096

  /// Reads the header at the front of `bytes`. After `.incomplete`, call again with the same bytes
  /// and more.
  package static func parse(_ bytes: Span<UInt8>) throws(Fault) -> Outcome {
    guard !bytes.isEmpty else { return .incomplete }
    return bytes[0] == ProxyHeaderV1.prefix[0]
      ? try ProxyHeaderV1.parse(bytes) : try ProxyHeaderV2.parse(bytes)
  }

  /// Whether `bytes` begin with `prefix`, or are the beginning of it.
  static func agrees(_ bytes: Span<UInt8>, with prefix: [UInt8]) -> Bool {
    (0..<min(bytes.count, prefix.count)).allSatisfy { bytes[$0] == prefix[$0] }
  }
}

/// Version 1: a line of text.
enum ProxyHeaderV1 {
  static let prefix = Array("PROXY ".utf8)
  private static let unknown = Array("UNKNOWN".utf8)
  /// With its CRLF; the longest that the specification has (§2.1).
  private static let bytesMax = 107

  static func parse(_ bytes: Span<UInt8>) throws(ProxyHeader.Fault) -> ProxyHeader.Outcome {
    guard ProxyHeader.agrees(bytes, with: prefix) else { throw .absent }
    var end = 0
    while end < bytes.count, bytes[end] != UInt8(ascii: "\r") {
      guard end < bytesMax - 2 else { throw .tooLong }
      // Nothing but printable ASCII, in what is passed over as well.
      guard (0x20...0x7E).contains(bytes[end]) else { throw .malformed }
      end += 1
    }
    guard end + 1 < bytes.count else { return .incomplete }
    guard bytes[end + 1] == UInt8(ascii: "\n"), end > prefix.count else { throw .malformed }
    return .header(try read(bytes.extracting(prefix.count..<end)), byteCount: end + 2)
  }

  private static func read(_ line: Span<UInt8>) throws(ProxyHeader.Fault) -> ProxyHeader {
    let words = words(of: line)
    // What follows UNKNOWN does not count.
    if equals(line.extracting(words[0]), unknown) { return .unknown }
    let isV6: Bool
    if equals(line.extracting(words[0]), Array("TCP4".utf8)) {
      isV6 = false
    } else if equals(line.extracting(words[0]), Array("TCP6".utf8)) {
      isV6 = true
    } else {
      throw .malformed
    }
    guard words.count == 5, let source = address(line.extracting(words[1]), isV6: isV6),
      address(line.extracting(words[2]), isV6: isV6) != nil,
      let port = number(line.extracting(words[3])), number(line.extracting(words[4])) != nil
    else { throw .malformed }
    return .caller(source, port: port)
  }

  /// At least one; an empty one stands between two spaces.
  private static func words(of line: Span<UInt8>) -> [Range<Int>] {
    var words: [Range<Int>] = []
    var start = 0
    for index in 0...line.count
    where index == line.count || line[index] == UInt8(ascii: " ") {
      words.append(start..<index)
      start = index + 1
    }
    return words
  }

  private static func equals(_ word: Span<UInt8>, _ text: [UInt8]) -> Bool {
    word.count == text.count && ProxyHeader.agrees(word, with: text)
  }

  private static func address(_ word: Span<UInt8>, isV6: Bool) -> IPAddress? {
    // A dual-stack proxy may write IPv4 callers as mapped addresses, which have colons.
    let hasColon = (0..<word.count).contains { word[$0] == UInt8(ascii: ":") }
    return hasColon == isV6 ? IPAddress(word) : nil
  }

  /// A port's, without leading zeros.
  private static func number(_ word: Span<UInt8>) -> UInt16? {
    guard (1...5).contains(word.count), word.count == 1 || word[0] != UInt8(ascii: "0"),
      let number = Decimal.parse(word)
    else { return nil }
    return UInt16(exactly: number)
  }
}

/// Version 2: binary.
enum ProxyHeaderV2 {
  static let signature: [UInt8] = [
    0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
  ]
  /// Up to the addresses.
  private static let fixedBytes = 16
  /// The TLV that holds a CRC32c over all of the header (§2.2.3).
  private static let checksumType: UInt8 = 0x03

  static func parse(_ bytes: Span<UInt8>) throws(ProxyHeader.Fault) -> ProxyHeader.Outcome {
    guard ProxyHeader.agrees(bytes, with: signature) else { throw .absent }
    guard bytes.count >= fixedBytes else { return .incomplete }
    // Version 2, and one of its two commands.
    guard bytes[12] == 0x20 || bytes[12] == 0x21 else { throw .malformed }
    let isLocal = bytes[12] == 0x20
    let count = fixedBytes + (Int(bytes[14]) << 8 | Int(bytes[15]))
    guard count <= ProxyHeader.bytesMax else { throw .tooLong }
    guard bytes.count >= count else { return .incomplete }
    // What a proxy says of a connection of its own is nothing that counts (§2.2).
    if isLocal { return .header(.local, byteCount: count) }
    let content = bytes.extracting(fixedBytes..<count)
    let (header, addressBytes) = try readAddresses(content, family: bytes[13])
    try checkExtras(bytes.extracting(0..<count), from: fixedBytes + addressBytes)
    return .header(header, byteCount: count)
  }

  private static func readAddresses(
    _ content: Span<UInt8>, family: UInt8
  ) throws(ProxyHeader.Fault) -> (ProxyHeader, byteCount: Int) {
    switch family {
    case 0x00: return (.unknown, 0)
    // Of a unix socket: two paths of 108 bytes.
    case 0x31 where content.count >= 216: return (.unknown, 216)
    case 0x11 where content.count >= 12: return (caller(content, addressBytes: 4), 12)
    case 0x21 where content.count >= 36: return (caller(content, addressBytes: 16), 36)
    // Datagrams don't come over a connection, and other families are none.
    default: throw .malformed
    }
  }

  /// Source, destination, source port, destination port.
  private static func caller(_ content: Span<UInt8>, addressBytes count: Int) -> ProxyHeader {
    var bits: UInt128 = 0
    for index in 0..<count { bits = bits << 8 | UInt128(content[index]) }
    let port = UInt16(content[2 * count]) << 8 | UInt16(content[2 * count + 1])
    return .caller(IPAddress(isV6: count == 16, bits: bits), port: port)
  }

  /// The TLVs fill what is left to the last byte, and a checksum among them holds.
  private static func checkExtras(
    _ bytes: Span<UInt8>, from start: Int
  ) throws(ProxyHeader.Fault) {
    var index = start
    var checksum: Int?
    while index < bytes.count {
      guard index + 3 <= bytes.count else { throw .malformed }
      let end = index + 3 + (Int(bytes[index + 1]) << 8 | Int(bytes[index + 2]))
      guard end <= bytes.count else { throw .malformed }
      if bytes[index] == checksumType {
        guard end == index + 7, checksum == nil else { throw .malformed }
        checksum = index + 3
      }
      index = end
    }
    guard let checksum else { return }
    let sent = (0..<4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[checksum + $1]) }
    guard CRC32C.of(bytes, asZero: checksum..<(checksum + 4)) == sent else {
      throw .checksumWrong
    }
  }
}
