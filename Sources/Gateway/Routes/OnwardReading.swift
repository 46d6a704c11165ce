import OAuth
import Wire

/// The entries of `exchanges`, and what each of them does.
struct ExchangeNames {
  let names: Names
  /// Also of entries with mistakes, as far as they say it.
  let grants: [ExchangeSettings.Grant]

  init(_ setting: Setting?) {
    names = Names("exchange", membersOf: setting)
    grants = (setting?.node.members ?? []).map { member in
      let word = member.node["grant"]?.string
      return ExchangeSettings.Grant.words.first { UTF8Text($0.0) == word }?.1 ?? .tokenExchange
    }
  }

  /// The entry that `with` names, or the only one there is of these grants.
  func read(
    _ object: inout ObjectReader, of wanted: Set<ExchangeSettings.Grant>, elsewhere: String
  ) -> Int? {
    object.describe("with", names.kind.schema, "an exchange's name; the only one by default")
    let fitting = grants.indices.filter { wanted.contains(grants[$0]) }
    if object.has("with") {
      guard let index = object.optional("with", names.kind, "an exchange's name") else {
        return nil
      }
      guard grants.indices.contains(index), wanted.contains(grants[index]) else {
        let grant = ExchangeSettings.Grant.words.first { $0.1 == grants[index] }?.0 ?? ""
        return object.find("with")?.refused("its grant is \(grant): it goes in \"\(elsewhere)\"")
      }
      return index
    }
    _ = object.find("with")
    if fitting.count == 1 { return fitting[0] }
    let grantWords = ExchangeSettings.Grant.words.filter { wanted.contains($0.1) }.map(\.0)
    object.refuseMissing(
      "with",
      fitting.isEmpty
        ? (names.count == 0
          ? "the file has no \"exchanges\""
          : "no exchange has the grant \(Words.anyOf(grantWords))")
        : "which exchange: \(names.list(of: fitting))")
    return nil
  }
}

extension ExchangeTarget {
  /// What a token is for.
  fileprivate static func read(_ object: inout ObjectReader) -> ExchangeTarget {
    ExchangeTarget(
      audiences: object.optional("audience", .list(.text), default: [], "whom it is for"),
      resources: object.optional("resource", .list(.text), default: [], "what it is for"),
      scopes: object.optional("scope", .list(.scope), default: [], "what it may do"))
  }
}

extension Kind where Value == RouteAccess.Onward {
  /// A route's `exchange`.
  static func onward(_ context: RouteContext) -> Kind {
    Kind(.oneOf([.words(["strip", "passthrough"]), .read { _ = exchanged($0, context) }])) {
      setting in
      if setting.node.members == nil {
        switch setting.node.string {
        case "strip": return .stripped
        case "passthrough":
          setting.reading.warn(setting.place, "the caller's own token goes on to the service")
          return .passedThrough
        case let word:
          return setting.refused(
            "expected an object, \"strip\" or \"passthrough\", found \(setting.found)",
            suggestion: word.flatMap {
              Spelling.nearest(to: $0.string, among: ["strip", "passthrough"])
            })
        }
      }
      return exchanged(setting, context)
    }
  }

  private static func exchanged(_ setting: Setting, _ context: RouteContext) -> Value? {
    ObjectReader.read(setting) { object in
      let index = context.exchanges.read(
        &object, of: [.tokenExchange, .onBehalfOf], elsewhere: "clientCredentials")
      let target = ExchangeTarget.read(&object)
      guard let index else { return nil }
      if context.exchanges.grants[index] == .onBehalfOf {
        // Entra's endpoint has no such parameters: the scope names the service.
        for key in ["audience", "resource"] where object.has(key) {
          object.reportAtName(
            key, "on-behalf-of takes none; write \"scope\", e.g. \"api://orders/.default\"")
        }
        if target.scopes.isEmpty {
          setting.reading.warn(setting.place, "no \"scope\": on-behalf-of has no other target")
        }
      }
      return .exchanged(index: index, target)
    }
  }
}

extension OwnTokenSettings {
  /// A route's `clientCredentials`, and whether it is the place for it.
  static func read(_ route: inout ObjectReader, _ context: RouteContext) -> OwnTokenSettings? {
    let isPublic = route.text("authenticate") == "none"
    let system = route.find("admit")?.value("system")
    let isForSystems = !isPublic && system?.node.string == "client-credentials"
    let own = route.optional(
      "clientCredentials", .object { readOwn(&$0, context) }, "a token of the gateway's own")
    if isForSystems, !asksForMore(route.find("authenticate")) {
      system?.refuse(
        "needs authenticate.scope, anyScope or claims: not every system may act as the gateway")
    }
    if route.has("clientCredentials") {
      if isPublic {
        if route.has("exchange") {
          route.reportAtName(
            "exchange", "a public route has either \"exchange\" or \"clientCredentials\"")
        }
        if let field = route.find("clientCredentials")?.value("callerHeader"), !field.node.isNull {
          field.reading.warn(field.place, "a public route knows no caller; it is only dropped")
        }
      } else if !isForSystems {
        route.reportAtName(
          "clientCredentials",
          "only with \"admit\": {\"system\": \"client-credentials\"}, or on a public route")
      }
    } else if isForSystems {
      route.refuseMissing("clientCredentials", "the gateway's own token, for admit.system")
    }
    return own
  }

  private static func readOwn(
    _ object: inout ObjectReader, _ context: RouteContext
  ) -> OwnTokenSettings? {
    let index = context.exchanges.read(&object, of: [.clientCredentials], elsewhere: "exchange")
    let target = ExchangeTarget.read(&object)
    let callerHeader = object.optional(
      "callerHeader", .callerHeader, "in which field the caller's client id goes on")
    return index.map {
      OwnTokenSettings(exchange: $0, target: target, callerHeader: callerHeader)
    }
  }

  /// Whether a route asks more of a caller's token than to be valid.
  private static func asksForMore(_ authenticate: Setting?) -> Bool {
    ["scope", "anyScope", "claims"].contains { name in
      guard let node = authenticate?.value(UTF8Text(name))?.node else { return false }
      return node.string?.isEmpty == false || node.elements?.isEmpty == false
        || node.members?.isEmpty == false
    }
  }
}

extension Kind where Value == UTF8Text {
  /// A field's name for the gateway to fill.
  fileprivate static var callerHeader: Kind {
    Kind(.string) { setting in
      guard let text = Kind.text.read(setting) else { return nil }
      guard let key = FieldNameKey(text.bytes) else {
        return setting.refused("not a header's name")
      }
      guard !fieldsOfOthers.contains(key.known), !key.known.isHopByHop else {
        return setting.refused("a field with another meaning")
      }
      return text
    }
  }
}

/// Fields whose meaning is the gateway's, the connection's or the caller's.
private let fieldsOfOthers: FieldNameSet = {
  var names = FieldNameSet()
  for name: FieldName in [
    .host, .contentLength, .transferEncoding, .expect, .authorization, .forwarded,
    .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort, .xForwardedPrefix,
    .xForwardedOther, .xRequestID, .via, .cookie,
  ] {
    names.insert(name)
  }
  return names
}()
