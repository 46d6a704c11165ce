/// A block of addresses, `10.0.0.0/8` (RFC 4632 §3.1, RFC 4291 §2.3).
package struct AddressRange: Hashable, Sendable {
  package enum Fault: Error, Equatable {
    case malformed
    case prefixTooLong
    /// Bits are set beyond the prefix: the block that was meant may be another one.
    case hostBitsSet(block: AddressRange)
  }

  package let first: IPAddress
  /// 0–32 for IPv4, 0–128 for IPv6.
  package let prefixLength: Int

  private init(first: IPAddress, prefixLength: Int) {
    self.first = first
    self.prefixLength = prefixLength
  }

  /// Reads `ADDRESS/LENGTH`; an address alone is a block of one.
  package init(_ text: String) throws(Fault) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let part = parts.first, let address = IPAddress(String(part)) else { throw .malformed }
    let width = address.isV6 ? 128 : 32
    var length = width
    if parts.count == 2 {
      let digits = parts[1].utf8
      guard !digits.isEmpty, digits.count <= 3, digits.allSatisfy({ 0x30...0x39 ~= $0 }),
        digits.count == 1 || digits.first != UInt8(ascii: "0"), let number = Int(parts[1])
      else { throw .malformed }
      // A mapped address's own length counts from its 128 bits.
      length = !address.isV6 && part.utf8.contains(UInt8(ascii: ":")) ? number - 96 : number
    }
    guard length >= 0, length <= width else { throw .prefixTooLong }
    let mask = Self.hostMask(width: width, length: length)
    let first = IPAddress(isV6: address.isV6, bits: address.bits & ~mask)
    let block = AddressRange(first: first, prefixLength: length)
    guard address.bits & mask == 0 else { throw .hostBitsSet(block: block) }
    self = block
  }

  /// The last address's bits.
  var lastBits: UInt128 {
    first.bits | Self.hostMask(width: first.isV6 ? 128 : 32, length: prefixLength)
  }

  private static func hostMask(width: Int, length: Int) -> UInt128 {
    width == length ? 0 : UInt128.max >> UInt128(128 - width + length)
  }
}

extension AddressRange: CustomStringConvertible {
  package var description: String { "\(first)/\(prefixLength)" }
}

/// Many blocks, asked once a request: two sorted lists without overlaps, searched by halves.
package struct AddressRanges: Sendable {
  private let v4: [ClosedRange<UInt128>]
  private let v6: [ClosedRange<UInt128>]

  package init(_ ranges: [AddressRange]) {
    v4 = Self.merged(ranges.filter { !$0.first.isV6 })
    v6 = Self.merged(ranges.filter { $0.first.isV6 })
  }

  package var isEmpty: Bool { v4.isEmpty && v6.isEmpty }

  package func contains(_ address: IPAddress) -> Bool {
    let ranges = address.isV6 ? v6 : v4
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < address.bits { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].contains(address.bits)
  }

  private static func merged(_ ranges: [AddressRange]) -> [ClosedRange<UInt128>] {
    var merged: [ClosedRange<UInt128>] = []
    for range in ranges.map({ $0.first.bits...$0.lastBits })
      .sorted(by: { $0.lowerBound < $1.lowerBound })
    {
      if let last = merged.last, range.lowerBound <= last.upperBound {
        merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else {
        merged.append(range)
      }
    }
    return merged
  }
}
