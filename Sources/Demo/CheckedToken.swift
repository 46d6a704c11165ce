import Crypto
import JOSE
import Wire

/// How the demo's token service and services check a token: the signature, the issuer, the audience
/// and the end. The gateway's own checks are stricter and elsewhere.
struct CheckedToken {
  let claims: JSONNode

  /// What a service says of a token that it does not take.
  struct Flaw: Error {
    let text: String
  }

  init(
    _ token: [UInt8], keys: [UTF8Text: PublicKey], issuer: String, audience: String
  ) throws(Flaw) {
    let signed: CompactJWS
    do throws(JWSFault) { signed = try CompactJWS(token.span) } catch {
      throw Flaw(text: "not a signed token")
    }
    guard let keyID = signed.keyID, let key = keys[keyID], signed.isSigned(by: key) else {
      throw Flaw(text: "not signed by the identity provider")
    }
    guard let claims = Self.claims(of: signed) else { throw Flaw(text: "its claims are no object") }
    guard claims["iss"]?.string == UTF8Text(issuer) else { throw Flaw(text: "another issuer's") }
    guard claims["aud"]?.string == UTF8Text(audience) else {
      throw Flaw(text: "for another audience")
    }
    guard let end = claims["exp"]?.integer, TokenMint.now() < end else {
      throw Flaw(text: "expired")
    }
    self.claims = claims
  }

  /// The claims of a token whether it is good or not: to be looked at only.
  static func unverifiedClaims(_ token: [UInt8]) -> JSONNode? {
    let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, let payload = Base64URL.decode(Array(parts[1])) else { return nil }
    return parse(payload)
  }

  private static func claims(of token: CompactJWS) -> JSONNode? { parse(token.payload) }

  private static func parse(_ payload: [UInt8]) -> JSONNode? {
    let parser = JSONParser(.strict, bytesMax: 64 << 10)
    guard let node = try? parser.parse(payload), node.members != nil else { return nil }
    return node
  }
}
