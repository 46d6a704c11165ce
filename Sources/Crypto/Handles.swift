import COpenSSL

// The only `@unchecked Sendable` of this module. It holds because OpenSSL's objects are counted
// with atomic operations, and because nothing here changes one after its `init`:
// - an EVP_PKEY made by a decoder or by `keygen` belongs to a provider, is immutable, and
//   builds what it caches (a Montgomery context) under a lock of its own;
// - `EVP_MD_CTX_copy_ex` only reads its source, whose parts it counts up or copies.

/// One key, freed with its last user.
@safe final class KeyHandle: @unchecked Sendable {
  let pointer: OpaquePointer

  init(adopting pointer: OpaquePointer) { unsafe self.pointer = pointer }
  deinit { unsafe EVP_PKEY_free(pointer) }

  /// Reads a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), and for an elliptic curve checks that the
  /// point is on it and of its order.
  init(publicKeyInfo: [UInt8]) throws(CryptoFault) {
    let key = unsafe publicKeyInfo.withUnsafeBufferPointer { buffer in
      var start = buffer.baseAddress
      return unsafe d2i_PUBKEY(nil, &start, buffer.count)
    }
    guard let key = unsafe key else { throw .keyRefused(.notOnCurve) }
    unsafe pointer = key
    guard isA("EC") else { return }
    let context = unsafe EVP_PKEY_CTX_new_from_pkey(nil, key, nil)
    defer { unsafe EVP_PKEY_CTX_free(context) }
    guard unsafe EVP_PKEY_public_check(context) == 1 else { throw .keyRefused(.notOnCurve) }
  }

  func isA(_ name: String) -> Bool { unsafe EVP_PKEY_is_a(pointer, name) == 1 }

  /// A number of the key, big-endian; with `byteCount` padded to that many bytes.
  func number(_ name: String, byteCount: Int? = nil) throws(CryptoFault) -> [UInt8] {
    var found: OpaquePointer?
    guard unsafe EVP_PKEY_get_bn_param(pointer, name, &found) == 1, let number = unsafe found
    else { throw .callFailed("EVP_PKEY_get_bn_param") }
    defer { unsafe BN_clear_free(number) }
    return try unsafe bigEndian(number, byteCount: byteCount)
  }

  /// Nil when the key is on none of the curves that are used.
  var curve: EllipticCurve? {
    var name = [CChar](repeating: 0, count: 64)
    var count = 0
    let done = unsafe name.withUnsafeMutableBufferPointer { buffer in
      unsafe EVP_PKEY_get_group_name(pointer, buffer.baseAddress, buffer.count, &count)
    }
    guard done == 1 else { return nil }
    switch unsafe OBJ_txt2nid(name) {
    case NID_X9_62_prime256v1: return .p256
    case NID_secp384r1: return .p384
    case NID_secp521r1: return .p521
    default: return nil
    }
  }

  /// The 32 bytes of an Ed25519 public key.
  func edwardsPoint() throws(CryptoFault) -> [UInt8] {
    var point = [UInt8](repeating: 0, count: 32)
    var count = point.count
    let done = unsafe point.withUnsafeMutableBufferPointer { buffer in
      unsafe EVP_PKEY_get_raw_public_key(pointer, buffer.baseAddress, &count)
    }
    guard done == 1, count == 32 else { throw .callFailed("EVP_PKEY_get_raw_public_key") }
    return point
  }
}

/// A context made ready for one key and one algorithm. A verification copies it, which costs less
/// than preparing one: OpenSSL looks up and parses nothing.
@safe final class PreparedVerification: @unchecked Sendable {
  private let prepared: OpaquePointer

  init(_ key: KeyHandle, _ algorithm: SignatureAlgorithm) throws(CryptoFault) {
    guard let context = unsafe EVP_MD_CTX_new() else { throw .callFailed("EVP_MD_CTX_new") }
    do throws(CryptoFault) {
      try unsafe prepareVerification(context, key, algorithm)
    } catch {
      unsafe EVP_MD_CTX_free(context)
      throw error
    }
    unsafe prepared = context
  }

  deinit { unsafe EVP_MD_CTX_free(prepared) }

  /// False for a wrong signature and for any failure of OpenSSL alike.
  func holds(_ signature: Span<UInt8>, over message: Span<UInt8>) -> Bool {
    guard let context = unsafe EVP_MD_CTX_new() else { return false }
    defer { unsafe EVP_MD_CTX_free(context) }
    guard unsafe EVP_MD_CTX_copy_ex(context, prepared) == 1 else { return false }
    return unsafe verify(context, signature, message)
  }
}

/// Readies a context to check signatures of `algorithm` by `key`.
@unsafe func prepareVerification(
  _ context: OpaquePointer, _ key: KeyHandle, _ algorithm: SignatureAlgorithm
) throws(CryptoFault) {
  var parameters: OpaquePointer?
  let done =
    if let digest = algorithm.digestName {
      unsafe EVP_DigestVerifyInit_ex(
        context, &parameters, digest, nil, nil, key.pointer, nil)
    } else {
      unsafe EVP_DigestVerifyInit_ex(context, &parameters, nil, nil, nil, key.pointer, nil)
    }
  guard done == 1 else { throw .callFailed("EVP_DigestVerifyInit_ex") }
  if algorithm.isPSS { try unsafe setPSS(parameters) }
}

/// RFC 7518 §3.5: the salt is as long as the digest, and MGF1 uses the same digest (the default).
@unsafe func setPSS(_ parameters: OpaquePointer?) throws(CryptoFault) {
  guard let parameters = unsafe parameters,
    unsafe EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1,
    unsafe EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1
  else { throw .callFailed("EVP_PKEY_CTX_set_rsa_padding") }
}

/// Checks with a context that is ready, which is used up.
@unsafe func verify(
  _ context: OpaquePointer, _ signature: Span<UInt8>, _ message: Span<UInt8>
) -> Bool {
  unsafe signature.withUnsafeBufferPointer { signature in
    unsafe message.withUnsafeBufferPointer { message in
      unsafe EVP_DigestVerify(
        context, signature.baseAddress, signature.count, message.baseAddress, message.count) == 1
    }
  }
}

/// A number's bytes; `byteCount` pads it with zeros in front, and nil writes no leading zero.
@unsafe func bigEndian(
  _ number: OpaquePointer, byteCount: Int?
) throws(CryptoFault) -> [UInt8] {
  let count = byteCount ?? Int((unsafe BN_num_bits(number) + 7) / 8)
  var bytes = [UInt8](repeating: 0, count: count)
  let written = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
    unsafe BN_bn2binpad(number, buffer.baseAddress, CInt(buffer.count))
  }
  guard written == CInt(count) else { throw .callFailed("BN_bn2binpad") }
  return bytes
}
