/// What a public key is made of, as a JWK writes it (RFC 7518 §6, RFC 8037 §2): big-endian numbers,
/// and an Edwards point as its 32 bytes stand.
package enum PublicNumbers: Hashable, Sendable {
  case rsa(modulus: [UInt8], exponent: [UInt8])
  case ec(EllipticCurve, x: [UInt8], y: [UInt8])
  case ed25519([UInt8])

  /// The algorithms whose signatures such a key can check.
  package var algorithms: [SignatureAlgorithm] {
    switch self {
    case .rsa: [.rs256, .rs384, .rs512, .ps256, .ps384, .ps512]
    case .ec(let curve, _, _): [curve.algorithm]
    case .ed25519: [.edDSA]
    }
  }

  /// Refuses what must not be computed with, before OpenSSL sees it, and drops the leading zeros of
  /// RSA's numbers, which RFC 7518 §6.3.1 forbids and some issuers write.
  func checked() throws(KeyFlaw) -> PublicNumbers {
    switch self {
    case .rsa(let modulus, let exponent):
      let modulus = [UInt8](modulus.drop { $0 == 0 })
      let exponent = [UInt8](exponent.drop { $0 == 0 })
      let bits = bitCount(of: modulus)
      guard bits >= RSALimits.bitsMin, bits <= RSALimits.bitsMax else {
        throw .modulusSize(bits: bits)
      }
      guard modulus.last.map({ $0 & 1 == 1 }) == true else { throw .modulusEven }
      // An exponent of 1 makes the padded digest its own signature.
      guard exponent.last.map({ $0 & 1 == 1 }) == true, exponent != [1],
        bitCount(of: exponent) <= RSALimits.exponentBitsMax
      else { throw .exponent }
      return .rsa(modulus: modulus, exponent: exponent)
    case .ec(let curve, let x, let y):
      // RFC 7518 §6.2.1.2: leading zeros are written, so the length never varies.
      for coordinate in [x, y] where coordinate.count != curve.coordinateByteCount {
        throw .coordinateSize(bytes: coordinate.count, expected: curve.coordinateByteCount)
      }
      return self
    case .ed25519(let point):
      guard point.count == 32 else { throw .coordinateSize(bytes: point.count, expected: 32) }
      try refuseWeakEdwardsPoint(point)
      return self
    }
  }
}

/// Bits of a big-endian number without leading zero bytes.
private func bitCount(of number: [UInt8]) -> Int {
  guard let first = number.first else { return 0 }
  return number.count * 8 - first.leadingZeroBitCount
}

/// RFC 8032 §5.1.3 step 1 refuses a y from p upwards; and under a point of order 1, 2, 4 or 8 there
/// are signatures that hold for any message.
private func refuseWeakEdwardsPoint(_ point: [UInt8]) throws(KeyFlaw) {
  var y = point
  y[31] &= 0x7F  // the sign of x
  // p is 2^255 - 19, so what is not below it differs in the lowest byte only.
  if y[0] >= 0xED, y[31] == 0x7F, y[1..<31].allSatisfy({ $0 == 0xFF }) { throw .notOnCurve }
  let zero = [UInt8](repeating: 0, count: 32)
  var one = zero
  one[0] = 1
  var minusOne = [UInt8](repeating: 0xFF, count: 32)
  minusOne[0] = 0xEC
  minusOne[31] = 0x7F
  if [zero, one, minusOne].contains(y) || orderEight.contains(y) { throw .smallOrder }
}

/// The two y of the four points of order 8: the roots of d·y⁴ + 2·y² = 1, little-endian.
private let orderEight: [[UInt8]] = [
  [
    0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF, 0x98, 0xF0,
    0xD5, 0xDF, 0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88, 0x6D, 0x53, 0xFC, 0x05,
  ],
  [
    0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10, 0x67, 0x0F,
    0x2A, 0x20, 0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77, 0x92, 0xAC, 0x03, 0x7A,
  ],
]
