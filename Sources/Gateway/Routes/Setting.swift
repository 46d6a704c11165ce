import OAuth
import Wire

/// One reading of a routes file: what it may ask for, and all that it found wrong.
final class Reading {
  let environment: (String) -> String?
  let files: any FileSource
  private(set) var findings: [Finding] = []
  /// Values already complained about: whatever else is wrong with them is a consequence.
  private var refused: Set<ConfigPlace> = []

  struct Finding {
    let place: ConfigPlace
    let message: String
    let suggestion: String?
    let severity: ConfigProblem.Severity
  }

  init(environment: @escaping (String) -> String?, files: any FileSource) {
    self.environment = environment
    self.files = files
  }

  /// Notes an error, once for a value.
  func refuse(_ place: ConfigPlace, _ message: String, suggestion: String?) {
    guard refused.insert(place).inserted else { return }
    note(place, message, suggestion, .error)
  }

  func warn(_ place: ConfigPlace, _ message: String) {
    note(place, message, nil, .warning)
  }

  private func note(
    _ place: ConfigPlace, _ message: String, _ suggestion: String?,
    _ severity: ConfigProblem.Severity
  ) {
    findings.append(
      Finding(place: place, message: message, suggestion: suggestion, severity: severity))
  }
}

/// A value of the file on its way to become a setting.
struct Setting {
  let node: JSONNode
  let place: ConfigPlace
  let reading: Reading

  /// Complains about the value.
  func refuse(_ message: String, suggestion: String? = nil) {
    reading.refuse(place, message, suggestion: suggestion)
  }

  /// Complains about the value, for a reader to end with.
  func refused<Value>(_ message: String, suggestion: String? = nil) -> Value? {
    refuse(message, suggestion: suggestion)
    return nil
  }

  /// An element of this list.
  func element(_ index: Int, _ node: JSONNode) -> Setting {
    at(node, key: "\(place.key)[\(index)]")
  }

  /// A member of this object.
  func member(_ member: JSONMember) -> Setting {
    at(member.node, key: Self.key(place.key, member.name))
  }

  /// The value of a member of this object, where it has such a one.
  func value(_ name: UTF8Text) -> Setting? {
    node.members?.first { $0.name == name }.map(member)
  }

  /// The name of a member of this object, as a text of its own.
  func name(of member: JSONMember) -> Setting {
    let node = JSONNode(value: .string(member.name), range: member.nameRange)
    return at(node, key: Self.key(place.key, member.name))
  }

  private func at(_ node: JSONNode, key: String) -> Setting {
    Setting(
      node: node, place: ConfigPlace(file: place.file, range: node.range, key: key),
      reading: reading)
  }

  /// The path of a member: `issuers.corp`, or `issuers["my corp"]` where a dot would mislead.
  static func key(_ parent: String, _ name: UTF8Text) -> String {
    let isPlain =
      !name.isEmpty
      && name.bytes.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"),
          UInt8(ascii: "$"):
          true
        default: false
        }
      }
    guard isPlain else {
      var quoted: [UInt8] = []
      JSONWriter.appendString(name, to: &quoted)
      return "\(parent)[\(String(decoding: quoted, as: UTF8.self))]"
    }
    return parent.isEmpty ? name.string : "\(parent).\(name)"
  }

  /// What the value is, for a message.
  var found: String {
    switch node.value {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .number: "a number"
    case .string(let text): text.isEmpty ? "an empty string" : "text"
    case .array: "a list"
    case .object: "an object"
    }
  }
}
