package import Crypto
import Wire

/// One of the keys under which gateways share tokens, and what is derived from it. Prints as
/// redacted.
package struct SharedKey: Sendable, CustomStringConvertible, CustomReflectable {
  package static let byteCount = 32
  static let idByteCount = 4

  /// Names the key in what it sealed: derived from it, so that nobody has to number keys.
  let id: [UInt8]
  private let sealing: [UInt8]
  private let naming: [UInt8]

  /// - Parameter secret: 32 random bytes.
  package init(_ secret: [UInt8]) throws(CryptoFault) {
    func derive(_ purpose: String, _ byteCount: Int) throws(CryptoFault) -> [UInt8] {
      try HKDF.sha256(
        secret: secret, purpose: Array("tollgate shared cache 1: \(purpose)".utf8),
        byteCount: byteCount)
    }
    id = try derive("id", Self.idByteCount)
    sealing = try derive("sealing", 32)
    naming = try derive("naming", 32)
  }

  /// A key as it is kept: 32 bytes, their 64 hexadecimal digits or their base64 of either alphabet,
  /// and a newline behind; nil for anything else.
  package static func decode(_ kept: [UInt8]) -> [UInt8]? {
    if kept.count == byteCount { return kept }
    var text = kept[...]
    if text.last == 0x0A { text = text.dropLast() }
    if text.last == 0x0D { text = text.dropLast() }
    let line = Array(text)
    if line.count == byteCount { return line }
    let bytes: [UInt8]?
    switch line.count {
    case 64: bytes = Hex.decode(line.span)
    case 44: bytes = Base64.decode(line)
    case 43: bytes = Base64URL.decode(line)
    default: bytes = nil
    }
    return bytes?.count == byteCount ? bytes : nil
  }

  /// Each exchange key has a key of its own, because one AES-GCM key may not seal as many tokens
  /// as a fleet exchanges in a year.
  func cipher(for key: SHA256Digest) throws(CryptoFault) -> AES256GCM {
    let bytes = key.bytes
    return try AES256GCM(key: try Digests.hmacSHA256(key: sealing.span, bytes.span))
  }

  /// Whoever sees it learns nothing of the caller or the target, nor can tell whether a token that
  /// he has is the one.
  func name(of key: SHA256Digest) throws(CryptoFault) -> [UInt8] {
    let bytes = key.bytes
    return Base64URL.encode(try Digests.hmacSHA256(key: naming.span, bytes.span))
  }

  package var description: String { "‹redacted›" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
