import Wire

/// `redirect`: another address for the caller.
package struct RedirectSettings: Sendable {
  package let to: Template
  /// Whether what the route's `*` held follows, and then the query.
  package let keepsRest: Bool
  /// 301, 302, 303, 307 or 308.
  package let status: Int
}

extension RedirectSettings {
  static func read(_ object: inout ObjectReader, _ context: TemplateContext) -> RedirectSettings? {
    let to = object.required(
      "to", .redirectTarget(context), "such as \"https://www.example.com/*\"")
    let status = object.optional(
      "status",
      Kind(.integer(301...308), written: { "\($0)" }) { setting in
        guard let status = Kind<Int>.integer(300...399).read(setting) else { return nil }
        guard [301, 302, 303, 307, 308].contains(status) else {
          return setting.refused("expected 301, 302, 303, 307 or 308")
        }
        return status
      }, default: 308, "308: for good, with the same method")
    return to.map { RedirectSettings(to: $0.template, keepsRest: $0.keepsRest, status: status) }
  }
}

/// A redirect's address, and whether a `*` stood at its end.
struct RedirectTarget {
  let template: Template
  let keepsRest: Bool
}

extension Kind where Value == RedirectTarget {
  /// A URL or a path, with templates; a `*` at its end stands for the route's.
  fileprivate static func redirectTarget(_ context: TemplateContext) -> Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      let keepsRest = text.bytes.last == UInt8(ascii: "*")
      let bytes = keepsRest ? Array(text.bytes.dropLast()) : text.bytes
      let node = JSONNode(value: .string(UTF8Text(bytes)), range: setting.node.range)
      let plain = Setting(node: node, place: setting.place, reading: setting.reading)
      guard let template = Template.read(plain, context) else { return nil }
      guard leadsWhereItSays(template) else {
        return setting.refused(
          "expected a URL whose scheme and host are written out, such as \"https://example.com/\", "
            + "or a path; of the parts only {request:host} can be the host")
      }
      if keepsRest {
        guard bytes.last == UInt8(ascii: "/"), !bytes.contains(UInt8(ascii: "?")),
          !bytes.contains(UInt8(ascii: "#"))
        else { return setting.refused("\"*\" stands behind a slash of the path") }
        if let path = context.path, path.segments.last != .rest {
          return setting.refused("match.path has no \"*\" that this one could stand for")
        }
      }
      return RedirectTarget(template: template, keepsRest: keepsRest)
    }
  }

  /// Whether no request decides to whom the caller is sent: its scheme and host are the operator's
  /// words, and what a part says can't become either of them.
  private static func leadsWhereItSays(_ template: Template) -> Bool {
    let parts = template.parts
    let slash = UInt8(ascii: "/")
    let isPrintable = parts.allSatisfy { part in
      guard case .text(let text) = part else { return true }
      return text.allSatisfy { 0x21...0x7E ~= $0 && !"\"<>\\^`{|}".utf8.contains($0) }
    }
    guard isPrintable, case .text(let first)? = parts.first else { return false }
    if first.first == slash {
      return first.count > 1 ? first[1] != slash : parts.count == 1
    }
    let written = String(decoding: first, as: UTF8.self)
    guard let start = ["https://", "http://"].first(where: { written.hasPrefix($0) }) else {
      return false
    }
    let behind = first[start.utf8.count...]
    if parts.count == 1 || behind.contains(slash) {
      let url = String(written.prefix { $0 != "#" })
      return (try? HTTPURL(url)) != nil
    }
    guard behind.isEmpty, parts[1] == .requestHost else { return false }
    guard parts.count > 2 else { return true }
    guard case .text(let next) = parts[2] else { return false }
    let port = next.prefix { $0 != slash }
    let isPort =
      port.isEmpty
      || port.first == UInt8(ascii: ":") && HostAndPort.port(Array(port.dropFirst())) != nil
    return isPort && (parts.count == 3 || next.contains(slash))
  }
}
