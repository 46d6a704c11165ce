/// What a JSON text says (RFC 8259). Members keep their order; no object holds a name twice.
package enum JSONValue: Sendable, Equatable {
  case null
  case bool(Bool)
  case number(JSONNumber)
  case string(UTF8Text)
  case array([JSONNode])
  case object([JSONMember])
}

/// A value and where it stood.
package struct JSONNode: Sendable {
  package let value: JSONValue
  /// The bytes of the source that spell the value, brackets and quotes included.
  package let range: Range<Int>

  package init(value: JSONValue, range: Range<Int>) {
    self.value = value
    self.range = range
  }
}

/// Two nodes are equal when they say the same; where they stood is no part of it.
extension JSONNode: Equatable {
  package static func == (one: JSONNode, other: JSONNode) -> Bool {
    one.value == other.value
  }
}

/// One member of an object.
package struct JSONMember: Sendable {
  /// Unescaped.
  package let name: UTF8Text
  /// The bytes of the source that spell the name, quotes included.
  package let nameRange: Range<Int>
  package let node: JSONNode

  package init(name: UTF8Text, nameRange: Range<Int>, node: JSONNode) {
    self.name = name
    self.nameRange = nameRange
    self.node = node
  }
}

extension JSONMember: Equatable {
  package static func == (one: JSONMember, other: JSONMember) -> Bool {
    one.name == other.name && one.node == other.node
  }
}

extension JSONNode {
  /// The member of that name, where this is an object that has one.
  package subscript(_ name: UTF8Text) -> JSONNode? {
    guard case .object(let members) = value else { return nil }
    return members.first { $0.name == name }?.node
  }

  package var isNull: Bool { value == .null }

  package var string: UTF8Text? {
    guard case .string(let text) = value else { return nil }
    return text
  }

  package var number: JSONNumber? {
    guard case .number(let number) = value else { return nil }
    return number
  }

  /// The number's value where it is a whole one that fits: `100`, `1e2` and `100.0` are the same.
  package var integer: Int64? { number?.integer }

  package var bool: Bool? {
    guard case .bool(let bool) = value else { return nil }
    return bool
  }

  package var elements: [JSONNode]? {
    guard case .array(let elements) = value else { return nil }
    return elements
  }

  package var members: [JSONMember]? {
    guard case .object(let members) = value else { return nil }
    return members
  }

  /// What the pointer leads to from here, if anything (RFC 6901 §4).
  package func at(pointer: JSONPointer) -> JSONNode? {
    var node = self
    for token in pointer.tokens {
      switch node.value {
      case .object:
        guard let next = node[token] else { return nil }
        node = next
      case .array(let elements):
        guard let index = JSONPointer.index(token), index < elements.count else { return nil }
        node = elements[index]
      case .null, .bool, .number, .string:
        return nil
      }
    }
    return node
  }
}
