import OAuth
import Wire

extension ExchangeSettings {
  /// Reads one entry of `exchanges`.
  static func read(name: Setting, _ setting: Setting, issuers: Names) -> ExchangeSettings? {
    ObjectReader.read(setting) { object in
      let tokenService = object.required(
        "tokenService", .tokenService(issuers), "an issuer's name, or a token endpoint's URL")
      let grant = object.optional(
        "grant", .choice(Grant.words), default: .tokenExchange, "how tokens are asked for")
      let client = object.required("client", .client, "who the gateway is to the token service")
      let subjectTokenType = object.optional(
        "subjectTokenType", .text, default: Self.accessToken, "what the caller's token is")
      let requestedTokenType = object.optional(
        "requestedTokenType", .text, "what is wanted; null: not sent")
      let actorToken = object.optional("actorToken", .secret, "who acts for the caller")
      let actorTokenType = object.optional(
        "actorTokenType", .text, default: Self.accessToken, "what that is")
      let parameters = object.optional(
        "parameters", .entries(of: .list(.string, atLeastOne: false), Parameter.read),
        default: [], "more form fields"
      ).flatMap(\.self)
      let ca = object.optional("tls", .certificateAuthority, "for calls to the token service")
      let timeoutMs = object.optional(
        "timeout", .duration(1...Milliseconds.hour), default: 5 * Milliseconds.second,
        "for an exchange, everything sent again included")
      let retries = object.optional("retries", .integer(0...10), default: 1, "sent again")
      let concurrency = object.optional(
        "concurrency", .integer(1...100_000), default: 64, "calls under way at once")
      let cache = object.section("cache", "how issued tokens are kept", Cache.read)
      let breaker = object.section("breaker", "when calls pause", Breaker.read)
      let subjectErrors = object.optional(
        "subjectErrors", .list(.subjectError), default: Self.standardSubjectErrors,
        "these mean: the caller's token is no longer good")
      let verify = object.section("verify", "what is checked of what comes back") {
        Verification.read(&$0, grant)
      }
      refuseStrangeTypes(in: object, grant)
      if case .certificate? = client?.method, case .endpoint(let url)? = tokenService,
        !url.origin.isSecure
      {
        object.find("tokenService")?.refuse("tls_client_auth needs an https:// URL")
      }
      guard let tokenService, let client, let cache, let breaker, let verify else { return nil }
      return ExchangeSettings(
        name: name.node.string?.string ?? "", tokenService: tokenService, grant: grant,
        client: client, subjectTokenType: subjectTokenType,
        requestedTokenType: requestedTokenType, actorToken: actorToken,
        actorTokenType: actorTokenType, parameters: parameters, ca: ca.flatMap(\.self),
        timeoutMs: timeoutMs, retries: retries, concurrency: concurrency, cache: cache,
        breaker: breaker, subjectErrors: subjectErrors, verify: verify, place: name.place)
    }
  }

  /// What RFC 8693 alone has a parameter for, beside another grant, and an actor's type without an
  /// actor: none of it would be sent.
  private static func refuseStrangeTypes(in object: ObjectReader, _ grant: Grant) {
    if grant != .tokenExchange {
      for key in ["subjectTokenType", "requestedTokenType", "actorToken", "actorTokenType"]
      where object.has(key) && object.text(key) != accessToken {
        object.reportAtName(key, "goes with the grant \"token-exchange\" only")
      }
    } else if !object.has("actorToken"), let type = object.text("actorTokenType"),
      type != accessToken
    {
      object.reportAtName("actorTokenType", "goes with \"actorToken\" only")
    }
  }

  private static let accessToken: UTF8Text = "urn:ietf:params:oauth:token-type:access_token"

  private static let standardSubjectErrors = [
    SubjectError(error: "invalid_grant", description: nil),
    SubjectError(error: "invalid_token", description: nil),
    SubjectError(error: "invalid_request", description: "Invalid token"),
  ]
}

extension ExchangeSettings.Grant {
  /// As the routes file writes them.
  static let words: [(String, Self)] = [
    ("token-exchange", .tokenExchange), ("on-behalf-of", .onBehalfOf),
    ("client-credentials", .clientCredentials),
  ]
}

extension Kind where Value == ExchangeSettings.TokenService {
  fileprivate static func tokenService(_ issuers: Names) -> Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      if text.string.contains("://") {
        return Kind<HTTPURL>.protectedURL.read(setting).map { .endpoint($0) }
      }
      return issuers.index(of: setting).map { .issuer(index: $0, name: text.string) }
    }
  }
}

extension ExchangeSettings.Parameter {
  /// Form fields that other keys fill.
  private static let owned: [(name: UTF8Text, key: String)] = [
    ("grant_type", "grant"), ("client_id", "client.id"), ("client_secret", "client.secret"),
    ("client_assertion", "client.method"), ("client_assertion_type", "client.method"),
    ("subject_token_type", "subjectTokenType"), ("requested_token_type", "requestedTokenType"),
    ("requested_token_use", "grant"),
    ("actor_token", "actorToken"), ("actor_token_type", "actorTokenType"),
    ("audience", "the route's exchange.audience"), ("resource", "the route's exchange.resource"),
    ("scope", "the route's exchange.scope"),
  ]

