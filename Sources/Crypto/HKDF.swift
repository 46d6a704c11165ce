/// Keys made of a secret, each for one purpose, so that what one of them gives away tells nothing
/// of another (RFC 5869, with SHA-256).
package enum HKDF {
  /// - Parameters:
  ///   - secret: as hard to guess as the keys are to be.
  ///   - purpose: what tells this key from the others.
  package static func sha256(
    secret: [UInt8], salt: [UInt8] = [], purpose: [UInt8], byteCount: Int
  ) throws(CryptoFault) -> [UInt8] {
    // §2.3: more can't be had.
    guard (0...255 * 32).contains(byteCount) else { throw .callFailed("HKDF") }
    let salt = salt.isEmpty ? [UInt8](repeating: 0, count: 32) : salt
    let key = try Digests.hmacSHA256(key: salt.span, secret.span)
    var output: [UInt8] = []
    var block: [UInt8] = []
    var number: UInt8 = 1
    while output.count < byteCount {
      let input = block + purpose + [number]
      block = try Digests.hmacSHA256(key: key.span, input.span)
      output += block
      number &+= 1
    }
    return Array(output.prefix(byteCount))
  }
}
