package import Crypto

/// Seals issued tokens for a store that is nobody's to trust: the store learns neither the tokens
/// nor whose they are, and can't hand one caller what was sealed for another.
///
/// An entry is
///
///     format (1 byte) ‖ key's id (4) ‖ nonce (12) ‖ AES-256-GCM(end, kept until, token) ‖ tag (16)
///
/// and bound to the exchange key, which is the digest of the caller's token and of the target: an
/// entry copied to another name opens nowhere. What the target's digest covers, above all how an
/// issued token is checked, is thereby the same where the entry was sealed and where it is opened,
/// so that it need not be checked again. Its end stands inside: no store can make it live longer.
package struct TokenSeal: Sendable {
  package enum Opened: Sendable {
    case token(IssuedToken)
    case ended
    /// Sealed by a key that is not known here, in another format, for another caller or target, or
    /// changed: one of them, and the store can't be asked which.
    case unreadable
  }

  /// In every name as well, so that gateways of two formats don't overwrite each other's entries.
  private static let format: UInt8 = 1
  private static let headByteCount = 1 + SharedKey.idByteCount

  private let keys: [SharedKey]

  /// The first key seals and all open; nil without any.
  package init?(keys: [SharedKey]) {
    guard !keys.isEmpty else { return nil }
    self.keys = keys
  }

  /// The names under which each key's entries for this exchange key are kept, in the order of the
  /// keys: the first is where an entry is put, and all are where one may be.
  ///
  /// The braces tell a server that is split up to keep together what belongs to one exchange.
  package func names(of key: SHA256Digest) throws(CryptoFault) -> [[UInt8]] {
    var names: [[UInt8]] = []
    for shared in keys {
      let text = try shared.name(of: key)
      names.append(Array("tollgate:\(Self.format):{".utf8) + text + Array("}".utf8))
    }
    return names
  }

  /// - Parameter keptUntilMs: in milliseconds since 1970.
  package func seal(
    _ token: IssuedToken, keptUntilMs: Int64, for key: SHA256Digest
  ) throws(CryptoFault) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(16 + token.bytes.count)
    append(token.endsAtMs ?? keptUntilMs, to: &text)
    append(keptUntilMs, to: &text)
    text.append(contentsOf: token.bytes)
    let head = [Self.format] + keys[0].id
    let cipher = try keys[0].cipher(for: key)
    return head + (try cipher.seal(text, context: context(head, key)))
  }

  package func open(_ sealed: [UInt8], for key: SHA256Digest, nowMs: Int64) -> Opened {
    let head = Array(sealed.prefix(Self.headByteCount))
    guard head.count == Self.headByteCount, head[0] == Self.format,
      let shared = keys.first(where: { head[1...].elementsEqual($0.id) })
    else { return .unreadable }
    let text: [UInt8]?
    do throws(CryptoFault) {
      let cipher = try shared.cipher(for: key)
      text = cipher.open(Array(sealed[Self.headByteCount...]), context: context(head, key))
    } catch {
      return .unreadable
    }
    guard let text, text.count > 16 else { return .unreadable }
    let endsAtMs = number(text[0..<8])
    let keptUntilMs = number(text[8..<16])
    guard endsAtMs > nowMs, keptUntilMs > nowMs else { return .ended }
    return .token(
      IssuedToken(Array(text[16...]), endsAtMs: endsAtMs, sharedUntilMs: keptUntilMs))
  }

  private func context(_ head: [UInt8], _ key: SHA256Digest) -> [UInt8] {
    Array("tollgate shared token".utf8) + head + key.bytes
  }

  private func append(_ number: Int64, to bytes: inout [UInt8]) {
    for shift in stride(from: 56, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> Int64(shift)))
    }
  }

  private func number(_ bytes: ArraySlice<UInt8>) -> Int64 {
    bytes.reduce(0) { $0 << 8 | Int64($1) }
  }
}
