package import Crypto
package import Wire

/// Signs compact JWS: the demo's provider, tests, and later a client's assertion.
package struct JWSSigner: Sendable {
  package let key: PrivateKey
  package let keyID: UTF8Text
  package let algorithm: SignatureAlgorithm

  /// The algorithm is the key's preferred one unless one is given.
  package init(key: PrivateKey, keyID: UTF8Text, algorithm: SignatureAlgorithm? = nil) {
    self.key = key
    self.keyID = keyID
    self.algorithm = algorithm ?? key.preferredAlgorithm
  }

  /// A token over `payload`, its header `alg`, `kid` and, where given, `typ`.
  package func sign(payload: [UInt8], type: UTF8Text?) throws(CryptoFault) -> [UInt8] {
    var header: [UInt8] = Array("{\"alg\":".utf8)
    JSONWriter.appendString(algorithm.name, to: &header)
    header.append(contentsOf: Array(",\"kid\":".utf8))
    JSONWriter.appendString(keyID, to: &header)
    if let type {
      header.append(contentsOf: Array(",\"typ\":".utf8))
      JSONWriter.appendString(type, to: &header)
    }
    header.append(UInt8(ascii: "}"))
    return try sign(header: header, payload: payload)
  }

  /// A token over a header and a payload as they are given, sense or not.
  package func sign(header: [UInt8], payload: [UInt8]) throws(CryptoFault) -> [UInt8] {
    var token = Base64URL.encode(header.span)
    token.append(UInt8(ascii: "."))
    token.append(contentsOf: Base64URL.encode(payload.span))
    let signature = try key.sign(algorithm, message: token.span)
    token.append(UInt8(ascii: "."))
    token.append(contentsOf: Base64URL.encode(signature.span))
    return token
  }

  /// The set of this one key, as a provider publishes it.
  package func makeKeySet() -> [UInt8] {
    Array("{\"keys\":[".utf8) + key.numbers.makeJWK(keyID: keyID, algorithm: algorithm)
      + Array("]}".utf8)
  }
}
