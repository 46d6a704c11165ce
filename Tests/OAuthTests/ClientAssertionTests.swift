import Crypto
import JOSE
import OAuth
import Testing
import Wire

@Suite struct ClientAssertionTests {
  private func make(
    _ key: PrivateKey, _ client: ClientAuthentication, certificate: LeafCertificate? = nil,
    endpoint: UTF8Text = "https://ts.test/token"
  ) throws -> CompactJWS {
    guard case .privateKey(let settings) = client.method else { throw Unexpected() }
    let assertion = try ClientAssertion(
      clientID: client.id, key: key, certificate: certificate, settings)
    #expect("\(assertion) \(String(reflecting: assertion))" == "‹redacted› ‹redacted›")
    let token = try assertion.make(tokenEndpoint: endpoint, nowMs: 1_780_000_000_999)
    return try CompactJWS(token.span)
  }

  private struct Unexpected: Error {}

  @Test(arguments: [PrivateKey.Kind.rsa2048, .p256, .ed25519])
  func `is signed by the key, by each algorithm that the key has`(_ kind: PrivateKey.Kind) throws {
    let key = try PrivateKey(generate: kind)
    let algorithms = key.numbers.algorithms
    for algorithm in [nil] + algorithms.map(Optional.some) {
      let jws = try make(key, .privateKey("gw", algorithm: algorithm))
      let expected = algorithm ?? key.preferredAlgorithm
      #expect(jws.algorithm == expected)
      #expect(jws.isSigned(by: try PublicKey(key.numbers, for: [expected])))
      #expect(jws.type == "JWT")
      #expect(jws.keyID == nil)
    }
    for algorithm in SignatureAlgorithm.allCases where !algorithms.contains(algorithm) {
      #expect(throws: CryptoFault.algorithmRefused) {
        try make(key, .privateKey("gw", algorithm: algorithm))
      }
    }
  }

  @Test func `says who the client is, for whom and for how long`() throws {
    let key = try PrivateKey(generate: .p256)
    let jws = try make(key, .privateKey("g\"w", keyID: "k/1"))
    let claims = try JSONNode(String(decoding: jws.payload, as: UTF8.self))
    #expect(jws.keyID == "k/1")
    #expect(claims["iss"]?.string == "g\"w")
    #expect(claims["sub"]?.string == "g\"w")
    #expect(claims["aud"]?.string == "https://ts.test/token")
    #expect(claims["iat"]?.number?.integer == 1_780_000_000)
    #expect(claims["exp"]?.number?.integer == 1_780_000_060)
    #expect(claims["jti"]?.string?.bytes.count == 22)
    #expect(claims.members?.count == 6)
    let told = try make(key, .privateKey("gw", audience: "https://as.test"))
    let audience = try JSONNode(String(decoding: told.payload, as: UTF8.self))["aud"]
    #expect(audience?.string == "https://as.test")
  }

  @Test func `each is another one`() throws {
    let key = try PrivateKey(generate: .ed25519)
    let payloads = try (0..<50).map { _ in try make(key, .privateKey("gw")).payload }
    #expect(Set(payloads).count == 50)
  }

  @Test func `names the certificate by its digest, and refuses another key's`() throws {
    let key = try PrivateKey(generate: .rsa2048)
    let pem = try SelfSignedCertificate.makePEM(
      key: key, hosts: ["gw"], addresses: [], now: 1_780_000_000, days: 1)
    let certificate = try LeafCertificate(pem: pem.span, of: key)
    guard case .privateKey(let settings) = ClientAuthentication.privateKey("gw").method else {
      throw Unexpected()
    }
    let token = try ClientAssertion(
      clientID: "gw", key: key, certificate: certificate, settings
    ).make(tokenEndpoint: "https://ts.test", nowMs: 0)
    let head = try #require(token.split(separator: UInt8(ascii: ".")).first)
    let header = try JSONNode(
      String(decoding: try #require(Base64URL.decode(Array(head))), as: UTF8.self))
    let der = try #require(
      Base64.decode(
        Array(
          String(decoding: pem, as: UTF8.self).split(separator: "\n").dropFirst().dropLast()
            .joined().utf8)))
    let digest = Base64URL.encode(try Digests.sha256(der.span))
    #expect(header["x5t#S256"]?.string == UTF8Text(digest))
    let other = try PrivateKey(generate: .p256)
    #expect(throws: CryptoFault.certificateMismatch) {
      try LeafCertificate(pem: pem.span, of: other)
    }
    let keyPEM = try key.makePEM()
    for text in [keyPEM, Array("nonsense".utf8), []] {
      #expect(throws: CryptoFault.certificateRefused) {
        try LeafCertificate(pem: text.span, of: key)
      }
    }
  }
}
