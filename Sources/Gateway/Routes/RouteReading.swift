import OAuth
import Wire

/// What routes may refer to, and what they share.
struct RouteContext {
  let listeners: Names
  let issuers: Names
  let exchanges: ExchangeNames
  let upstreams: Names
  let urlUpstreams: URLUpstreams
  let limits: LimitSettings
  let defaults: RouteDefaults
}

/// A route as read, as far as it could be.
struct ReadRoute {
  /// nil where something is wrong with it.
  let settings: RouteSettings?
  /// nil where something is wrong with this part of it.
  let match: RouteMatch?
  let ignoresCase: Bool
  /// Where `match` stands.
  let place: ConfigPlace
  /// The route's own key: `routes[2]`.
  let key: String

  static func read(_ setting: Setting, _ context: RouteContext) -> ReadRoute? {
    ObjectReader.read(setting) { object in
      let name = object.optional("name", .text, "in logs and metrics; by default its path")
      let before = setting.reading.findings.count
      let match = object.required(
        "match", .object { RouteMatch.read(&$0, listeners: context.listeners) },
        "which requests it is for")
      let isWholeMatch = setting.reading.findings.count == before
      let access = RouteAccess.read(&object, context)
      let templates = TemplateContext(
        path: isWholeMatch ? match?.path : nil,
        isPublic: object.find("authenticate")?.node.string == "none", route: setting.place.key)
      let action = RouteAction.read(&object, context, templates)
      let ownToken = OwnTokenSettings.read(&object, context)
      let rateLimits = object.optional(
        "rateLimit", .rateLimits(templates), "how many requests it takes")
      let cors = object.optional("cors", .cors, "for pages of other origins")
      action?.refuseDoubled(cors, in: object)
      let limits = object.section("limits", "in place of the file's") {
        RouteLimits.read(&$0, context.limits)
      }
      let pathRules = object.section("pathRules", "for what servers read differently") {
        PathRules.read(&$0)
      }
      var settings: RouteSettings?
      if let match, let access, let action, let limits, let pathRules {
        settings = RouteSettings(
          name: name?.string ?? match.path.text, match: match, access: access,
          ownToken: ownToken, action: action, cors: cors, rateLimits: rateLimits ?? [],
          limits: limits, pathRules: pathRules, place: setting.place)
      }
      return ReadRoute(
        settings: settings, match: isWholeMatch ? match : nil,
        ignoresCase: pathRules?.ignoreCase ?? false,
        place: object.find("match")?.place ?? setting.place, key: setting.place.key)
    }
  }
}

extension RouteAccess {
  fileprivate static func read(
    _ object: inout ObjectReader, _ context: RouteContext
  ) -> RouteAccess? {
    let isPublic = object.find("authenticate")?.node.string == "none"
    let hasExchange = object.has("exchange")
    let onward = object.optional("exchange", .onward(context), "what goes on to the service")
    if isPublic {
      if object.has("admit") {
        object.reportAtName("admit", "a public route admits everyone")
      }
      switch onward {
      case nil, .stripped: break
      case .exchanged, .passedThrough:
        object.find("exchange")?.refuse(
          "a public route has no caller's token: it can only \"strip\"")
      }
      return .open
    }
    if let setting = object.find("authenticate"), setting.node.members == nil {
      return setting.refused(
        "expected \"none\" or an object, found \(setting.found)",
        suggestion: setting.node.string.flatMap {
          Spelling.nearest(to: $0.string, among: ["none"])
        })
    }
    let authentication = object.section("authenticate", "whose tokens are taken") {
      Authentication.read(&$0, context)
    }
    object.describe("authenticate", orElse: .words(["none"]))
    let admission = object.section("admit", "who gets through", Admission.read)
    if !hasExchange, !object.has("respond"), !object.has("redirect") {
      object.refuseMissing(
        "exchange", "an \"audience\" for the service, \"strip\" or \"passthrough\"")
    }
    if case .exchanged(let index, _) = onward, admission?.system == .admit,
      context.exchanges.grants[index] == .onBehalfOf
    {
      object.find("admit")?.value("system")?.refuse(
        "can't succeed: on-behalf-of takes people's tokens only")
    }
    guard let authentication, let admission else { return nil }
    return .checked(authentication, admission, onward ?? .stripped)
  }
}

