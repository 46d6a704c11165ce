/// What can go wrong in this module. None of it holds a key, a signature or a message.
package enum CryptoFault: Error, Equatable, CustomStringConvertible {
  /// OpenSSL refused or lacked memory; the name is the call's.
  case callFailed(StaticString)
  /// The numbers given are no key that may be used.
  case keyRefused(KeyFlaw)
  /// The key cannot make or check signatures of this algorithm.
  case algorithmRefused
  /// The text is not a private key in PEM, or is protected by a pass phrase.
  case pemRefused
  /// The text holds no certificate in PEM.
  case certificateRefused
  /// The certificate is another key's.
  case certificateMismatch
  /// A certificate's name holds something else than letters, digits, `.`, `-`, `*` and `:`.
  case nameRefused

  package var description: String {
    switch self {
    case .callFailed(let call): "OpenSSL's \(call) failed"
    case .keyRefused(let flaw): flaw.description
    case .algorithmRefused: "the key does not fit the algorithm"
    case .pemRefused: "not an unencrypted private key in PEM"
    case .certificateRefused: "not a certificate in PEM"
    case .certificateMismatch: "not the certificate of the key"
    case .nameRefused: "a certificate's name holds a character that no host name has"
    }
  }

  package static func == (left: CryptoFault, right: CryptoFault) -> Bool {
    left.description == right.description
  }
}

/// Why numbers make no usable public key.
package enum KeyFlaw: Error, Equatable, CustomStringConvertible {
  /// RSA with fewer bits than `RSALimits.bitsMin`, or more than `bitsMax`.
  case modulusSize(bits: Int)
  case modulusEven
  /// An exponent that is even, below 3 or longer than 64 bits.
  case exponent
  /// A coordinate, or an Edwards point, of another length than its curve has.
  case coordinateSize(bytes: Int, expected: Int)
  case notOnCurve
  /// An Edwards point under which one signature holds for every message.
  case smallOrder

  package var description: String {
    switch self {
    case .modulusSize(let bits):
      "an RSA modulus of \(bits) bits (from \(RSALimits.bitsMin) to \(RSALimits.bitsMax) are used)"
    case .modulusEven: "an RSA modulus that is even"
    case .exponent: "an RSA exponent that is not an odd number from 3 to 64 bits"
    case .coordinateSize(let bytes, let expected):
      "a coordinate of \(bytes) bytes where the curve has \(expected)"
    case .notOnCurve: "a point that is not on its curve"
    case .smallOrder: "a point of small order, which checks nothing"
    }
  }
}

/// The RSA keys that are used.
package enum RSALimits {
  /// RFC 7518 §3.3 and §3.5: 2048 bits or larger MUST be used.
  package static let bitsMin = 2048
  /// A verification costs the square of the bits: 8192 already take 16 times as long as 2048.
  package static let bitsMax = 8192
  /// OpenSSL's own limit for large moduli; every real key says 65537.
  package static let exponentBitsMax = 64
}
