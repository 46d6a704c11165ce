import Crypto
import JOSE
import OAuth
import Reactor
import Testing
import Wire

@testable import Gateway

/// An issuer with one key, its tokens and the gateway's trust in them.
struct TestIssuer {
  let signer: JWSSigner
  let keys: JWKSet
  let rules: IssuerRules
  let digester: Digester

  init(keyID: UTF8Text = "k1") throws {
    digester = try Digester()
    signer = JWSSigner(key: try PrivateKey(generate: .ed25519), keyID: keyID)
    keys = try JWKSet(signer.makeKeySet().span, digester: digester)
    rules = IssuerRules(try Self.settings(), digester: digester)
  }

  private static func settings() throws -> IssuerSettings {
    try configuration(file(), environment: ["SECRET": "s"]).issuers[0]
  }

  /// A token that ends `lifeMs` from now, verified.
  func token(
    lifeMs: Int64 = 600_000, claims: String = ""
  ) throws -> (bytes: [UInt8], verified: VerifiedToken) {
    let now = Clock.wallMs() / 1_000
    let payload = """
      {"iss":"https://login.example.com","aud":"api","sub":"user-1","client_id":"app","jti":"j1",
       "scope":"read write","iat":\(now - 10),"exp":\(now + lifeMs / 1_000)\(claims)}
      """
    let bytes = try signer.sign(payload: Array(payload.utf8), type: "at+jwt")
    let verified = try UnverifiedToken(bytes.span)
      .verify(by: rules, keys: keys, nowMs: now * 1_000)
    return (bytes, verified)
  }

  func known(
    digest: SHA256Digest? = nil, generation: UInt64 = 0, claims: [LoggedClaim] = [],
    tokenClaims: String = ""
  ) throws -> KnownToken {
    let (bytes, verified) = try token(claims: tokenClaims)
    return KnownToken(
      verified, digest: digest ?? digester.digest(bytes), issuer: 0, keysGeneration: generation,
      claims: claims, digester: digester)
  }
}

extension SHA256Digest {
  /// A digest whose second word and last byte are these; the first word is the same for all.
  static func make(_ second: UInt64, _ last: UInt8) -> SHA256Digest {
    var bytes = [UInt8](repeating: 42, count: 32)
    for index in 0..<8 {
      bytes[8 + index] = UInt8(truncatingIfNeeded: second >> UInt64(8 * index))
    }
    bytes[31] = last
    return SHA256Digest(bytes.span) ?? fallback
  }

  private static let fallback = SHA256Digest([UInt8](repeating: 0, count: 32).span)!
}
