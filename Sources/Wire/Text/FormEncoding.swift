/// `application/x-www-form-urlencoded`, as OAuth sends its parameters (RFC 6749 Appendix B).
package enum FormEncoding {
  /// Appends `name=value`, with `&` before it unless `target` is empty.
  package static func append(
    _ name: Span<UInt8>, _ value: Span<UInt8>, to target: inout [UInt8]
  ) {
    if !target.isEmpty { target.append(UInt8(ascii: "&")) }
    append(name, to: &target)
    target.append(UInt8(ascii: "="))
    append(value, to: &target)
  }

  package static func append(_ name: String, _ value: [UInt8], to target: inout [UInt8]) {
    append(Array(name.utf8).span, value.span, to: &target)
  }

  /// Appends `text` encoded: letters, digits and `*-._` as they are, a space as `+`, all else
  /// escaped. This is the encoding of a client's id and secret in Basic too (RFC 6749 §2.3.1).
  package static func append(_ text: Span<UInt8>, to target: inout [UInt8]) {
    for index in 0..<text.count {
      let byte = text[index]
      switch byte {
      case UInt8(ascii: " "):
        target.append(UInt8(ascii: "+"))
      case UInt8(ascii: "*"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
        target.append(byte)
      default:
        if ByteClass.isLetter(byte) || ByteClass.isDigit(byte) {
          target.append(byte)
        } else {
          PercentEncoding.appendEscape(of: byte, to: &target)
        }
      }
    }
  }

  package static func encode(_ text: [UInt8]) -> [UInt8] {
    var encoded: [UInt8] = []
    append(text.span, to: &encoded)
    return encoded
  }

  /// The pairs in order, duplicates included; a pair without `=` has an empty value, and empty
  /// pairs are skipped. Nil when an escape is none, or when there are more than `pairsMax`.
  package static func parse(
    _ text: Span<UInt8>, pairsMax: Int = 1024
  ) -> [(name: [UInt8], value: [UInt8])]? {
    var pairs: [(name: [UInt8], value: [UInt8])] = []
    var start = 0
    while start < text.count {
      var end = start
      var equals = -1
      while end < text.count, text[end] != UInt8(ascii: "&") {
        if text[end] == UInt8(ascii: "="), equals < 0 { equals = end }
        end += 1
      }
      if end > start {
        let nameEnd = equals < 0 ? end : equals
        let valueStart = equals < 0 ? end : equals + 1
        guard pairs.count < pairsMax,
          let name = decode(text.extracting(start..<nameEnd)),
          let value = decode(text.extracting(valueStart..<end))
        else { return nil }
        pairs.append((name, value))
      }
      start = end + 1
    }
    return pairs
  }

  /// One name or value: `+` is a space, escapes are undone. Nil when an escape is none.
  package static func decode(_ text: Span<UInt8>) -> [UInt8]? {
    PercentEncoding.decode(text, plusIsSpace: true)
  }
}
