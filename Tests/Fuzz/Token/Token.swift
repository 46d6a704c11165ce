import Crypto
import FuzzSupport
import JOSE
import OAuth
import Wire

private let issuer = try? Issuer()

/// A text that begins with a brace is a key set, and is signed as claims, behind a header where it
/// has two lines; anything else is a caller's token.
@c(LLVMFuzzerTestOneInput)
func token(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe fuzz(start, count) { input in
    guard let issuer else { fatalError("no issuer") }
    guard input.first == UInt8(ascii: "{") else { return checkToken(input, issuer) }
    checkKeySet(input)
    checkClaims(input, issuer)
  }
}

/// Whoever has no key cannot make a token: what is believed was signed, to the byte.
private func checkToken(_ token: [UInt8], _ issuer: Issuer) {
  guard verified(token, issuer.keys, issuer) != nil else { return }
  let signed = Array(token[..<(token.lastIndex(of: UInt8(ascii: ".")) ?? 0)])
  check(Issuer.signed.contains(signed), "what is believed was signed")
}

private func verified(_ token: [UInt8], _ keys: JWKSet, _ issuer: Issuer) -> VerifiedToken? {
  do throws(TokenFault) {
    let unverified = try UnverifiedToken(token.span)
    return try unverified.verify(by: issuer.rules, keys: keys, nowMs: Issuer.nowMs)
  } catch {
    return nil
  }
}

private func checkKeySet(_ document: [UInt8]) {
  guard let digester = try? Digester(), let set = try? JWKSet(document.span, digester: digester)
  else { return }
  check(set.keys.count + set.skipped.count <= JWKSet.keyCountMax, "a set is bounded")
  for key in set.keys {
    check(set.contains(key.thumbprint), "a set knows its keys")
    guard let algorithm = key.key.algorithms.first else { fatalError("a key has an algorithm") }
    let entry = key.key.numbers.makeJWK(keyID: "again", algorithm: algorithm)
    let document = Array("{\"keys\":[".utf8) + entry + Array("]}".utf8)
    let again = try? JWKSet(document.span, digester: digester)
    check(again?.keys.map(\.thumbprint) == [key.thumbprint], "a key written is the same key")
  }
}

private func checkClaims(_ input: [UInt8], _ issuer: Issuer) {
  let lines = input.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
  let payload = Array(lines[lines.count - 1])
  let header = lines.count == 2 ? Array(lines[0]) : Array("{\"alg\":\"EdDSA\"}".utf8)
  guard let token = try? issuer.signer.sign(header: header, payload: payload) else { return }
  guard let verified = verified(token, issuer.ownKeys, issuer) else { return }
  check(verified.claims["iss"]?.string == "i", "the issuer is the one that is trusted")
  let audience = verified.claims["aud"]
  check(
    audience?.string == "a" || audience?.elements?.contains { $0.string == "a" } == true,
    "the audience is the gateway")
  for name: UTF8Text in ["cnf", "events", "c_hash"] {
    check(verified.claims[name] == nil, "no token of another use")
  }
  check(verified.claims["exp"] != nil && verified.expiresAtMs > 0, "a token ends")
  check(!verified.isExpired(atMs: Issuer.nowMs, exchanging: false), "what has ended is refused")
  check(verified.claims["sub"] == nil || verified.subject != nil, "a subject is a text")
  check(verified.isStillBacked(by: issuer.ownKeys, issuer.rules), "its key is known")
  check(!verified.isStillBacked(by: issuer.keys, issuer.rules), "and no other")
  var forged = token
  forged[forged.count - 20] = forged[forged.count - 20] == 65 ? 66 : 65
  check(FuzzToken.verified(forged, issuer.ownKeys, issuer) == nil, "a signature counts whole")
}
