package import Wire

/// Fields that are set and removed on their way: `forward.headers`, `forward.responseHeaders`.
package struct FieldChanges: Sendable {
  /// In the file's order, names as written, each once (`_` and `-` being one letter).
  package let assigned: [(name: UTF8Text, value: Template)]
  package let removed: [UTF8Text]

  package static let none = FieldChanges(assigned: [], removed: [])

  package var isEmpty: Bool { assigned.isEmpty && removed.isEmpty }
}

/// Whose fields they are, and so which of them are not the operator's to change.
enum FieldDirection {
  case request
  case answer

  /// Fields whose meaning is the gateway's or the connection's.
  private static let ofRequests = FieldNameSet([
    .host, .contentLength, .transferEncoding, .expect, .authorization, .forwarded,
    .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort, .xForwardedPrefix,
    .xForwardedOther, .xRequestID, .via, .maxForwards,
  ])
  private static let ofAnswers = FieldNameSet([
    .contentLength, .transferEncoding, .date, .via,
  ])

  func forbids(_ name: FieldName) -> Bool {
    name.isHopByHop || (self == .request ? Self.ofRequests : Self.ofAnswers).contains(name)
  }
}

extension FieldChanges {
  /// Reads `{ "set": {…}, "remove": […] }`.
  static func read(
    _ object: inout ObjectReader, _ direction: FieldDirection, _ context: TemplateContext
  ) -> FieldChanges? {
    var seen: Set<UInt32> = []
    let set = object.optional(
      "set",
      .entries(of: .string) { name, value -> (name: UTF8Text, value: Template)? in
        let field = FieldChanges.field(name, direction)
        let template = FieldChanges.value(value, context)
        guard let field, let template else { return nil }
        if let key = FieldNameKey(field.bytes), !seen.insert(key.foldedHash).inserted {
          return name.refused("the same field twice: case, \"_\" and \"-\" make no difference")
        }
        return (field, template)
      }, default: [], "fields and their values")
    let removed = object.optional(
      "remove", .list(Kind(.string) { FieldChanges.field($0, direction) }), default: [],
      "fields' names")
    return FieldChanges(assigned: set, removed: removed)
  }

  private static func field(_ setting: Setting, _ direction: FieldDirection) -> UTF8Text? {
    guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
    guard let key = FieldNameKey(text.bytes) else { return setting.refused("not a header's name") }
    guard !direction.forbids(key.known) else {
      return setting.refused("the gateway itself decides about this field")
    }
    return text
  }

  private static func value(_ setting: Setting, _ context: TemplateContext) -> Template? {
    guard let template = Template.read(setting, context) else { return nil }
    let isValue = template.parts.allSatisfy { part in
      guard case .text(let bytes) = part else { return true }
      return bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }
    guard isValue, FieldText.isValue(setting.node.string ?? "") else {
      return setting.refused("not a header's value: no control characters, no space at its ends")
    }
    return template
  }
}
