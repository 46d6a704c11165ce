import Crypto
import OAuth
import Wire

extension IssuerSettings {
  /// Reads one entry of `issuers`.
  static func read(name: Setting, _ setting: Setting) -> IssuerSettings? {
    ObjectReader.read(setting) { object in
      let issuer = object.required("issuer", .issuer, "the tokens' iss")
      let discovery = object.optional(
        "discovery", .protectedURL,
        "the document's URL where it isn't ISSUER/.well-known/openid-configuration")
      let keys = object.optional("jwks", .keySource, "a URL or a file; null: from discovery")
      let jwksRefreshMs = object.optional(
        "jwksRefresh", .duration(Milliseconds.second...Milliseconds.day),
        default: 5 * Milliseconds.minute, "how often keys are fetched anew")
      let ca = object.optional("tls", .certificateAuthority, "for calls to the issuer")
      let timeoutMs = object.optional(
        "timeout", .duration(1...Milliseconds.hour), default: 5 * Milliseconds.second,
        "for each call to the issuer")
      let audiences = object.required(
        "audiences", .audiences, "aud must hold one of them, or \"any\"")
      let audienceClaim = object.optional(
        "audienceClaim", .claim, default: ClaimName(member: "aud"), "where the audience is")
      let algorithms = object.optional(
        "algorithms", .list(.algorithm, atLeastOne: true), default: SignatureAlgorithm.allCases,
        "signatures accepted")
      let types = object.optional(
        "types", .list(.tokenType, atLeastOne: true), "header typ values accepted")
      let clockSkewMs = object.optional(
        "clockSkew", .duration(0...Milliseconds.hour), default: 30 * Milliseconds.second,
        "between the issuer's clock and ours")
      let maxAgeMs = object.optional(
        "maxAge", .duration(1...365 * Milliseconds.day), "tokens issued longer ago are refused")
      let identities = object.section("identities", "what marks a system, what a person") {
        IdentityRules.read(&$0, issuer: issuer?.text ?? "")
      }
      guard let issuer, let audiences, let identities else { return nil }
      let document = discovery ?? issuer.discovery
      if document == nil, !object.has("jwks") || keys == .discovery {
        object.refuseMissing(
          "discovery", "this issuer is no URL, so it needs \"discovery\" or \"jwks\"")
      }
      return IssuerSettings(
        name: name.node.string?.string ?? "", issuer: issuer.text, discovery: document,
        keys: keys ?? .discovery, jwksRefreshMs: jwksRefreshMs, ca: ca.flatMap(\.self),
        timeoutMs: timeoutMs, audiences: audiences, audienceClaim: audienceClaim,
        algorithms: Set(algorithms), types: types, clockSkewMs: clockSkewMs, maxAgeMs: maxAgeMs,
        identities: identities,
        // All of it: an issuer has no secrets, but a name that may look as if it had some.
        digestInput: CanonicalJSON.bytes(of: setting.node, hiding: []),
        place: name.place)
    }
  }
}

/// An issuer's name, and where its discovery document is unless someone says otherwise.
private struct IssuerName {
  let text: UTF8Text
  let discovery: HTTPURL?
}

extension Kind where Value == IssuerName {
  /// A URL by OpenID's rules; RFC 7519 §4.1.1 lets it be any text.
  fileprivate static var issuer: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      guard text.hasPrefix("https://") || text.hasPrefix("http://") else {
        return IssuerName(text: text, discovery: nil)
      }
      guard let url = Kind<HTTPURL>.protectedURL.read(setting) else { return nil }
      guard !url.suffix.contains("?") else {
        return setting.refused("an issuer has no query (\"?\")")
      }
      // OpenID Connect Discovery 1.0 §4: a terminating slash goes before the rest is appended.
      let base = text.string.hasSuffix("/") ? String(text.string.dropLast()) : text.string
      return IssuerName(
        text: text, discovery: try? HTTPURL("\(base)/.well-known/openid-configuration"))
    }
  }
}

extension Kind where Value == IssuerSettings.KeySource {
  fileprivate static var keySource: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      if text.string.contains("://") {
        return Kind<HTTPURL>.protectedURL.read(setting).map { .url($0) }
      }
      return Kind<FileReference>.file.read(setting).map { .file($0) }
    }
  }
}

extension Kind where Value == FileReference? {
  /// `tls` of an issuer or a token service.
  static var certificateAuthority: Kind {
    .object { object in
      .some(object.optional("ca", .authorities, "authorities in place of the system's"))
    }
  }
}

extension Kind where Value == AcceptedAudiences {
  fileprivate static var audiences: Kind {
    Kind(.list(.string, atLeastOne: true)) { setting in
      if setting.node.string == "any" {
        setting.reading.warn(
          setting.place,
          "a token for any other service of this issuer is taken here too; name the audiences that "
            + "mean this gateway")
        return .any
      }
      guard let list = Kind<[UTF8Text]>.audienceList.read(setting) else { return nil }
      return .list(list)
    }
  }
}

extension Kind where Value == [UTF8Text] {
  /// At least one audience; `"any"` does not hide among others.
  static var audienceList: Kind {
    .list(
      Kind<UTF8Text>(.string) { setting in
        guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
        return text == "any" ? setting.refused("\"any\" stands alone, without a list") : text
      }, atLeastOne: true)
  }
}

extension Kind where Value == SignatureAlgorithm {
  static var algorithm: Kind {
    Kind(
      .words(SignatureAlgorithm.allCases.map(\.name) + ["Ed25519"]),
      written: { Words.json(UTF8Text($0.name)) }
    ) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      if let algorithm = SignatureAlgorithm(name: text.bytes.span) { return algorithm }
      let name = text.string.lowercased()
      if name == "none" || name.hasPrefix("hs") {
        return setting.refused("\"\(text)\" is never accepted: anyone could sign with it")
      }
      let known = SignatureAlgorithm.allCases.map(\.name)
      return setting.refused(
        "expected \(Words.anyOf(known))",
        suggestion: Spelling.nearest(to: text.string, among: known))
    }
  }
}

extension Kind where Value == UTF8Text {
  /// A `typ`, in the form in which it is compared (RFC 7515 §4.1.9).
  fileprivate static var tokenType: Kind {
    Kind(.string) { setting in
      guard let text = Kind.text.read(setting) else { return nil }
      let type = text.string.lowercased()
      let name = type.hasPrefix("application/") ? String(type.dropFirst(12)) : type
      return name.isEmpty ? setting.refused("expected a type such as \"at+jwt\"") : UTF8Text(name)
    }
  }
}
