import Crypto

// `#expect` cannot take a `Span` apart, so tests hand over arrays.

func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  constantTimeEqual(left.span, right.span)
}

extension SHA256Digest {
  init?(bytes: [UInt8]) { self.init(bytes.span) }
}

extension Digester {
  func digest(_ first: [UInt8], _ second: [UInt8]) -> SHA256Digest {
    digest(first.span, second.span)
  }
}

extension SignatureAlgorithm {
  init?(text: String) { self.init(name: Array(text.utf8).span) }
}

extension PublicKey {
  func verify(_ algorithm: SignatureAlgorithm, _ signature: [UInt8], _ message: [UInt8]) -> Bool {
    verify(algorithm, signature: signature.span, message: message.span)
  }
}

extension PrivateKey {
  convenience init(pem: [UInt8]) throws(CryptoFault) { try self.init(pem: pem.span) }

  func sign(
    _ algorithm: SignatureAlgorithm, _ message: [UInt8]
  ) throws(CryptoFault) -> [UInt8] { try sign(algorithm, message: message.span) }
}
