package import Crypto
package import Wire

extension PublicNumbers {
  /// RFC 7638 §3: the digest of the members that make the key, in the order of their names and
  /// without a space.
  package func thumbprint(_ digester: Digester) -> SHA256Digest {
    var json: [UInt8] = []
    appendMembers(to: &json, keyID: nil, algorithm: nil)
    return digester.digest(json)
  }

  /// The key as an entry of a set, `kid` and `alg` after what makes it.
  package func makeJWK(keyID: UTF8Text, algorithm: SignatureAlgorithm) -> [UInt8] {
    var json: [UInt8] = []
    appendMembers(to: &json, keyID: keyID, algorithm: algorithm)
    return json
  }

  private func appendMembers(
    to json: inout [UInt8], keyID: UTF8Text?, algorithm: SignatureAlgorithm?
  ) {
    var isFirst = true
    func member(_ name: String, _ value: UTF8Text) {
      json.append(isFirst ? UInt8(ascii: "{") : UInt8(ascii: ","))
      isFirst = false
      JSONWriter.appendString(name, to: &json)
      json.append(UInt8(ascii: ":"))
      JSONWriter.appendString(value, to: &json)
    }
    func encoded(_ bytes: [UInt8]) -> UTF8Text { UTF8Text(Base64URL.encode(bytes.span)) }
    switch self {
    case .rsa(let modulus, let exponent):
      member("e", encoded(exponent))
      member("kty", "RSA")
      member("n", encoded(modulus))
    case .ec(let curve, let x, let y):
      member("crv", UTF8Text(curve.name))
      member("kty", "EC")
      member("x", encoded(x))
      member("y", encoded(y))
    case .ed25519(let point):
      member("crv", "Ed25519")
      member("kty", "OKP")
      member("x", encoded(point))
    }
    if let keyID { member("kid", keyID) }
    if let algorithm {
      member("alg", UTF8Text(algorithm.name))
      member("use", "sig")
    }
    json.append(UInt8(ascii: "}"))
  }
}
