import Wire

extension RouteMatch {
  /// Reads `match`.
  static func read(_ object: inout ObjectReader, listeners: Names) -> RouteMatch? {
    let path = object.required("path", .path, "such as \"/orders/*\"")
    return RouteMatch(
      listeners: object.optional(
        "listeners", .list(listeners.kind, atLeastOne: true), "names; null: all"),
      host: object.optional("host", .routeHost, "such as \"api.example.com\"; null: any")
        ?? .any,
      path: path ?? .root,
      methods: object.optional("methods", .list(.method, atLeastOne: true), "null: any")
        .map(withHead),
      headers: object.optional(
        "headers", .entries(of: .string, HeaderCondition.read), default: [],
        "fields and their values"))
  }

  /// A route for GET is one for HEAD; a method named twice counts once.
  private static func withHead(_ methods: [UTF8Text]) -> [UTF8Text] {
    var seen: Set<UTF8Text> = []
    return (methods + (methods.contains("GET") ? ["HEAD"] : [])).filter {
      seen.insert($0).inserted
    }
  }
}

extension Kind where Value == UTF8Text {
  fileprivate static var method: Kind {
    Kind(.string) { setting in
      guard let text = Kind.text.read(setting) else { return nil }
      let upper = text.string.uppercased()
      guard FieldText.isToken(text) else { return setting.refused("not a method") }
      if ["TRACE", "CONNECT"].contains(upper) {
        return setting.refused("\(upper) is refused on every route")
      }
      let common = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
      if common.contains(upper), UTF8Text(upper) != text {
        return setting.refused("methods are written in upper case", suggestion: upper)
      }
      return text
    }
  }
}

extension RouteMatch.HeaderCondition {
  fileprivate static func read(name: Setting, _ value: Setting) -> RouteMatch.HeaderCondition? {
    guard let field = name.node.string, FieldText.isToken(field) else {
      return name.refused("not a header's name")
    }
    guard let text = Kind<UTF8Text>.anyText.read(value) else { return nil }
    guard FieldText.isValue(text) else {
      return value.refused("not a header's value: no control characters, no space at its ends")
    }
    return Self(name: UTF8Text(field.string.lowercased()), value: text)
  }
}

/// What a header's name and value may hold (RFC 9110 §5.1, §5.5, §5.6.2).
enum FieldText {
  static func isToken(_ text: UTF8Text) -> Bool {
    !text.isEmpty
      && text.bytes.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }

  static func isValue(_ text: UTF8Text) -> Bool {
    let space: Set<UInt8> = [0x20, 0x09]
    if let first = text.bytes.first, space.contains(first) { return false }
    if let last = text.bytes.last, space.contains(last) { return false }
    return text.bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
  }
}
