/// An IPv4 or IPv6 address as a number. An IPv4 address mapped into IPv6 (`::ffff:192.0.2.1`,
/// RFC 4291 §2.5.5.2) is that IPv4 address: a dual-stack socket reports callers so.
package struct IPAddress: Hashable, Sendable {
  /// The address, IPv4's in the low 32 bits. In front: it is what both are aligned to.
  package let bits: UInt128
  package let isV6: Bool

  package init(isV6: Bool, bits: UInt128) {
    let isMapped = isV6 && bits >> 32 == 0xFFFF
    self.isV6 = isV6 && !isMapped
    self.bits = isMapped ? bits & 0xFFFF_FFFF : bits
  }

  /// - Parameter bytes: 4 or 16 of them in network order; anything else is no address.
  package init?(bytes: [UInt8]) {
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    self.init(isV6: bytes.count == 16, bits: bytes.reduce(0) { $0 << 8 | UInt128($1) })
  }

  package init?(_ text: String) {
    self.init(text.utf8.span)
  }

  /// Reads `192.0.2.1` or `2001:db8::1` (RFC 4291 §2.2), without brackets or zone. An IPv4 octet
  /// has no leading zero, which some readers take for octal.
  package init?(_ text: Span<UInt8>) {
    if let four = Self.parseV4(text, from: 0) {
      self.init(isV6: false, bits: UInt128(four))
    } else if let sixteen = Self.parseV6(text) {
      self.init(isV6: true, bits: sixteen)
    } else {
      return nil
    }
  }

  /// 127.0.0.0/8 or ::1.
  package var isLoopback: Bool { isV6 ? bits == 1 : bits >> 24 == 127 }

  /// 0.0.0.0 or ::.
  package var isUnspecified: Bool { bits == 0 }

  private static func parseV4(_ text: Span<UInt8>, from start: Int) -> UInt32? {
    var address: UInt32 = 0
    var index = start
    for octet in 0..<4 {
      if octet > 0 {
        guard index < text.count, text[index] == UInt8(ascii: ".") else { return nil }
        index += 1
      }
      let first = index
      var value: UInt32 = 0
      while index < text.count, index - first < 3, let digit = decimal(text[index]) {
        value = value * 10 + digit
        index += 1
      }
      guard index > first, value <= 255,
        index - first == 1 || text[first] != UInt8(ascii: "0")
      else { return nil }
      address = address << 8 | value
    }
    return index == text.count ? address : nil
  }

  private static func parseV6(_ text: Span<UInt8>) -> UInt128? {
    guard text.count >= 2, text.count <= 45 else { return nil }
    var head: UInt128 = 0
    var tail: UInt128 = 0
    var headGroups = 0
    var tailGroups = 0
    var isCompressed = false
    var index = 0
    if text[0] == UInt8(ascii: ":") {
      guard text[1] == UInt8(ascii: ":") else { return nil }
      isCompressed = true
      index = 2
    }
    while index < text.count {
      var group: UInt128 = 0
      var width: UInt128 = 16
      var end = index
      while end < text.count, end - index < 4, let digit = hexadecimal(text[end]) {
        group = group << 4 | digit
        end += 1
      }
      guard end > index else { return nil }
      if end < text.count, text[end] == UInt8(ascii: ".") {
        guard let four = parseV4(text, from: index) else { return nil }
        (group, width, end) = (UInt128(four), 32, text.count)
      }
      let groups = Int(width / 16)
      if isCompressed {
        tail = tail << width | group
        tailGroups += groups
      } else {
        head = head << width | group
        headGroups += groups
      }
      guard headGroups + tailGroups <= 8 else { return nil }
      index = end
      if index == text.count { break }
      guard text[index] == UInt8(ascii: ":"), index + 1 < text.count else { return nil }
      index += 1
      if text[index] == UInt8(ascii: ":") {
        guard !isCompressed else { return nil }
        isCompressed = true
        index += 1
      }
    }
    if isCompressed {
      guard headGroups + tailGroups < 8 else { return nil }
      // Smart shifts: by 128, which no group at the head asks for, nothing is left.
      return head << UInt128(16 * (8 - headGroups)) | tail
    }
    return headGroups == 8 ? head : nil
  }

  private static func decimal(_ byte: UInt8) -> UInt32? {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") ? UInt32(byte) - 0x30 : nil
  }

  private static func hexadecimal(_ byte: UInt8) -> UInt128? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt128(byte) - 0x30
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt128(byte) - 0x61 + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt128(byte) - 0x41 + 10
    default: nil
    }
  }
}

extension IPAddress: CustomStringConvertible {
  /// As RFC 5952 §4 writes it.
  package var description: String {
    guard isV6 else {
      return [24, 16, 8, 0].map { String(bits >> $0 & 0xFF) }.joined(separator: ".")
    }
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: bits >> (112 - 16 * UInt128($0))) }
    // The longest run of at least two zero groups, the first of equals, becomes "::".
    var longest = 0..<1
    var start = 0
    while start < 8 {
      let end = groups[start...].firstIndex { $0 != 0 } ?? 8
      if end - start > longest.count { longest = start..<end }
      start = max(end, start + 1)
    }
    func text(_ range: Range<Int>) -> String {
      groups[range].map { String($0, radix: 16) }.joined(separator: ":")
    }
    if longest.count < 2 { return text(0..<8) }
    return "\(text(0..<longest.lowerBound))::\(text(longest.upperBound..<8))"
  }
}
