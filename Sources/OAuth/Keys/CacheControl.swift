import Wire

/// What `Cache-Control` says of how long an answer stays fresh (RFC 9111 §5.2.2).
package enum CacheControl {
  /// Milliseconds; 0 where it must not be kept, nil where nothing is said. Of several lifetimes the
  /// shortest counts.
  package static func freshMs(_ value: [UInt8]) -> Int64? {
    var freshMs: Int64?
    ListElements.forEach(of: value.span) { range in
      let parts = value[range].split(separator: UInt8(ascii: "="), maxSplits: 1)
      let name = UTF8Text(trimmed(parts.first ?? []).map(ByteClass.lowercased))
      switch name {
      case "no-store", "no-cache": freshMs = 0
      case "max-age":
        let digits = trimmed(parts.count > 1 ? parts[1] : []).filter { $0 != UInt8(ascii: "\"") }
        // RFC 9111 §4.2.1: what is no number is stale.
        let seconds = Decimal.parse(digits.span).map { Int64(clamping: min($0, 31_536_000)) } ?? 0
        freshMs = min(freshMs ?? .max, seconds * 1_000)
      default: break
      }
    }
    return freshMs
  }

  private static func trimmed(_ text: ArraySlice<UInt8>) -> [UInt8] {
    let start = text.firstIndex { !ByteClass.isBlank($0) } ?? text.endIndex
    let end = (text.lastIndex { !ByteClass.isBlank($0) } ?? text.endIndex - 1) + 1
    return start < end ? Array(text[start..<end]) : []
  }
}
