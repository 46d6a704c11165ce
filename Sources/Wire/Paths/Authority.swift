/// A host and an optional port as they stand in Host, in an absolute request target, or in a URL
/// (RFC 3986 §3.2, without userinfo), in the one form in which they can be compared by bytes.
///
/// Strict, because front and back must agree on whom a request is for: names are letters, digits,
/// `-` and `_` in labels (no escapes, nothing beyond ASCII), a name whose last label is a number is
/// an IPv4 address in four decimal parts or refused, an IPv6 address is put in RFC 5952's spelling.
/// The array is used again by the next parse.
package struct Authority: Sendable, Hashable {
  /// Lower case, without the trailing dot; an IPv6 address without brackets, as `HostName` has it.
  package private(set) var host: [UInt8] = []
  /// 1–65535; nil when none was written.
  package private(set) var port: UInt16?
  package private(set) var kind = Kind.name

  package enum Kind: Sendable { case name, ipv4, ipv6 }

  /// Why bytes are no authority.
  package enum Fault: Error, Equatable {
    case empty
    case userInfo
    case hostInvalid
    case portInvalid
  }

  /// What DNS allows (RFC 1035 §2.3.4): a longer name can be nobody's.
  private static let hostBytesMax = 255

  package init() {}

  package init(_ bytes: [UInt8]) throws(Fault) {
    try parse(bytes.span)
  }

  /// Takes the value of `bytes`; after a fault it has none that means anything.
  package mutating func parse(_ bytes: Span<UInt8>) throws(Fault) {
    host.removeAll(keepingCapacity: true)
    port = nil
    guard !bytes.isEmpty else { throw .empty }
    let hostEnd: Int
    if bytes[0] == UInt8(ascii: "[") {
      hostEnd = try parseIPv6(bytes)
    } else {
      hostEnd = try parseName(bytes)
    }
    if hostEnd < bytes.count { port = try Self.parsePort(bytes.extracting(hostEnd...)) }
  }

  /// Empties it, keeping the room.
  package mutating func removeAll() {
    host.removeAll(keepingCapacity: true)
    port = nil
    kind = .name
  }

  /// Whether both lead to the same place where `defaultPort` is what a missing one means.
  package func isSame(as other: Authority, defaultPort: UInt16) -> Bool {
    host == other.host && port ?? defaultPort == other.port ?? defaultPort
  }

  /// Appends the host, IPv6 in brackets, and `:port` unless it is `defaultPort` or missing.
  package func append(to target: inout [UInt8], omitting defaultPort: UInt16? = nil) {
    if kind == .ipv6 { target.append(UInt8(ascii: "[")) }
    target.append(contentsOf: host)
    if kind == .ipv6 { target.append(UInt8(ascii: "]")) }
    guard let port, port != defaultPort else { return }
    target.append(UInt8(ascii: ":"))
    Decimal.append(UInt64(port), to: &target)
  }

  /// Reads up to the port's colon or the end.
  private mutating func parseName(_ bytes: Span<UInt8>) throws(Fault) -> Int {
    var index = 0
    var labelStart = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: ".") {
        guard index > labelStart else { throw .hostInvalid }
        // The root's dot is not part of what is compared.
        let isLast = index + 1 == bytes.count || bytes[index + 1] == UInt8(ascii: ":")
        if !isLast { host.append(byte) }
        labelStart = isLast ? labelStart : index + 1
      } else if ByteClass.isLetter(byte) || ByteClass.isDigit(byte) || byte == UInt8(ascii: "-")
        || byte == UInt8(ascii: "_")
      {
        host.append(ByteClass.lowercased(byte))
      } else if byte == UInt8(ascii: ":") {
        break
      } else {
        throw Self.hasAt(bytes) ? .userInfo : .hostInvalid
      }
      guard host.count <= Self.hostBytesMax else { throw .hostInvalid }
      index += 1
    }
    guard index > 0 else { throw .hostInvalid }
    kind = try Self.kindOfName(host.span, lastLabel: labelStart)
    return index
  }

  /// A name in whose last label are digits alone is an IPv4 address to most who resolve it, in one
  /// of several spellings (`127.1`, `010.0.0.1`): only the plain one is accepted.
  private static func kindOfName(
    _ host: Span<UInt8>, lastLabel: Int
  ) throws(Fault) -> Kind {
    for index in lastLabel..<host.count where !ByteClass.isDigit(host[index]) {
      // 0x7f000001 is one too.
      let isHexadecimal =
        index == lastLabel + 1 && host[lastLabel] == UInt8(ascii: "0")
        && host[index] == UInt8(ascii: "x")
      guard !isHexadecimal else { throw .hostInvalid }
      return .name
    }
    guard IPAddress(host) != nil else { throw .hostInvalid }
    return .ipv4
  }

  private mutating func parseIPv6(_ bytes: Span<UInt8>) throws(Fault) -> Int {
    var close = 1
    while close < bytes.count, bytes[close] != UInt8(ascii: "]") { close += 1 }
    // Brackets are for what has colons: "[127.0.0.1]" is nobody's spelling.
    guard close < bytes.count, Self.has(UInt8(ascii: ":"), bytes.extracting(1..<close)),
      let address = IPAddress(bytes.extracting(1..<close))
    else { throw Self.hasAt(bytes) ? .userInfo : .hostInvalid }
    // A mapped address is the IPv4 address that it leads to.
    kind = address.isV6 ? .ipv6 : .ipv4
    host.append(contentsOf: address.description.utf8)
    return close + 1
  }

  /// `:` and 1–65535 without a leading zero; RFC 3986 also has `host:`, which nobody writes.
  private static func parsePort(_ bytes: Span<UInt8>) throws(Fault) -> UInt16 {
    guard bytes[0] == UInt8(ascii: ":"), (2...6).contains(bytes.count),
      bytes[1] != UInt8(ascii: "0")
    else { throw hasAt(bytes) ? .userInfo : .portInvalid }
    var port: UInt32 = 0
    for index in 1..<bytes.count {
      guard ByteClass.isDigit(bytes[index]) else { throw hasAt(bytes) ? .userInfo : .portInvalid }
      port = port * 10 + UInt32(bytes[index] &- UInt8(ascii: "0"))
    }
    guard let port = UInt16(exactly: port) else { throw .portInvalid }
    return port
  }

  private static func hasAt(_ bytes: Span<UInt8>) -> Bool { has(UInt8(ascii: "@"), bytes) }

  private static func has(_ byte: UInt8, _ bytes: Span<UInt8>) -> Bool {
    for index in 0..<bytes.count where bytes[index] == byte { return true }
    return false
  }
}