extension RouteAccess.Authentication {
  fileprivate static func read(
    _ object: inout ObjectReader, _ context: RouteContext
  ) -> RouteAccess.Authentication? {
    let issuers = object.optional(
      "issuers", .list(context.issuers.kind, atLeastOne: true), "names; null: all")
    let scopes = object.optional("scope", .list(.scope), default: [], "all of them")
    let anyScopes = object.optional("anyScope", .list(.scope), default: [], "one of them")
    let claims = object.optional(
      "claims", .entries(of: .list(.any, atLeastOne: true), ClaimRule.read), default: [],
      "claims and the values that they may have")
    let places = object.optional(
      "from", .tokenPlaces, default: [.header], "header, cookie:NAME or query:NAME")
    let realm = object.optional("realm", .realm, "in the challenge; null: the host")
    if context.issuers.count == 0 {
      object.setting.refuse("no issuer to check tokens with; \"none\" makes the route public")
    }
    return RouteAccess.Authentication(
      issuers: issuers ?? Array(0..<context.issuers.count), scopes: scopes,
      anyScopes: anyScopes, claims: claims, places: places, realm: realm?.string)
  }
}

extension RouteAccess.Admission {
  fileprivate static func read(_ object: inout ObjectReader) -> RouteAccess.Admission? {
    let words = [("exchange", RouteAccess.Verdict.admit), ("reject", .reject)]
    return RouteAccess.Admission(
      person: object.optional("person", .choice(words), default: .admit, "people's tokens"),
      system: object.optional(
        "system", .choice(words + [("client-credentials", .ownToken)]), default: .reject,
        "systems' tokens"),
      unknown: object.optional(
        "unknown", .choice(words), default: .admit, "tokens that nothing marks"))
  }
}

extension Kind where Value == UTF8Text {
  /// One scope (RFC 6749 §3.3).
  static var scope: Kind {
    Kind(.string) { setting in
      guard let text = Kind.text.read(setting) else { return nil }
      guard !text.bytes.contains(0x20) else {
        return setting.refused("a scope has no space; several are a list")
      }
      let isScope = text.bytes.allSatisfy { 0x21...0x7E ~= $0 && $0 != 0x22 && $0 != 0x5C }
      return isScope ? text : setting.refused("a scope is of visible ASCII without \\ and \"")
    }
  }

  /// What can stand in quotes in a challenge (RFC 9110 §5.6.4).
  fileprivate static var realm: Kind {
    Kind(.string) { setting in
      guard let text = Kind.text.read(setting) else { return nil }
      let isPlain = text.bytes.allSatisfy { 0x20...0x7E ~= $0 && $0 != 0x22 && $0 != 0x5C }
      return isPlain ? text : setting.refused("a realm is of visible ASCII without \\ and \"")
    }
  }
}

extension RouteLimits {
  fileprivate static func read(
    _ object: inout ObjectReader, _ limits: LimitSettings
  ) -> RouteLimits? {
    RouteLimits(
      bodyBytesMax: object.optional(
        "body", .bodySize, default: limits.bodyBytesMax, "413 beyond"),
      bodyTimeoutMs: object.optional(
        "bodyTimeout", .duration(1...Milliseconds.day), default: limits.bodyTimeoutMs,
        "the longest pause in a body"))
  }
}

extension PathRules {
  fileprivate static func read(_ object: inout ObjectReader) -> PathRules? {
    PathRules(
      encodedSlash: object.optional("encodedSlash", .choice(), default: Rule.reject, "%2F"),
      parameters: object.optional("parameters", .choice(), default: Rule.reject, ";"),
      emptySegments: object.optional(
        "emptySegments", .choice(), default: EmptySegments.merge, "//"),
      ignoreCase: object.optional(
        "ignoreCase", .bool, default: false, "where nothing matched with case"))
  }
}
