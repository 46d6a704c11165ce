/// What goes on of `tracestate` (W3C Trace Context, Level 2, §3.3): a list of what tracing systems
/// have noted of a trace, the latest first. It is their words, so it is kept within its bounds and
/// otherwise not changed.
package enum TraceState {
  /// Members of a list (§3.3.1.1).
  package static let membersMax = 32
  /// Bytes of a list that goes on: as many as everybody must be able to pass (§3.3.1.5).
  package static let bytesMax = 512
  /// Members longer than this are the first to go where a list is too long (§3.3.1.5).
  package static let longMemberBytes = 128
  /// Bytes of a key, and of a value (§3.3.1.3).
  private static let partBytesMax = 256

  /// The list in one line, without empty members and without those whose key came before; where it
  /// is too long, cut at a member. Empty where any of it breaks the grammar: then nothing that it
  /// says can be relied on, and all of it is dropped (§3.3.1.1).
  ///
  /// - Parameter list: the values of all its lines, joined by commas.
  package static func kept(of list: Span<UInt8>) -> [UInt8] {
    var members: [[UInt8]] = []
    var keys: Set<[UInt8]> = []
    var count = 0
    var start = 0
    while start <= list.count {
      var end = start
      while end < list.count, list[end] != UInt8(ascii: ",") { end += 1 }
      let member = trimmed(list, start..<end)
      start = end + 1
      if member.isEmpty { continue }
      count += 1
      guard count <= membersMax, let key = key(of: member, in: list) else { return [] }
      let name = bytes(list, key)
      if keys.insert(name).inserted { members.append(bytes(list, member)) }
    }
    return joined(members)
  }

  private static func joined(_ members: [[UInt8]]) -> [UInt8] {
    var members = members
    var length = members.reduce(0) { $0 + $1.count + 1 } - 1
    while length > bytesMax, let long = members.lastIndex(where: { $0.count > longMemberBytes }) {
      length -= members.remove(at: long).count + 1
    }
    while length > bytesMax, let last = members.popLast() { length -= last.count + 1 }
    return Array(members.joined(separator: [UInt8(ascii: ",")]))
  }

  /// The key of a well-formed member: lower-case letters, digits and `_-*/@`, a letter or digit
  /// first, then `=` and a value of visible ASCII without `,` and `=`, and blanks within.
  private static func key(of member: Range<Int>, in list: Span<UInt8>) -> Range<Int>? {
    var index = member.lowerBound
    while index < member.upperBound, list[index] != UInt8(ascii: "=") {
      switch list[index] {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): break
      case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "/"),
        UInt8(ascii: "@"):
        if index == member.lowerBound { return nil }
      default: return nil
      }
      index += 1
    }
    let key = member.lowerBound..<index
    let value = (index + 1)..<max(index + 1, member.upperBound)
    guard index < member.upperBound, (1...partBytesMax).contains(key.count),
      (1...partBytesMax).contains(value.count)
    else { return nil }
    for index in value {
      switch list[index] {
      case UInt8(ascii: "="), UInt8(ascii: ","): return nil
      case 0x20...0x7E: continue
      default: return nil
      }
    }
    return key
  }

  private static func trimmed(_ list: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
    var (start, end) = (range.lowerBound, range.upperBound)
    while start < end, ByteClass.isBlank(list[start]) { start += 1 }
    while end > start, ByteClass.isBlank(list[end - 1]) { end -= 1 }
    return start..<end
  }

  private static func bytes(_ list: Span<UInt8>, _ range: Range<Int>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(range.count)
    for index in range { bytes.append(list[index]) }
    return bytes
  }
}
