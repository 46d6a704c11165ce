import Testing

@testable import Crypto

@Suite struct SelfSignedCertificateTests {
  @Test func `is made for every kind of key`() throws {
    for key in TestKeys.all {
      let pem = try SelfSignedCertificate.makePEM(
        key: key, hosts: ["localhost"], addresses: ["127.0.0.1", "::1"], now: 1_700_000_000, days: 7
      )
      let text = String(decoding: pem, as: UTF8.self)
      #expect(text.hasPrefix("-----BEGIN CERTIFICATE-----\n"))
      #expect(text.hasSuffix("-----END CERTIFICATE-----\n"))
      #expect(ErrorQueue.isEmpty)
    }
  }

  @Test func `a name cannot bring an extension along`() throws {
    for name in ["a,DNS:b", "a\nb", "", "a b", "ä"] {
      #expect(throws: CryptoFault.self, "\(name)") {
        try SelfSignedCertificate.makePEM(
          key: TestKeys.all[1], hosts: [name], addresses: [], now: 0, days: 1)
      }
    }
    #expect(throws: CryptoFault.self) {
      try SelfSignedCertificate.makePEM(
        key: TestKeys.all[1], hosts: [], addresses: ["localhost"], now: 0, days: 1)
    }
    #expect(ErrorQueue.isEmpty)
  }
}
