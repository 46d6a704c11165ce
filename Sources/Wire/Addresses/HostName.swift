/// `host:port` taken apart, IPv6 in brackets.
package enum HostAndPort {
  /// The host without brackets, and the port's digits where a colon follows; nil where brackets
  /// do not close, or an address with colons has none.
  package static func split<Bytes>(_ bytes: Bytes) -> (host: [UInt8], port: [UInt8]?)?
  where Bytes: BidirectionalCollection<UInt8> {
    if bytes.first == UInt8(ascii: "[") {
      guard let close = bytes.firstIndex(of: UInt8(ascii: "]")) else { return nil }
      let host = Array(bytes[..<close].dropFirst())
      guard host.contains(UInt8(ascii: ":")) else { return nil }
      let rest = bytes[close...].dropFirst()
      guard let colon = rest.first else { return (host, nil) }
      return colon == UInt8(ascii: ":") ? (host, Array(rest.dropFirst())) : nil
    }
    guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")) else { return (Array(bytes), nil) }
    let port = bytes[colon...].dropFirst()
    return port.contains(UInt8(ascii: ":")) ? nil : (Array(bytes[..<colon]), Array(port))
  }

  /// A port's number, 0 included.
  package static func port(_ digits: [UInt8]) -> UInt16? {
    guard !digits.isEmpty, digits.count <= 5, digits.allSatisfy({ 0x30...0x39 ~= $0 })
    else { return nil }
    return UInt16(exactly: digits.reduce(0) { $0 * 10 + UInt32($1) - 0x30 })
  }
}

/// A host's name or address, in the one spelling that is compared.
package struct HostName: Hashable, Sendable {
  /// ASCII in lower case, without trailing dot; an address without brackets.
  package let text: String
  package let address: IPAddress?

  package init(_ address: IPAddress) {
    text = address.description
    self.address = address
  }

  /// Names are letters, digits, `-` and `_` in labels of at most 63 (RFC 1123 §2.1; `_` is common
  /// in container networks). What ends in a number must be an address in its plain spelling:
  /// resolvers read `127.1` and `0x7f000001` as addresses too, and those would be no loopback here.
  package init?(_ bytes: [UInt8]) {
    if let address = IPAddress(bytes.span) {
      self.init(address)
      return
    }
    var name = bytes[...]
    if name.last == UInt8(ascii: ".") { name = name.dropLast() }
    guard !name.isEmpty, name.count <= 253 else { return nil }
    let labels = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard labels.allSatisfy(Self.isLabel), let last = labels.last,
      !Self.isNumber(last)
    else { return nil }
    self.init(name: String(decoding: name, as: UTF8.self).lowercased())
  }

  /// An address that does not leave this machine, or `localhost` (RFC 6761 §6.3).
  package var isLoopback: Bool { Self.isLoopback(text, address) }

  /// The same of a host in this spelling, and its address where it is one.
  static func isLoopback(_ text: String, _ address: IPAddress?) -> Bool {
    if let address { return address.isLoopback }
    return text == "localhost" || text.utf8.suffix(10).elementsEqual(".localhost".utf8)
  }

  private init(name: String) {
    text = name
    address = nil
  }

  /// Decimal, or hexadecimal behind `0x`, digits or none.
  private static func isNumber(_ label: ArraySlice<UInt8>) -> Bool {
    if label.allSatisfy(ByteClass.isDigit) { return true }
    return label.prefix(2).map(ByteClass.lowercased) == Array("0x".utf8)
      && label.dropFirst(2).allSatisfy { ByteClass.hexValue($0) != nil }
  }

  private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
    guard !label.isEmpty, label.count <= 63, label.first != UInt8(ascii: "-"),
      label.last != UInt8(ascii: "-")
    else { return false }
    return label.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"):
        true
      default: false
      }
    }
  }
}
