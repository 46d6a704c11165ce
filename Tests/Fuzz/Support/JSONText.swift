package import Wire

/// A value in JSON, without a space or a comment.
package func written(_ node: JSONNode) -> [UInt8] {
  var bytes: [UInt8] = []
  append(node, to: &bytes)
  return bytes
}

private func append(_ node: JSONNode, to bytes: inout [UInt8]) {
  switch node.value {
  case .null: bytes += Array("null".utf8)
  case .bool(let value): JSONWriter.appendBool(value, to: &bytes)
  case .number(let number): bytes += number.text.bytes
  case .string(let text): JSONWriter.appendString(text, to: &bytes)
  case .array(let elements):
    bytes.append(UInt8(ascii: "["))
    for (index, element) in elements.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      append(element, to: &bytes)
    }
    bytes.append(UInt8(ascii: "]"))
  case .object(let members):
    bytes.append(UInt8(ascii: "{"))
    for (index, member) in members.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      JSONWriter.appendString(member.name, to: &bytes)
      bytes.append(UInt8(ascii: ":"))
      append(member.node, to: &bytes)
    }
    bytes.append(UInt8(ascii: "}"))
  }
}
