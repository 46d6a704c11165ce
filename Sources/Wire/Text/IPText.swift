/// IPv4 addresses in their one unambiguous spelling: four decimal numbers without leading zeros.
package enum IPv4Text {
  /// The address in host byte order, or nil for anything else (`127.1`, `010.0.0.1`, `0x7f.0.0.1`).
  package static func parse(_ bytes: Span<UInt8>) -> UInt32? {
    guard (7...15).contains(bytes.count) else { return nil }
    var address: UInt32 = 0
    var part: UInt32 = 0
    var digits = 0
    var parts = 0
    for index in 0..<bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: ".") {
        guard digits > 0, parts < 3 else { return nil }
        address = address << 8 | part
        parts += 1
        part = 0
        digits = 0
      } else {
        guard ByteClass.isDigit(byte), digits == 0 || part > 0 else { return nil }
        part = part * 10 + UInt32(byte &- UInt8(ascii: "0"))
        digits += 1
        guard part <= 255 else { return nil }
      }
    }
    guard digits > 0, parts == 3 else { return nil }
    return address << 8 | part
  }

  /// Appends `a.b.c.d`.
  package static func append(_ address: UInt32, to target: inout [UInt8]) {
    Decimal.append(UInt64(address >> 24), to: &target)
    for shift: UInt32 in [16, 8, 0] {
      target.append(UInt8(ascii: "."))
      Decimal.append(UInt64(address >> shift & 0xFF), to: &target)
    }
  }
}

/// IPv6 addresses (RFC 4291 §2.2), without zone; written as RFC 5952 says, so equal ones are equal
/// bytes.
package enum IPv6Text {
  /// Eight groups of 16 bits.
  package typealias Groups = InlineArray<8, UInt16>

  /// The address, or nil. A zone (`%eth0`) is refused: it means something on one host only.
  package static func parse(_ bytes: Span<UInt8>) -> Groups? {
    // ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255
    guard (2...45).contains(bytes.count) else { return nil }
    var groups = Groups(repeating: 0)
    var count = 0
    var gap = -1
    var index = 0
    if bytes[0] == UInt8(ascii: ":") {
      guard bytes[1] == UInt8(ascii: ":") else { return nil }
      gap = 0
      index = 2
    }
    while index < bytes.count {
      guard count < 8 else { return nil }
      let start = index
      var group: UInt16 = 0
      while index < bytes.count, let digit = ByteClass.hexValue(bytes[index]) {
        guard index - start < 4 else { break }
        group = group << 4 | UInt16(digit)
        index += 1
      }
      if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
        // The last 32 bits as IPv4.
        guard count <= 6, let tail = IPv4Text.parse(bytes.extracting(start...)) else { return nil }
        groups[count] = UInt16(truncatingIfNeeded: tail >> 16)
        groups[count + 1] = UInt16(truncatingIfNeeded: tail)
        count += 2
        index = bytes.count
        break
      }
      guard index > start else { return nil }
      groups[count] = group
      count += 1
      guard index < bytes.count else { break }
      guard bytes[index] == UInt8(ascii: ":"), index + 1 < bytes.count else { return nil }
      index += 1
      if bytes[index] == UInt8(ascii: ":") {
        guard gap < 0 else { return nil }
        gap = count
        index += 1
      }
    }
    guard gap >= 0 else { return count == 8 ? groups : nil }
    // The gap stands for one group at least (RFC 4291 §2.2).
    guard count < 8 else { return nil }
    var spread = Groups(repeating: 0)
    for position in 0..<gap { spread[position] = groups[position] }
    for position in gap..<count { spread[position + 8 - count] = groups[position] }
    return spread
  }

  /// Appends RFC 5952's spelling: lower case, no leading zeros, the first longest run of two or more
  /// zero groups as `::`, an IPv4-mapped address with its dotted tail.
  package static func append(_ groups: Groups, to target: inout [UInt8]) {
    let isMapped = (0..<5).allSatisfy { groups[$0] == 0 } && groups[5] == 0xFFFF
    let end = isMapped ? 6 : 8
    let gap = longestZeros(groups, below: end)
    var index = 0
    while index < end {
      if gap.count > 1, index == gap.start {
        target.append(UInt8(ascii: ":"))
        target.append(UInt8(ascii: ":"))
        index += gap.count
        continue
      }
      if index > 0, index != gap.start + gap.count || gap.count < 2 {
        target.append(UInt8(ascii: ":"))
      }
      Hex.append(groups[index], to: &target)
      index += 1
    }
    guard isMapped else { return }
    target.append(UInt8(ascii: ":"))
    IPv4Text.append(UInt32(groups[6]) << 16 | UInt32(groups[7]), to: &target)
  }

  private static func longestZeros(
    _ groups: Groups, below end: Int
  ) -> (start: Int, count: Int) {
    var longest = (start: 0, count: 0)
    var start = 0
    for index in 0..<end {
      if groups[index] != 0 { start = index + 1 }
      if index + 1 - start > longest.count { longest = (start, index + 1 - start) }
    }
    return longest
  }
}
