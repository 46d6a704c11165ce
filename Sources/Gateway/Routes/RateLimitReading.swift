import OAuth
package import Wire

/// One entry of `rateLimit`: so many requests in a time, and so many at once.
package struct RateLimitSettings: Hashable, Sendable {
  package let requests: Int
  package let perMs: Int64
  /// How many may come at once; at least 1.
  package let burst: Int
  package let by: Key

  /// Whose requests are counted together.
  package enum Key: Hashable, Sendable {
    /// An address's, IPv6 by /64.
    case address
    /// Those whose tokens' issuer and claim are the same.
    case claim(ClaimName)
    /// Those with the same value of a field; the name in lower case.
    case header(UTF8Text)
    /// All of the route's.
    case route
  }

  /// Nanoseconds between two requests at the steady rate.
  package var intervalNs: Int64 { max(1, perMs * 1_000_000 / Int64(requests)) }
}

extension Kind where Value == [RateLimitSettings] {
  /// A route's `rateLimit`: one, or a list.
  static func rateLimits(_ context: TemplateContext) -> Kind {
    let one = Kind<RateLimitSettings>.object { RateLimitSettings.read(&$0, context) }
    return Kind(.list(one.schema, atLeastOne: false)) { setting in
      guard let nodes = setting.node.elements else { return one.read(setting).map { [$0] } }
      return complete(nodes.indices.map { one.read(setting.element($0, nodes[$0])) })
    }
  }
}

extension RateLimitSettings {
  /// A request a microsecond: what is faster limits nobody.
  private static let perSecondMax: Int64 = 1_000_000

  fileprivate static func read(
    _ object: inout ObjectReader, _ context: TemplateContext
  ) -> RateLimitSettings? {
    let requests = object.required("requests", .integer(1...1_000_000_000), "how many")
    let perMs = object.optional(
      "per", .duration(1...Milliseconds.day), default: Milliseconds.second, "in which time")
    let burst = object.optional(
      "burst", .integer(1...1_000_000_000), "how many at once; null: as many as \"requests\"")
    let by = object.required(
      "by", .limitKey(context), "\"ip\", \"claim:NAME\", \"header:NAME\" or \"route\"")
    guard let requests, let by else { return nil }
    guard Int64(requests) <= perMs * perSecondMax / Milliseconds.second else {
      return object.find("requests")?.refused("more than a million a second limit nobody")
    }
    let limit = RateLimitSettings(
      requests: requests, perMs: perMs, burst: burst ?? requests, by: by)
    // Counted in nanoseconds from now, which must not overflow.
    guard Int64(limit.burst) <= Int64.max / 4 / limit.intervalNs else {
      return object.find("burst")?.refused("it would take centuries to earn so many")
    }
    return limit
  }
}

extension Kind where Value == RateLimitSettings.Key {
  fileprivate static func limitKey(_ context: TemplateContext) -> Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      if text == "ip" { return .address }
      if text == "route" { return .route }
      if text.hasPrefix("claim:") {
        if context.isPublic {
          return setting.refused("\(context.route) is public: no token has been verified")
        }
        let name = UTF8Text(Array(text.bytes.dropFirst(6)))
        guard !name.isEmpty else { return setting.refused("expected a claim's name behind it") }
        return ClaimName(name).map { .claim($0) }
          ?? setting.refused("not a JSON Pointer: \"~\" is written \"~0\" and \"/\" \"~1\"")
      }
      if text.hasPrefix("header:") {
        let name = Array(text.bytes.dropFirst(7))
        guard let key = FieldNameKey(name) else {
          return setting.refused("expected a header's name behind it")
        }
        return .header(UTF8Text(key.spelling))
      }
      return setting.refused(
        "expected \"ip\", \"claim:NAME\", \"header:NAME\" or \"route\"",
        suggestion: meant(by: text, context))
    }
  }

  /// A word of its own is a claim's name, or a field's where it looks like one.
  private static func meant(by text: UTF8Text, _ context: TemplateContext) -> String? {
    if let nearest = Spelling.nearest(to: text.string, among: ["ip", "route"]) { return nearest }
    let lower = text.string.lowercased()
    if ["client", "address", "remote_addr", "client_ip"].contains(lower) { return "ip" }
    guard FieldText.isToken(text) else { return nil }
    if lower.hasPrefix("x-") || ["authorization", "host", "user-agent"].contains(lower) {
      return "header:\(text)"
    }
    return context.isPublic ? nil : "claim:\(text)"
  }
}
