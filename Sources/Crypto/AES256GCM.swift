import COpenSSL

/// AES-256-GCM (NIST SP 800-38D): what it sealed can't be read without the key, and not be changed
/// without anybody noticing. Prints as redacted.
///
/// The nonce is random, 96 bits of it: one key must not seal more than 2³² times (§8.3), so
/// whoever may come near that derives a key for each subject.
package struct AES256GCM: Sendable, CustomStringConvertible, CustomReflectable {
  package static let keyByteCount = 32
  /// What a sealed text has more than the text.
  package static let overheadByteCount = nonceByteCount + tagByteCount
  private static let nonceByteCount = 12
  private static let tagByteCount = 16

  private let key: [UInt8]

  /// Fails unless the key has 32 bytes.
  package init(key: [UInt8]) throws(CryptoFault) {
    guard key.count == Self.keyByteCount else { throw .callFailed("EVP_EncryptInit_ex") }
    self.key = key
  }

  package var description: String { "‹redacted›" }
  package var customMirror: Mirror { Mirror(self, children: []) }

  /// Nonce, sealed text and tag. It opens only with the same `context`, which is not part of it.
  package func seal(_ text: [UInt8], context: [UInt8]) throws(CryptoFault) -> [UInt8] {
    try seal(text, context: context, nonce: try RandomBytes.make(count: Self.nonceByteCount))
  }

  /// For tests, which compare with published examples: a nonce used twice gives the key away.
  func seal(
    _ text: [UInt8], context: [UInt8], nonce: [UInt8]
  ) throws(CryptoFault) -> [UInt8] {
    try ErrorQueue.clean { () throws(CryptoFault) in
      let cipher = try CipherContext()
      guard nonce.count == Self.nonceByteCount, cipher.beginSealing(key: key, nonce: nonce),
        cipher.bind(context), let sealed = cipher.run(text), cipher.end(),
        let tag = cipher.tag(byteCount: Self.tagByteCount)
      else { throw .callFailed("EVP_EncryptUpdate") }
      return nonce + sealed + tag
    }
  }

  /// The text; nil when anything is not as it was sealed: the key, the context or a single bit.
  package func open(_ sealed: [UInt8], context: [UInt8]) -> [UInt8]? {
    guard sealed.count >= Self.overheadByteCount else { return nil }
    let end = sealed.count - Self.tagByteCount
    return ErrorQueue.clean {
      let cipher: CipherContext
      do throws(CryptoFault) { cipher = try CipherContext() } catch { return nil }
      guard cipher.beginOpening(key: key, nonce: Array(sealed[..<Self.nonceByteCount])),
        cipher.bind(context), let text = cipher.run(Array(sealed[Self.nonceByteCount..<end])),
        cipher.expect(tag: Array(sealed[end...])), cipher.end()
      else { return nil }
      return text
    }
  }
}

/// One use of the cipher, freed at its end. Each step answers whether OpenSSL took it.
@safe private struct CipherContext: ~Copyable {
  private let context: OpaquePointer

  init() throws(CryptoFault) {
    guard let context = unsafe EVP_CIPHER_CTX_new() else {
      throw .callFailed("EVP_CIPHER_CTX_new")
    }
    unsafe self.context = context
  }

  deinit { unsafe EVP_CIPHER_CTX_free(context) }

  // A nonce of 12 bytes is the mode's default length.
  func beginSealing(key: [UInt8], nonce: [UInt8]) -> Bool {
    unsafe EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nil, key, nonce) == 1
  }

  func beginOpening(key: [UInt8], nonce: [UInt8]) -> Bool {
    unsafe EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nil, key, nonce) == 1
  }

  /// Takes bytes that are protected and not part of the text.
  func bind(_ bytes: [UInt8]) -> Bool {
    // No input at all would mean the end to OpenSSL.
    guard !bytes.isEmpty, let count = CInt(exactly: bytes.count) else { return bytes.isEmpty }
    var written: CInt = 0
    return unsafe EVP_CipherUpdate(context, nil, &written, bytes, count) == 1
  }

  func run(_ bytes: [UInt8]) -> [UInt8]? {
    guard !bytes.isEmpty else { return [] }
    guard let count = CInt(exactly: bytes.count) else { return nil }
    var output = [UInt8](repeating: 0, count: bytes.count)
    var written: CInt = 0
    guard unsafe EVP_CipherUpdate(context, &output, &written, bytes, count) == 1,
      written == count
    else { return nil }
    return output
  }

  /// When opening: false when the tag is not the text's.
  func end() -> Bool {
    var nothing: UInt8 = 0
    var written: CInt = 0
    return unsafe EVP_CipherFinal_ex(context, &nothing, &written) == 1
  }

  func tag(byteCount: Int) -> [UInt8]? {
    var tag = [UInt8](repeating: 0, count: byteCount)
    let done = unsafe EVP_CIPHER_CTX_ctrl(
      context, EVP_CTRL_AEAD_GET_TAG, CInt(byteCount), &tag)
    return done == 1 ? tag : nil
  }

  func expect(tag: [UInt8]) -> Bool {
    var tag = tag
    return unsafe EVP_CIPHER_CTX_ctrl(
      context, EVP_CTRL_AEAD_SET_TAG, CInt(tag.count), &tag) == 1
  }
}
