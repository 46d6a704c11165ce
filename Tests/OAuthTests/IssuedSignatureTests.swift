import Crypto
import JOSE
import OAuth
import Testing
import Wire

@Suite struct IssuedSignatureTests {
  private func issued(_ token: [UInt8]) throws -> IssuedToken {
    let body =
      "{\"access_token\":\"\(String(decoding: token, as: UTF8.self))\","
      + "\"token_type\":\"Bearer\",\"expires_in\":60}"
    let settings = ExchangeSettings.make(
      grant: .clientCredentials, verify: .init(audience: .any, subject: .any))
    return try ExchangeJudge(settings, target: .to()).judge(
      TokenAnswer(status: 200, contentType: nil, retryAfter: nil, body: Array(body.utf8)),
      subject: nil, subjectToken: [UInt8]().span, nowMs: nowMs)
  }

  private func reason(_ body: () throws -> Bool) rethrows -> ExchangeRefusal.Reason? {
    do {
      return try body() ? nil : .timeout
    } catch let refusal as ExchangeRefusal {
      return refusal.reason
    }
  }

  @Test func `holds by the key that made it and by no other`() throws {
    let issuer = try TestIssuer()
    let rules = IssuerRules(.make(), digester: issuer.digester)
    let good = try IssuedSignature(issued(issuer.token()))
    #expect(good.issuer == "https://issuer.test")
    #expect(try good.holds(by: rules, keys: issuer.keys))
    // The same key id with another key: certain, and wrong.
    let other = try TestIssuer()
    #expect(try reason { try good.holds(by: rules, keys: other.keys) } == .unverified)
    // Another key id: it may be a new key's.
    let unknown = try TestIssuer(keyID: "k2")
    #expect(try good.holds(by: rules, keys: unknown.keys) == false)
    let strict = IssuerRules(.make(algorithms: [.rs256]), digester: issuer.digester)
    #expect(try reason { try good.holds(by: strict, keys: issuer.keys) } == .unverified)
  }

  @Test func `a token that can't be checked is refused`() throws {
    let issuer = try TestIssuer()
    for token in [Array("opaque".utf8), Array("a.b.c".utf8), try issuer.token(["iss": nil])] {
      let taken = try issued(token)
      #expect(
        try reason {
          _ = try IssuedSignature(taken); return true
        } == .unverified)
    }
  }
}
