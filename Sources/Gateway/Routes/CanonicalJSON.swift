import Wire

/// A value in one spelling, for digests: members by name, no layout, no comments, no secrets.
enum CanonicalJSON {
  /// - Parameters:
  ///   - hidden: the ranges of values that must not take part.
  ///   - written: texts in place of those at their ranges.
  static func bytes(
    of node: JSONNode, hiding hidden: [Range<Int>], asWritten written: [Range<Int>: UTF8Text] = [:]
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    append(node, hiding: Set(hidden), written, to: &bytes)
    return bytes
  }

  private static func append(
    _ node: JSONNode, hiding hidden: Set<Range<Int>>, _ written: [Range<Int>: UTF8Text],
    to bytes: inout [UInt8]
  ) {
    if hidden.contains(node.range) {
      JSONWriter.appendString("‹redacted›", to: &bytes)
      return
    }
    switch node.value {
    case .null: bytes.append(contentsOf: "null".utf8)
    case .bool(let value): JSONWriter.appendBool(value, to: &bytes)
    case .number(let number):
      if let integer = number.integer {
        JSONWriter.appendInteger(integer, to: &bytes)
      } else {
        bytes.append(contentsOf: number.text.bytes)
      }
    case .string(let text): JSONWriter.appendString(written[node.range] ?? text, to: &bytes)
    case .array(let nodes):
      bytes.append(UInt8(ascii: "["))
      for (index, node) in nodes.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        append(node, hiding: hidden, written, to: &bytes)
      }
      bytes.append(UInt8(ascii: "]"))
    case .object(let members):
      bytes.append(UInt8(ascii: "{"))
      for (index, member) in members.sorted(by: { $0.name < $1.name }).enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        JSONWriter.appendString(member.name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        append(member.node, hiding: hidden, written, to: &bytes)
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }
}
