package import Crypto
package import JOSE
package import Wire

/// A caller's token that held every check. It can be made by `UnverifiedToken.verify` only, so
/// whoever has one need not ask. Immutable, and shared by all workers through the cache.
package final class VerifiedToken: Sendable {
  /// The issuer's name in the routes file.
  package let issuerName: String
  /// `iss`.
  package let issuer: UTF8Text
  /// Every claim, the ones checked included.
  package let claims: JSONNode
  /// `sub`.
  package let subject: UTF8Text?
  /// `jti`.
  package let tokenID: UTF8Text?
  /// `scope` and `scp` together.
  package let scopes: [UTF8Text]
  package let identity: Identity
  /// When it ends, in milliseconds since 1970 and without any skew: `exp`, or where the issuer has
  /// a `maxAge` and that is earlier, `iat` + `maxAge`.
  package let expiresAtMs: Int64
  /// Skew that this issuer is granted, on routes that do not exchange.
  package let clockSkewMs: Int64
  /// SHA-256 of the one certificate whose owner may use it: whoever takes the token from a caller
  /// compares this with what that very connection has shown. nil: a bearer token.
  package let binding: SHA256Digest?
  /// Of the key that signed it.
  package let keyThumbprint: SHA256Digest
  /// Of the settings that it was verified by.
  package let issuerDigest: SHA256Digest
  /// What it takes up in memory, roughly; the tree of claims is most of it.
  package let byteCost: Int

  fileprivate init(
    _ token: UnverifiedToken, _ claims: CheckedClaims, key: JWK, rules: IssuerRules
  ) {
    issuerName = rules.settings.name
    issuer = token.issuer
    self.claims = token.claims
    subject = claims.subject
    tokenID = claims.tokenID
    scopes = claims.scopes
    identity = rules.settings.identities.identity(of: token.claims)
    expiresAtMs = claims.expiresAtMs
    clockSkewMs = rules.settings.clockSkewMs
    binding = claims.binding
    keyThumbprint = key.thumbprint
    issuerDigest = rules.digest
    byteCost = 512 + 8 * token.payloadByteCount
  }

  /// Whether it has ended. On a route that exchanges it ends at `exp` to the millisecond, since the
  /// token service would refuse it from then on; elsewhere the issuer's skew is granted.
  package func isExpired(atMs nowMs: Int64, exchanging: Bool) -> Bool {
    nowMs >= (exchanging ? expiresAtMs : NumericDate.sum(expiresAtMs, clockSkewMs))
  }

  /// Whether it would still be verified with these keys and settings. An entry of the cache for
  /// which this is false is void.
  package func isStillBacked(by keys: JWKSet, _ rules: IssuerRules) -> Bool {
    issuerDigest == rules.digest && keys.contains(keyThumbprint)
  }

  /// Whether it has all of these scopes.
  package func hasScopes(_ wanted: [UTF8Text]) -> Bool { wanted.allSatisfy(scopes.contains) }
}

extension UnverifiedToken {
  /// Everything that RFC 7515, RFC 7519, RFC 8725 and RFC 9068 ask, the signature first, so that of
  /// a forged token nothing but the signature is ever judged.
  ///
  /// `keys` are the issuer's. `keyUnknown` means that fetching them anew may help. With
  /// `exchanging` the token ends at `exp` without skew.
  package func verify(
    by rules: IssuerRules, keys: JWKSet, nowMs: Int64, exchanging: Bool = false
  ) throws(TokenFault) -> VerifiedToken {
    let settings = rules.settings
    guard issuer == settings.issuer else { throw .issuerUnknown }
    guard settings.algorithms.contains(jws.algorithm) else { throw .algorithmRefused }
    let key = try signingKey(in: keys)
    let checked = try CheckedClaims(claims, headerType: jws.type, settings, nowMs: nowMs)
    let token = VerifiedToken(self, checked, key: key, rules: rules)
    guard !token.isExpired(atMs: nowMs, exchanging: exchanging) else { throw .expired }
    return token
  }

  /// The key of the set that made the signature.
  func signingKey(in keys: JWKSet) throws(TokenFault) -> JWK {
    switch keys.find(jws.keyID, for: jws.algorithm) {
    case .found(let candidates, let isCertain):
      if let key = candidates.first(where: { jws.isSigned(by: $0.key) }) { return key }
      throw isCertain ? .signatureInvalid : .keyUnknown
    case .otherAlgorithm: throw .algorithmRefused
    case .unknown: throw .keyUnknown
    }
  }
}
