package import Wire

/// `cors`: which pages of other origins may read a route's answers (Fetch, "CORS protocol").
package enum CORSSettings: Sendable {
  /// The service answers for itself; preflights go on to it without a token.
  case upstream
  case own(Own)

  package struct Own: Sendable {
    /// Scheme, host and port in the spelling that browsers send (RFC 6454 §6.2).
    package let origins: [UTF8Text]
    /// `*`; never with credentials.
    package let allowsAny: Bool
    /// In the file's order; nil: those of the route.
    package let methods: [UTF8Text]?
    package let headers: [UTF8Text]
    package let exposedHeaders: [UTF8Text]
    package let allowsCredentials: Bool
    package let maxAgeSeconds: Int64
  }
}

extension Kind where Value == CORSSettings {
  static var cors: Kind {
    Kind(
      .oneOf([
        .words(["upstream"]), .read { _ = ObjectReader.read($0) { CORSSettings.Own.read(&$0) } },
      ])
    ) { setting in
      if setting.node.members == nil {
        if setting.node.string == "upstream" { return .upstream }
        return setting.refused(
          "expected an object or \"upstream\", found \(setting.found)",
          suggestion: setting.node.string.flatMap {
            Spelling.nearest(to: $0.string, among: ["upstream"])
          })
      }
      return ObjectReader.read(setting) { CORSSettings.Own.read(&$0).map { .own($0) } }
    }
  }
}

extension CORSSettings.Own {
  fileprivate static func read(_ object: inout ObjectReader) -> Self? {
    let credentials = object.optional(
      "credentials", .bool, default: false, "whether cookies may be sent along")
    let origins = object.required(
      "origins", .list(.webOrigin, atLeastOne: true), "such as \"https://app.example.com\"")
    let methods = object.optional(
      "methods", .list(.corsName, atLeastOne: true), "null: those of the route")
    let headers = object.optional(
      "headers", .list(.corsName), default: ["Authorization", "Content-Type"],
      "that pages may send")
    let exposed = object.optional(
      "exposeHeaders", .list(.corsName), default: [], "that pages may read")
    let maxAgeMs = object.optional(
      "maxAge", .duration(0...Milliseconds.day), default: 10 * Milliseconds.minute,
      "how long a browser remembers the answer")
    let lists = [
      ("origins", origins ?? []), ("methods", methods ?? []), ("headers", headers),
      ("exposeHeaders", exposed),
    ]
    if credentials {
      for (name, list) in lists where list.contains("*") {
        object.find(name)?.refuse("\"*\" can't go with credentials: name each one")
      }
    }
    guard let origins else { return nil }
    return Self(
      origins: origins.filter { $0 != "*" }, allowsAny: origins.contains("*"), methods: methods,
      headers: headers, exposedHeaders: exposed, allowsCredentials: credentials,
      maxAgeSeconds: maxAgeMs / Milliseconds.second)
  }
}

extension Kind where Value == UTF8Text {
  /// A method or a field's name, or `*`.
  fileprivate static var corsName: Kind {
    Kind(.string) { setting in
      guard let text = Kind.text.read(setting) else { return nil }
      return FieldText.isToken(text) ? text : setting.refused("not a name")
    }
  }

  /// An origin as browsers write it, or `*`.
  fileprivate static var webOrigin: Kind {
    Kind(.string) { setting in
      guard let text = Kind.text.read(setting) else { return nil }
      if text == "*" { return text }
      if text == "null" {
        return setting.refused(
          "\"null\" is what any page can make itself: sandboxed frames, files, redirects")
      }
      let expected = "expected an origin such as \"https://app.example.com\""
      guard text.string.contains("://") else { return setting.refused(expected) }
      if let url = try? HTTPURL(text.string) {
        guard url.suffix.isEmpty || url.suffix == "/" else {
          return setting.refused("an origin has no path", suggestion: "\(url.origin)")
        }
        guard url.suffix.isEmpty else {
          return setting.refused("an origin has no slash at its end", suggestion: "\(url.origin)")
        }
        return UTF8Text("\(url.origin)")
      }
      // Apps have schemes of their own: capacitor://localhost, chrome-extension://id.
      let parts = text.string.split(
        separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
      let hasScheme = parts[0].utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x61...0x7A, 0x41...0x5A: true
        default: "+-.".utf8.contains(byte)
        }
      }
      guard hasScheme, !parts[0].isEmpty, !["http", "https"].contains(parts[0].lowercased()),
        !parts[1].isEmpty, parts[1].utf8.allSatisfy({ 0x21...0x7E ~= $0 && $0 != 0x2F })
      else { return setting.refused(expected) }
      return UTF8Text(text.string.lowercased())
    }
  }
}

extension RouteAction {
  /// What `cors` says itself, and what a route that forwards nothing can't have answered.
  func refuseDoubled(_ cors: CORSSettings?, in route: ObjectReader) {
    let fields: Setting?
    switch self {
    case .forward: fields = route.setting.value("forward")?.value("responseHeaders")?.value("set")
    case .respond: fields = route.setting.value("respond")?.value("headers")
    case .redirect: fields = nil
    }
    switch cors {
    case nil: break
    case .upstream:
      if case .forward = self { break }
      route.reportAtName("cors", "\"upstream\" is for routes that forward to one")
    case .own:
      for member in fields?.node.members ?? []
      where FieldNameKey(member.name.bytes)?.known == .accessControlOther {
        fields?.name(of: member).refuse("\"cors\" sets this field")
      }
    }
  }
}