  /// One name with its value, or several.
  fileprivate static func read(name: Setting, _ value: Setting) -> [ExchangeSettings.Parameter]? {
    guard let field = name.node.string else { return nil }
    if let owned = owned.first(where: { $0.name == field }) {
      return name.refused("\"\(field)\" has a key of its own: \(owned.key)")
    }
    if field == "subject_token" || field == "assertion" {
      return name.refused("\"\(field)\" is the caller's token")
    }
    return Kind.list(.anyText).read(value)?.map {
      ExchangeSettings.Parameter(name: field, value: $0)
    }
  }
}

extension ExchangeSettings.Cache {
  fileprivate static func read(_ object: inout ObjectReader) -> Self? {
    ExchangeSettings.Cache(
      sizeBytes: object.optional(
        "size", .size(0...1024 * Bytes.gibi), default: 256 * Bytes.mebi, "of all tokens kept"),
      maxLifeMs: object.optional(
        "maxLife", .duration(0...365 * Milliseconds.day), default: Milliseconds.hour,
        "of a token kept"),
      marginMs: object.optional(
        "margin", .duration(0...Milliseconds.hour), default: 10 * Milliseconds.second,
        "left off the end of a token's life"),
      deniedMs: object.optional(
        "denied", .duration(0...Milliseconds.hour), default: 10 * Milliseconds.second,
        "how long a refusal is remembered"),
      refreshAhead: object.optional(
        "refreshAhead", .fraction(0...0.9), default: 0.2,
        "the last part of a token's life, in which it is had anew"))
  }
}

extension ExchangeSettings.Breaker {
  fileprivate static func read(_ object: inout ObjectReader) -> Self? {
    ExchangeSettings.Breaker(
      failures: object.optional(
        "failures", .integer(1...1_000_000), default: 5, "in a row, until it opens"),
      cooldownMs: object.optional(
        "cooldown", .duration(1...Milliseconds.hour), default: 5 * Milliseconds.second,
        "how long it stays open"))
  }
}

extension Kind where Value == ExchangeSettings.SubjectError {
  fileprivate static var subjectError: Kind {
    Kind(.oneOf([.string, .read { _ = described($0) }]), written: { Self.json($0) }) { setting in
      if setting.node.members == nil {
        return Kind<UTF8Text>.text.read(setting).map { Value(error: $0, description: nil) }
      }
      return described(setting)
    }
  }

  private static func described(_ setting: Setting) -> Value? {
    ObjectReader.read(setting) { object in
      let error = object.required("error", .text, "the OAuth error code")
      let description = object.optional("description", .text, "the whole error_description")
      return error.map { Value(error: $0, description: description) }
    }
  }

  private static func json(_ value: Value) -> String {
    let error = Words.json(value.error)
    guard let description = value.description else { return error }
    return "{\"error\": \(error), \"description\": \(Words.json(description))}"
  }
}

extension ExchangeSettings.Verification {
  fileprivate static func read(
    _ object: inout ObjectReader, _ grant: ExchangeSettings.Grant
  ) -> Self? {
    // Entra's `sub` is another for each client; `oid` is the person's everywhere.
    let usual: Subject =
      grant == .onBehalfOf
      ? .claims(caller: ClaimName(member: "oid"), issued: ClaimName(member: "oid")) : .same
    return ExchangeSettings.Verification(
      audience: object.optional(
        "audience", .verifiedAudience, default: Audience.requested,
        "\"requested\", a list or \"any\""),
      subject: object.optional(
        "subject", .verifiedSubject, default: usual, "\"same\", two claims or \"any\""),
      signature: object.optional(
        "signature", .bool, default: false, "also its signature, with its issuer's keys"))
  }
}

extension Kind where Value == ExchangeSettings.Verification.Audience {
  fileprivate static var verifiedAudience: Kind {
    Kind(
      .list(.string, atLeastOne: true),
      written: { if case .requested = $0 { "\"requested\"" } else { nil } }
    ) { setting in
      switch setting.node.string {
      case "requested": .requested
      case "any": .any
      default: Kind<[UTF8Text]>.audienceList.read(setting).map { .list($0) }
      }
    }
  }
}

extension Kind where Value == ExchangeSettings.Verification.Subject {
  fileprivate static var verifiedSubject: Kind {
    Kind(
      .oneOf([.words(["same", "any"]), .read { _ = claims($0) }]),
      written: { if case .same = $0 { "\"same\"" } else { nil } }
    ) { setting in
      if setting.node.members == nil {
        return Kind.choice([("same", .same), ("any", .any)]).read(setting)
      }
      return claims(setting)
    }
  }

  private static func claims(_ setting: Setting) -> Value? {
    ObjectReader.read(setting) { object in
      let caller = object.required("caller", .claim, "the claim of the caller's token")
      let issued = object.required("issued", .claim, "the same in the issued token")
      guard let caller, let issued else { return nil }
      return .claims(caller: caller, issued: issued)
    }
  }
}
