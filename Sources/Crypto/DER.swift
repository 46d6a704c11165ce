/// The little of X.690's distinguished encoding that a signature and a public key need, written and
/// never read: what comes from outside is read by OpenSSL.
enum DER {
  /// Keys of RFC 8017 §A.1, RFC 5480 §2 and RFC 8410 §4, as certificates hold them.
  static func publicKeyInfo(of numbers: PublicNumbers) -> [UInt8] {
    switch numbers {
    case .rsa(let modulus, let exponent):
      sequence([
        sequence([objectIdentifier([0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01]), null]),
        bitString(sequence([unsignedInteger(modulus.span), unsignedInteger(exponent.span)])),
      ])
    case .ec(let curve, let x, let y):
      sequence([
        sequence([
          objectIdentifier([0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01]),
          objectIdentifier(identifier(of: curve)),
        ]),
        // SEC 1 §2.3.3: a 4 begins a point written with both coordinates.
        bitString([4] + x + y),
      ])
    case .ed25519(let point):
      sequence([sequence([objectIdentifier([0x2B, 0x65, 0x70])]), bitString(point)])
    }
  }

  /// The parts, each an encoding, one behind the other.
  static func sequence(_ parts: [[UInt8]]) -> [UInt8] {
    var content: [UInt8] = []
    for part in parts { content.append(contentsOf: part) }
    return element(0x30, content)
  }

  /// A number that is not negative: no zeros in front, but for the one that keeps it so.
  static func unsignedInteger(_ bigEndian: Span<UInt8>) -> [UInt8] {
    var start = 0
    while start < bigEndian.count, bigEndian[start] == 0 { start += 1 }
    var content: [UInt8] = []
    content.reserveCapacity(bigEndian.count + 1)
    if start == bigEndian.count || bigEndian[start] >= 0x80 { content.append(0) }
    for index in start..<bigEndian.count { content.append(bigEndian[index]) }
    return element(0x02, content)
  }

  static func bitString(_ bytes: [UInt8]) -> [UInt8] { element(0x03, [0] + bytes) }
  static func objectIdentifier(_ content: [UInt8]) -> [UInt8] { element(0x06, content) }
  static let null: [UInt8] = [0x05, 0x00]

  private static func element(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
    var encoded = [tag]
    encoded.reserveCapacity(content.count + 6)
    if content.count < 0x80 {
      encoded.append(UInt8(content.count))
    } else {
      let length = bigEndianBytes(of: content.count)
      encoded.append(0x80 | UInt8(length.count))
      encoded.append(contentsOf: length)
    }
    encoded.append(contentsOf: content)
    return encoded
  }

  private static func bigEndianBytes(of number: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = number
    while rest > 0 {
      bytes.insert(UInt8(truncatingIfNeeded: rest), at: 0)
      rest >>= 8
    }
    return bytes
  }

  private static func identifier(of curve: EllipticCurve) -> [UInt8] {
    switch curve {
    case .p256: [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]
    case .p384: [0x2B, 0x81, 0x04, 0x00, 0x22]
    case .p521: [0x2B, 0x81, 0x04, 0x00, 0x23]
    }
  }
}
