import Wire

/// JSON that the demo's servers write: members in the order given, for people where they look at
/// it.
enum JSONText {
  static func object(_ members: [(name: String, value: JSONValue)]) -> JSONValue {
    .object(
      members.map { member in
        JSONMember(
          name: UTF8Text(member.name), nameRange: 0..<0,
          node: JSONNode(value: member.value, range: 0..<0))
      })
  }

  static func array(_ values: [JSONValue]) -> JSONValue {
    .array(values.map { JSONNode(value: $0, range: 0..<0) })
  }

  static func text(_ text: String) -> JSONValue { .string(UTF8Text(text)) }

  static func integer(_ value: some BinaryInteger) -> JSONValue {
    .number(JSONNumber(Int64(clamping: value)))
  }

  /// On one line.
  static func compact(_ value: JSONValue) -> [UInt8] {
    var bytes: [UInt8] = []
    append(value, indent: nil, to: &bytes)
    return bytes
  }

  /// A member a line, with a line end behind it all.
  static func indented(_ value: JSONValue) -> [UInt8] {
    var bytes: [UInt8] = []
    append(value, indent: 0, to: &bytes)
    bytes.append(UInt8(ascii: "\n"))
    return bytes
  }

  /// - Parameter indent: of the line that the value begins on; nil for all on one line.
  private static func append(_ value: JSONValue, indent: Int?, to bytes: inout [UInt8]) {
    switch value {
    case .null: bytes += Array("null".utf8)
    case .bool(let bool): JSONWriter.appendBool(bool, to: &bytes)
    case .number(let number): bytes += number.text.bytes
    case .string(let text): JSONWriter.appendString(text, to: &bytes)
    case .array(let elements):
      // Lists are short here: audiences, a field's values.
      bytes.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { bytes += Array((indent == nil ? "," : ", ").utf8) }
        append(element.value, indent: nil, to: &bytes)
      }
      bytes.append(UInt8(ascii: "]"))
    case .object(let members):
      bytes.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        if let indent { appendLine(indent + 2, to: &bytes) }
        JSONWriter.appendString(member.name, to: &bytes)
        bytes += Array((indent == nil ? ":" : ": ").utf8)
        append(member.node.value, indent: indent.map { $0 + 2 }, to: &bytes)
      }
      if let indent, !members.isEmpty { appendLine(indent, to: &bytes) }
      bytes.append(UInt8(ascii: "}"))
    }
  }

  private static func appendLine(_ indent: Int, to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "\n"))
    bytes += [UInt8](repeating: UInt8(ascii: " "), count: indent)
  }
}
