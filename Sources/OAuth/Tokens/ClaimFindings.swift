package import Wire

/// What each check of a token's claims says on its own, and what the token has: for people.
///
/// A request's token is checked by `UnverifiedToken.verify`, which ends at the first fault. This
/// asks the same checks one by one, of claims that nobody may have signed.
package struct ClaimFindings {
  /// nil: well.
  package let times: TokenFault?
  package let audience: TokenFault?
  package let type: TokenFault?
  /// `sub`, `jti` and the scopes: whether each is of its type.
  package let forms: TokenFault?
  package let binding: TokenFault?
  /// The thumbprint of a certificate, or another key, that the token is bound to.
  package let isBound: Bool
  /// Milliseconds since 1970; nil where there is none, or none that is a date.
  package let expiresAtMs: Int64?
  package let notBeforeMs: Int64?
  package let issuedAtMs: Int64?
  /// What the issuer's `audienceClaim` has; empty where it has no texts.
  package let audiences: [UTF8Text]
  /// `scope` and `scp`.
  package let scopes: [UTF8Text]

  package init(_ token: UnverifiedToken, _ settings: IssuerSettings, nowMs: Int64) {
    let claims = token.claims
    func fault(_ check: () throws(TokenFault) -> Void) -> TokenFault? {
      do throws(TokenFault) {
        try check()
        return nil
      } catch {
        return error
      }
    }
    times = fault { () throws(TokenFault) in
      _ = try CheckedClaims.checkTimes(claims, settings, nowMs: nowMs)
    }
    audience = fault { () throws(TokenFault) in
      try CheckedClaims.checkAudience(claims, settings)
    }
    type = fault { () throws(TokenFault) in
      try CheckedClaims.checkType(claims, headerType: token.type, accepted: settings.types)
    }
    binding = fault { () throws(TokenFault) in _ = try CheckedClaims.binding(claims) }
    var scopes: [UTF8Text] = []
    forms = fault { () throws(TokenFault) in
      _ = try CheckedClaims.text("sub", in: claims)
      _ = try CheckedClaims.text("jti", in: claims)
      scopes =
        try CheckedClaims.scopes("scope", in: claims) + CheckedClaims.scopes("scp", in: claims)
    }
    self.scopes = scopes
    isBound = claims["cnf"] != nil
    expiresAtMs = claims["exp"].flatMap(NumericDate.milliseconds)
    notBeforeMs = claims["nbf"].flatMap(NumericDate.milliseconds)
    issuedAtMs = claims["iat"].flatMap(NumericDate.milliseconds)
    audiences = (try? CheckedClaims.texts(settings.audienceClaim.value(in: claims))) ?? []
  }
}
