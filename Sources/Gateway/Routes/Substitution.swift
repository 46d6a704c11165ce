import Wire

/// Puts the environment into a file's texts: `${NAME}`, `${NAME:-default}` for a name that is not
/// set or empty, and `$${` for a literal `${`. What comes out is not looked at again.
struct Substitution {
  private enum Fault: Error {
    case unclosed
    case noName
    case notSet(name: String)
  }

  let reading: Reading

  /// The same tree with every text replaced; names of members stay as they are.
  func apply(to node: JSONNode, key: String = "") -> JSONNode {
    let value: JSONValue
    switch node.value {
    case .null, .bool, .number: return node
    case .string(let text):
      guard text.bytes.contains(UInt8(ascii: "$")) else { return node }
      do {
        value = .string(try replaced(text))
        reading.note(text, writtenAt: node.range)
      } catch {
        reading.refuse(
          reading.place(of: node.range, key: key), sentence(error), suggestion: nil)
        return node
      }
    case .array(let nodes):
      value = .array(
        nodes.indices.map { apply(to: nodes[$0], key: "\(key)[\($0)]") })
    case .object(let members):
      value = .object(
        members.map { member in
          JSONMember(
            name: member.name, nameRange: member.nameRange,
            node: apply(to: member.node, key: Setting.key(key, member.name)))
        })
    }
    return JSONNode(value: value, range: node.range)
  }

  private func replaced(_ text: UTF8Text) throws(Fault) -> UTF8Text {
    var result: [UInt8] = []
    var rest = text.bytes[...]
    while let byte = rest.first {
      if rest.starts(with: "$${".utf8) {
        result.append(contentsOf: "${".utf8)
        rest = rest.dropFirst(3)
      } else if rest.starts(with: "${".utf8) {
        guard let end = rest.firstIndex(of: UInt8(ascii: "}")) else { throw .unclosed }
        result.append(contentsOf: try value(rest[..<end].dropFirst(2)))
        rest = rest[end...].dropFirst()
      } else {
        result.append(byte)
        rest = rest.dropFirst()
      }
    }
    return UTF8Text(result)
  }

  private func value(_ expression: ArraySlice<UInt8>) throws(Fault) -> [UInt8] {
    let name = expression.prefix { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"): true
      default: false
      }
    }
    let rest = expression[name.endIndex...]
    let hasDefault = rest.starts(with: ":-".utf8)
    guard let first = name.first, !(0x30...0x39 ~= first), rest.isEmpty || hasDefault,
      !rest.contains(UInt8(ascii: "{"))
    else { throw .noName }
    let text = String(decoding: name, as: UTF8.self)
    let value = reading.environment(text)
    if hasDefault {
      return value.flatMap { $0.isEmpty ? nil : Array($0.utf8) } ?? Array(rest.dropFirst(2))
    }
    guard let value else { throw .notSet(name: text) }
    return Array(value.utf8)
  }

  private func sentence(_ fault: Fault) -> String {
    switch fault {
    case .unclosed: "\"${\" is never closed; a literal one is written \"$${\""
    case .noName: "expected ${NAME} or ${NAME:-default}; a literal \"${\" is written \"$${\""
    case .notSet(let name):
      "the environment variable \"\(name)\" is not set; ${\(name):-x} gives it a default"
    }
  }
}
