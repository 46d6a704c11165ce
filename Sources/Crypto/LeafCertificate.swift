import COpenSSL

/// The certificate of a key of ours, by which a peer may know the key.
package struct LeafCertificate: Sendable {
  /// SHA-256 over its DER: `x5t#S256` (RFC 7515 §4.1.8).
  package let thumbprint: [UInt8]

  /// Reads the first certificate of a PEM text, which must be `key`'s.
  package init(pem: Span<UInt8>, of key: PrivateKey) throws(CryptoFault) {
    thumbprint = try ErrorQueue.clean { () throws(CryptoFault) in
      guard pem.count <= 1 << 20 else { throw .certificateRefused }
      let certificate = unsafe pem.withUnsafeBytes { bytes -> OpaquePointer? in
        guard let memory = unsafe BIO_new_mem_buf(bytes.baseAddress, CInt(bytes.count)) else {
          return nil
        }
        defer { unsafe BIO_free(memory) }
        return unsafe PEM_read_bio_X509(memory, nil, { _, _, _, _ in -1 }, nil)
      }
      guard let certificate = unsafe certificate else { throw .certificateRefused }
      defer { unsafe X509_free(certificate) }
      guard unsafe X509_check_private_key(certificate, key.handle.pointer) == 1 else {
        throw .certificateMismatch
      }
      var digest = [UInt8](repeating: 0, count: 32)
      let done = unsafe digest.withUnsafeMutableBufferPointer { buffer in
        unsafe X509_digest(certificate, EVP_sha256(), buffer.baseAddress, nil)
      }
      guard done == 1 else { throw .callFailed("X509_digest") }
      return digest
    }
  }
}
