package import Crypto
package import Wire

/// One usable key of a set (RFC 7517 §4): public, for signatures, and pinned to its algorithms.
package final class JWK: Sendable {
  /// `kid`.
  package let keyID: UTF8Text?
  package let key: PublicKey
  /// RFC 7638's name for the key: the same numbers have the same, whatever else the entry says.
  package let thumbprint: SHA256Digest

  package init(keyID: UTF8Text?, key: PublicKey, digester: Digester) {
    self.keyID = keyID
    self.key = key
    thumbprint = key.numbers.thumbprint(digester)
  }

  /// Reads an entry of a set. `use`, `key_ops` and `alg` are heeded where they are written; the
  /// members of a private key and certificates are passed over.
  static func make(from entry: JSONNode, digester: Digester) throws(JWKFlaw) -> JWK {
    guard entry.members != nil else { throw .notAnObject }
    let keyID = try entry.text("kid")
    let numbers = try Self.numbers(entry)
    // RFC 7517 §4.2: another use than signatures.
    let use = try entry.text("use")
    guard use == nil || use == "sig" else { throw .otherUse }
    if let operations = entry["key_ops"] {
      guard let operations = operations.elements else { throw .wrongType("key_ops") }
      guard operations.contains(where: { $0.string == "verify" }) else { throw .otherUse }
    }
    let algorithms = try algorithms(entry)
    do throws(CryptoFault) {
      let key = try PublicKey(numbers, for: algorithms)
      return JWK(keyID: keyID, key: key, digester: digester)
    } catch {
      throw error == .algorithmRefused ? .otherAlgorithm : .refused(error)
    }
  }

  /// RFC 7517 §4.4; nil where the entry does not say: all of the key's kind.
  private static func algorithms(_ entry: JSONNode) throws(JWKFlaw) -> [SignatureAlgorithm]? {
    guard let name = try entry.text("alg") else { return nil }
    guard let algorithm = SignatureAlgorithm(name: name.bytes.span) else { throw .otherAlgorithm }
    return [algorithm]
  }

  private static func numbers(_ entry: JSONNode) throws(JWKFlaw) -> PublicNumbers {
    let kind = try entry.required("kty")
    if kind == "RSA" {
      let modulus = try entry.bytes("n")
      let exponent = try entry.bytes("e")
      return .rsa(modulus: modulus, exponent: exponent)
    }
    // `oct` among the others: a secret that everybody can fetch proves nothing.
    guard kind == "EC" || kind == "OKP" else { throw .otherKind }
    let curveName = try entry.required("crv")
    let x = try entry.bytes("x")
    if kind == "OKP" {
      guard curveName == "Ed25519" else { throw .otherKind }
      return .ed25519(x)
    }
    guard let curve = EllipticCurve.allCases.first(where: { UTF8Text($0.name) == curveName })
    else { throw .otherKind }
    let y = try entry.bytes("y")
    return .ec(curve, x: x, y: y)
  }
}

/// Why an entry of a set is passed over.
package enum JWKFlaw: Error, Equatable, Sendable, CustomStringConvertible {
  case notAnObject
  case missing(StaticString)
  case wrongType(StaticString)
  case base64URL(StaticString)
  /// A `kty` or `crv` that makes none of the signatures that are used.
  case otherKind
  /// `use` or `key_ops` say: not to verify with.
  case otherUse
  /// `alg` is none that is used, or none that this key can have.
  case otherAlgorithm
  case refused(CryptoFault)

  package var description: String {
    switch self {
    case .notAnObject: "not an object"
    case .missing(let name): "without \(name)"
    case .wrongType(let name): "its \(name) is of a wrong type"
    case .base64URL(let name): "its \(name) is not base64url"
    case .otherKind: "of a kind that is not used"
    case .otherUse: "not for verifying signatures"
    case .otherAlgorithm: "for an algorithm that is not used"
    case .refused(let fault): fault.description
    }
  }

  package static func == (left: JWKFlaw, right: JWKFlaw) -> Bool {
    left.description == right.description
  }
}

extension JSONNode {
  /// Nil where there is no such member; one that is no string is refused.
  fileprivate func text(_ name: StaticString) throws(JWKFlaw) -> UTF8Text? {
    guard let node = self[UTF8Text("\(name)")] else { return nil }
    guard let text = node.string else { throw .wrongType(name) }
    return text
  }

  fileprivate func required(_ name: StaticString) throws(JWKFlaw) -> UTF8Text {
    guard let text = try text(name) else { throw .missing(name) }
    return text
  }

  fileprivate func bytes(_ name: StaticString) throws(JWKFlaw) -> [UInt8] {
    let text = try required(name)
    guard let bytes = Base64URL.decode(text.bytes.span) else { throw .base64URL(name) }
    return bytes
  }
}
