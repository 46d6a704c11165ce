import COpenSSL

/// Makes SHA-256 digests, one after another, with an algorithm fetched once and one context: a
/// third cheaper than letting OpenSSL look the algorithm up each time. A worker owns one; it is not
/// `Sendable`, and has no state between two calls.
@safe package final class Digester {
  private let algorithm: OpaquePointer
  private let context: OpaquePointer

  /// Fails when OpenSSL has no SHA-256 or no memory: at start, and then for good.
  package init() throws(CryptoFault) {
    ERR_clear_error()
    defer { ERR_clear_error() }
    guard let algorithm = unsafe EVP_MD_fetch(nil, "SHA256", nil) else {
      throw .callFailed("EVP_MD_fetch")
    }
    guard let context = unsafe EVP_MD_CTX_new() else {
      unsafe EVP_MD_free(algorithm)
      throw .callFailed("EVP_MD_CTX_new")
    }
    unsafe self.algorithm = algorithm
    unsafe self.context = context
  }

  deinit {
    unsafe EVP_MD_CTX_free(context)
    unsafe EVP_MD_free(algorithm)
  }

  /// SHA-256 of the bytes.
  package func digest(_ bytes: Span<UInt8>) -> SHA256Digest {
    begin()
    add(bytes)
    return end()
  }

  /// SHA-256 of the bytes.
  package func digest(_ bytes: [UInt8]) -> SHA256Digest { digest(bytes.span) }

  /// SHA-256 of two stretches of bytes, one behind the other.
  package func digest(_ first: Span<UInt8>, _ second: Span<UInt8>) -> SHA256Digest {
    begin()
    add(first)
    add(second)
    return end()
  }

  /// SHA-256 of 64 bytes: two digests, one behind the other.
  package func digest(_ first: SHA256Digest, _ second: SHA256Digest) -> SHA256Digest {
    begin()
    unsafe withUnsafeBytes(of: first.words) { unsafe add($0) }
    unsafe withUnsafeBytes(of: second.words) { unsafe add($0) }
    return end()
  }

  private func begin() {
    let done = unsafe EVP_DigestInit_ex2(context, algorithm, nil)
    // Cannot fail: the context and the algorithm exist, and a digest has no other condition.
    precondition(done == 1, "OpenSSL cannot begin a digest")
  }

  private func add(_ bytes: Span<UInt8>) {
    unsafe bytes.withUnsafeBytes { unsafe add($0) }
  }

  private func add(_ bytes: UnsafeRawBufferPointer) {
    let done = unsafe EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    precondition(done == 1, "OpenSSL cannot go on with a digest")
  }

  private func end() -> SHA256Digest {
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    let done = unsafe withUnsafeMutableBytes(of: &words) { buffer in
      unsafe EVP_DigestFinal_ex(
        context, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), nil)
    }
    precondition(done == 1, "OpenSSL cannot end a digest")
    return SHA256Digest(words: words)
  }
}
