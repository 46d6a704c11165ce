import Wire

/// `forward.path`: what is taken away from the front of a request's path, and what is put there.
package struct PathRewrite: Hashable, Sendable {
  /// How many segments are taken away.
  package let strippedSegments: Int
  /// Begins with a slash and does not end with one; empty for nothing.
  package let added: [UInt8]

  package static let none = PathRewrite(strippedSegments: 0, added: [])
}

extension PathRewrite {
  static func read(_ object: inout ObjectReader, _ context: TemplateContext) -> PathRewrite? {
    let stripped = object.optional(
      "stripPrefix", .pathPrefix(mayHaveParameters: true), default: [], "taken away")
    let added = object.optional(
      "addPrefix", .pathPrefix(mayHaveParameters: false), default: [], "put in front")
    if let path = context.path, !path.segments.starts(with: stripped) {
      object.find("stripPrefix")?.refuse("match.path does not begin with this prefix")
    }
    return PathRewrite(
      strippedSegments: stripped.count,
      added: added.flatMap { segment -> [UInt8] in
        if case .literal(let text) = segment { [UInt8(ascii: "/")] + text.bytes } else { [] }
      })
  }
}

extension Kind where Value == [PathPattern.Segment] {
  fileprivate static func pathPrefix(mayHaveParameters: Bool) -> Kind {
    Kind(.string) { setting in
      if setting.node.string?.isEmpty == true { return [] }
      guard let pattern = Kind<PathPattern>.path.read(setting) else { return nil }
      for segment in pattern.segments {
        switch segment {
        case .literal: continue
        case .parameter where mayHaveParameters: continue
        case .parameter: return setting.refused("a prefix that is put in front has no {NAME}")
        case .rest: return setting.refused("a prefix has no \"*\"")
        }
      }
      return pattern.segments
    }
  }
}
