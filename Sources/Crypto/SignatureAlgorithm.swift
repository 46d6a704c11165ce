/// The JWS algorithms that are used (RFC 7518 §3.1, RFC 8037 §3.1). `none` and the HMAC ones are
/// not among them: a set of public keys can hold no secret, so they could only ever be an attack.
package enum SignatureAlgorithm: UInt8, CaseIterable, Hashable, Sendable, CustomStringConvertible {
  case rs256, rs384, rs512
  case ps256, ps384, ps512
  case es256, es384, es512
  /// Ed25519 only.
  case edDSA

  /// As the header's `alg` writes it. EdDSA has a second name, `Ed25519` (RFC 9864).
  package var name: String {
    switch self {
    case .rs256: "RS256"
    case .rs384: "RS384"
    case .rs512: "RS512"
    case .ps256: "PS256"
    case .ps384: "PS384"
    case .ps512: "PS512"
    case .es256: "ES256"
    case .es384: "ES384"
    case .es512: "ES512"
    case .edDSA: "EdDSA"
    }
  }

  package var description: String { name }

  /// Only these texts, to the letter: names are compared with case (RFC 7515 §4.1.1).
  package init?(name: Span<UInt8>) {
    let known = Self.allCases.first { algorithm in equal(algorithm.name, name) }
    if let known {
      self = known
    } else if equal("Ed25519", name) {
      self = .edDSA
    } else {
      return nil
    }

    func equal(_ text: String, _ bytes: Span<UInt8>) -> Bool {
      let text = text.utf8
      guard text.count == bytes.count else { return false }
      var index = 0
      for byte in text {
        guard byte == bytes[index] else { return false }
        index += 1
      }
      return true
    }
  }

  /// OpenSSL's name for the digest; Ed25519 has its own inside.
  var digestName: String? {
    switch self {
    case .rs256, .ps256, .es256: "SHA256"
    case .rs384, .ps384, .es384: "SHA384"
    case .rs512, .ps512, .es512: "SHA512"
    case .edDSA: nil
    }
  }

  var isPSS: Bool {
    switch self {
    case .ps256, .ps384, .ps512: true
    case .rs256, .rs384, .rs512, .es256, .es384, .es512, .edDSA: false
    }
  }
}

/// The elliptic curves of RFC 7518 §6.2.1.1, each with the one algorithm it is for.
package enum EllipticCurve: CaseIterable, Hashable, Sendable {
  case p256, p384, p521

  /// Bytes of a coordinate, of `r` and of `s`.
  package var coordinateByteCount: Int {
    switch self {
    case .p256: 32
    case .p384: 48
    case .p521: 66
    }
  }

  /// As a JWK's `crv` writes it; OpenSSL knows the curves by these names too.
  package var name: String {
    switch self {
    case .p256: "P-256"
    case .p384: "P-384"
    case .p521: "P-521"
    }
  }

  /// RFC 7518 §3.4: a curve is used with this digest and no other.
  package var algorithm: SignatureAlgorithm {
    switch self {
    case .p256: .es256
    case .p384: .es384
    case .p521: .es512
    }
  }
}
