package import Wire

/// What marks a token as a system's, and what as a person's. If both do, system wins; a token that
/// neither marks is unknown.
package struct IdentityRules: Sendable, Equatable {
  package let system: [IdentityRule]
  package let person: [IdentityRule]

  package init(system: [IdentityRule], person: [IdentityRule]) {
    self.system = system
    self.person = person
  }
}

/// One rule over verified claims.
package indirect enum IdentityRule: Sendable, Equatable {
  /// In `system` the preset's system column, in `person` its person column.
  case preset(IdentityPreset)
  case equals(ClaimName, UTF8Text, ignoreCase: Bool)
  case equalsClaim(ClaimName, ClaimName)
  case prefix(ClaimName, UTF8Text)
  case suffix(ClaimName, UTF8Text)
  case absent(ClaimName)
  /// Holds where each does; never empty.
  case all([IdentityRule])

  /// The rule as the access log names it.
  package var text: String {
    switch self {
    case .preset(let preset): preset.rawValue
    case .equals(let claim, let value, let ignoreCase):
      "\(claim) equals \"\(value)\"\(ignoreCase ? " without case" : "")"
    case .equalsClaim(let claim, let other): "\(claim) equals claim \(other)"
    case .prefix(let claim, let prefix): "\(claim) begins with \"\(prefix)\""
    case .suffix(let claim, let suffix): "\(claim) ends with \"\(suffix)\""
    case .absent(let claim): "\(claim) absent"
    case .all(let rules): "all of: " + rules.map(\.text).joined(separator: "; ")
    }
  }
}

/// What is known of the tokens of well-known identity providers.
package enum IdentityPreset: String, CaseIterable, Sendable {
  case rfc9068
  case tetrapak
  case keycloak
  case entra
  case auth0
  case okta
  case cognito
  case duende
  case google
  case kubernetes
  case spiffe

  /// What `auto` stands for with this issuer: `rfc9068`, `tetrapak`, and the preset whose form of
  /// URL the issuer has.
  package static func auto(for issuer: UTF8Text) -> [IdentityPreset] {
    guard let url = try? HTTPURL(issuer.string), let own = preset(of: url), own != .tetrapak
    else { return [.rfc9068, .tetrapak] }
    return [.rfc9068, .tetrapak, own]
  }

  private static func preset(of url: HTTPURL) -> IdentityPreset? {
    // The last two segments of `…/realms/NAME`, in any deployment of Keycloak.
    let segments = url.suffix.split(separator: "/", omittingEmptySubsequences: false)
    if segments.count >= 3, segments[segments.count - 2] == "realms",
      segments[segments.count - 1] != ""
    {
      return .keycloak
    }
    guard url.origin.isSecure, url.origin.hasDefaultPort else { return nil }
    let host = url.origin.host
    switch host {
    case "login.microsoftonline.com", "sts.windows.net": return .entra
    case "accounts.google.com": return .google
    case _ where isWithin(host, "auth0.com"): return .auth0
    case _ where isWithin(host, "okta.com") || isWithin(host, "oktapreview.com"): return .okta
    case _ where isWithin(host, "amazonaws.com") && host.hasPrefix("cognito-idp."):
      return .cognito
    case _ where isWithin(host, "tetrapak.com") && host.hasPrefix("api"): return .tetrapak
    default: return nil
    }
  }

  private static func isWithin(_ host: String, _ domain: String) -> Bool {
    host.hasSuffix(".\(domain)")
  }
}
