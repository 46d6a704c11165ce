import COpenSSL

/// A key that signs: the demo's provider, the certificate it makes for itself, and a client that
/// proves itself with `private_key_jwt`. Prints as redacted.
package final class PrivateKey: Sendable, CustomStringConvertible {
  package enum Kind: Hashable, Sendable {
    case rsa2048, p256, p384, p521, ed25519
  }

  /// The public half.
  package let numbers: PublicNumbers
  let handle: KeyHandle

  /// A new key. RSA takes some hundred milliseconds.
  package convenience init(generate kind: Kind) throws(CryptoFault) {
    let handle = try ErrorQueue.clean { () throws(CryptoFault) in
      let key =
        switch kind {
        case .rsa2048: unsafe tollgate_EVP_RSA_gen(2048)
        case .p256: unsafe tollgate_EVP_EC_gen("P-256")
        case .p384: unsafe tollgate_EVP_EC_gen("P-384")
        case .p521: unsafe tollgate_EVP_EC_gen("P-521")
        case .ed25519: unsafe tollgate_EVP_PKEY_gen("ED25519")
        }
      guard let key = unsafe key else { throw .callFailed("EVP_PKEY_Q_keygen") }
      return unsafe KeyHandle(adopting: key)
    }
    try self.init(handle)
  }

  /// Reads PKCS #8 or the older forms. A key under a pass phrase is refused, never asked for one.
  package convenience init(pem: Span<UInt8>) throws(CryptoFault) {
    let handle = try ErrorQueue.clean { () throws(CryptoFault) in
      guard pem.count <= 1 << 20 else { throw .pemRefused }
      let key = unsafe pem.withUnsafeBytes { bytes -> OpaquePointer? in
        guard let memory = unsafe BIO_new_mem_buf(bytes.baseAddress, CInt(bytes.count)) else {
          return nil
        }
        defer { unsafe BIO_free(memory) }
        // Without a callback of ours OpenSSL would ask at the terminal.
        return unsafe PEM_read_bio_PrivateKey(memory, nil, { _, _, _, _ in -1 }, nil)
      }
      guard let key = unsafe key else { throw .pemRefused }
      return unsafe KeyHandle(adopting: key)
    }
    try self.init(handle)
  }

  private init(_ handle: KeyHandle) throws(CryptoFault) {
    self.handle = handle
    numbers = try ErrorQueue.clean { () throws(CryptoFault) in try publicNumbers(of: handle) }
    do throws(KeyFlaw) { _ = try numbers.checked() } catch { throw .keyRefused(error) }
  }

  /// What this key signs with when nobody says: RS256, the curve's algorithm, EdDSA.
  package var preferredAlgorithm: SignatureAlgorithm {
    switch numbers {
    case .rsa: .rs256
    case .ec(let curve, _, _): curve.algorithm
    case .ed25519: .edDSA
    }
  }

  /// A signature as JWS has it (RFC 7518 §3): of ECDSA `r` and `s`, each as long as a coordinate.
  package func sign(
    _ algorithm: SignatureAlgorithm, message: Span<UInt8>
  ) throws(CryptoFault) -> [UInt8] {
    guard numbers.algorithms.contains(algorithm) else { throw .algorithmRefused }
    return try ErrorQueue.clean { () throws(CryptoFault) in
      let signature = try encodedSignature(algorithm, message)
      guard case .ec(let curve, _, _) = numbers else { return signature }
      return try rawSignature(signature, curve: curve)
    }
  }

  /// PKCS #8 in PEM, not encrypted: for a file of mode 0600 or for memory, never for a log.
  package func makePEM() throws(CryptoFault) -> [UInt8] {
    try ErrorQueue.clean { () throws(CryptoFault) in
      try unsafe withMemoryBIO { memory in
        unsafe PEM_write_bio_PKCS8PrivateKey(memory, handle.pointer, nil, nil, 0, nil, nil) == 1
      }
    }
  }

  package var description: String { "‹redacted›" }

  private func encodedSignature(
    _ algorithm: SignatureAlgorithm, _ message: Span<UInt8>
  ) throws(CryptoFault) -> [UInt8] {
    guard let context = unsafe EVP_MD_CTX_new() else { throw .callFailed("EVP_MD_CTX_new") }
    defer { unsafe EVP_MD_CTX_free(context) }
    var parameters: OpaquePointer?
    let ready =
      if let digest = algorithm.digestName {
        unsafe EVP_DigestSignInit_ex(context, &parameters, digest, nil, nil, handle.pointer, nil)
      } else {
        unsafe EVP_DigestSignInit_ex(context, &parameters, nil, nil, nil, handle.pointer, nil)
      }
    guard ready == 1 else { throw .callFailed("EVP_DigestSignInit_ex") }
    if algorithm.isPSS { try unsafe setPSS(parameters) }
    return try unsafe message.withUnsafeBufferPointer {
      (message) throws(CryptoFault) -> [UInt8] in
      var count = 0
      guard unsafe EVP_DigestSign(context, nil, &count, message.baseAddress, message.count) == 1
      else { throw .callFailed("EVP_DigestSign") }
      var signature = [UInt8](repeating: 0, count: count)
      let done = unsafe signature.withUnsafeMutableBufferPointer { signature in
        unsafe EVP_DigestSign(
          context, signature.baseAddress, &count, message.baseAddress, message.count)
      }
      guard done == 1, count <= signature.count else { throw .callFailed("EVP_DigestSign") }
      signature.removeLast(signature.count - count)  // DER is at times shorter than announced
      return signature
    }
  }
}

/// ECDSA's DER as `r` and `s` side by side.
private func rawSignature(
  _ encoded: [UInt8], curve: EllipticCurve
) throws(CryptoFault) -> [UInt8] {
  let pair = unsafe encoded.withUnsafeBufferPointer { buffer in
    var start = buffer.baseAddress
    return unsafe d2i_ECDSA_SIG(nil, &start, buffer.count)
  }
  guard let pair = unsafe pair else { throw .callFailed("d2i_ECDSA_SIG") }
  defer { unsafe ECDSA_SIG_free(pair) }
  guard let r = unsafe ECDSA_SIG_get0_r(pair), let s = unsafe ECDSA_SIG_get0_s(pair) else {
    throw .callFailed("ECDSA_SIG_get0_r")
  }
  let count = curve.coordinateByteCount
  return try unsafe bigEndian(r, byteCount: count) + bigEndian(s, byteCount: count)
}

private func publicNumbers(of key: KeyHandle) throws(CryptoFault) -> PublicNumbers {
  if key.isA("RSA") {
    return .rsa(
      modulus: try key.number(OSSL_PKEY_PARAM_RSA_N),
      exponent: try key.number(OSSL_PKEY_PARAM_RSA_E))
  }
  if key.isA("ED25519") { return .ed25519(try key.edwardsPoint()) }
  guard key.isA("EC"), let curve = key.curve else { throw .algorithmRefused }
  let count = curve.coordinateByteCount
  return .ec(
    curve, x: try key.number(OSSL_PKEY_PARAM_EC_PUB_X, byteCount: count),
    y: try key.number(OSSL_PKEY_PARAM_EC_PUB_Y, byteCount: count))
}
