import COpenSSL

/// Digests and codes for the cold path: a key's thumbprint, a certificate's, a proof's hash. What
/// is made for every request is made by `Digester`.
package enum Digests {
  /// SHA-1, 20 bytes: only where a format names a thing by it (`x5t`), never as a proof.
  package static func sha1(_ bytes: Span<UInt8>) throws(CryptoFault) -> [UInt8] {
    try make("SHA1", byteCount: 20, bytes)
  }

  /// SHA-256, 32 bytes.
  package static func sha256(_ bytes: Span<UInt8>) throws(CryptoFault) -> [UInt8] {
    try make("SHA256", byteCount: 32, bytes)
  }

  /// HMAC-SHA256 (RFC 2104), 32 bytes. Compare it with `constantTimeEqual`.
  package static func hmacSHA256(
    key: Span<UInt8>, _ message: Span<UInt8>
  ) throws(CryptoFault) -> [UInt8] {
    try ErrorQueue.clean { () throws(CryptoFault) in
      // OpenSSL takes an `int`, and a NULL key means "the one before".
      guard key.count <= Int(CInt.max) else { throw .callFailed("HMAC") }
      let keyBytes = key.isEmpty ? [UInt8(0)] : []
      var code = [UInt8](repeating: 0, count: 32)
      let done = unsafe key.withUnsafeBytes { key in
        unsafe message.withUnsafeBytes { message in
          unsafe code.withUnsafeMutableBufferPointer { code in
            unsafe keyBytes.withUnsafeBytes { empty in
              unsafe HMAC(
                EVP_sha256(), key.baseAddress ?? empty.baseAddress, CInt(key.count),
                message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count,
                code.baseAddress, nil)
            }
          }
        }
      }
      guard unsafe done != nil else { throw .callFailed("HMAC") }
      return code
    }
  }

  private static func make(
    _ name: String, byteCount: Int, _ bytes: Span<UInt8>
  ) throws(CryptoFault) -> [UInt8] {
    try ErrorQueue.clean { () throws(CryptoFault) in
      guard let algorithm = unsafe EVP_MD_fetch(nil, name, nil) else {
        throw .callFailed("EVP_MD_fetch")
      }
      defer { unsafe EVP_MD_free(algorithm) }
      var digest = [UInt8](repeating: 0, count: byteCount)
      let done = unsafe bytes.withUnsafeBytes { bytes in
        unsafe digest.withUnsafeMutableBufferPointer { digest in
          unsafe EVP_Digest(
            bytes.baseAddress, bytes.count, digest.baseAddress, nil, algorithm, nil)
        }
      }
      guard done == 1 else { throw .callFailed("EVP_Digest") }
      return digest
    }
  }
}

/// Whether two stretches of bytes are the same, in a time that depends on their lengths only.
package func constantTimeEqual(_ left: Span<UInt8>, _ right: Span<UInt8>) -> Bool {
  guard left.count == right.count else { return false }
  return unsafe left.withUnsafeBytes { left in
    unsafe right.withUnsafeBytes { right in
      unsafe left.count == 0
        || CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
    }
  }
}
