/// A path into a JSON value (RFC 6901).
package struct JSONPointer: Hashable, Sendable {
  /// The reference tokens, unescaped.
  package let tokens: [UTF8Text]

  /// Nil where the text is neither empty nor begins with `/`, or where a `~` is not `~0` or `~1`.
  package init?(_ text: UTF8Text) {
    if text.isEmpty {
      tokens = []
      return
    }
    guard text.bytes.first == UInt8(ascii: "/") else { return nil }
    var tokens: [UTF8Text] = []
    for part in text.bytes.dropFirst().split(
      separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    {
      guard let token = Self.unescape(part) else { return nil }
      tokens.append(token)
    }
    self.tokens = tokens
  }

  private static func unescape(_ part: ArraySlice<UInt8>) -> UTF8Text? {
    var bytes: [UInt8] = []
    var isEscape = false
    for byte in part {
      switch (isEscape, byte) {
      case (true, UInt8(ascii: "0")): bytes.append(UInt8(ascii: "~"))
      case (true, UInt8(ascii: "1")): bytes.append(UInt8(ascii: "/"))
      case (true, _): return nil
      case (false, UInt8(ascii: "~")): break
      case (false, _): bytes.append(byte)
      }
      isEscape = !isEscape && byte == UInt8(ascii: "~")
    }
    return isEscape ? nil : UTF8Text(bytes)
  }

  /// A token read as an array's index: digits without a leading zero (RFC 6901 §4).
  static func index(_ token: UTF8Text) -> Int? {
    let bytes = token.bytes
    guard !bytes.isEmpty, bytes.count <= 9, bytes.count == 1 || bytes[0] != UInt8(ascii: "0")
    else { return nil }
    var value = 0
    for byte in bytes {
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
      value = value * 10 + Int(byte) - 0x30
    }
    return value
  }
}

/// How an operator names a claim: one top-level member (`https://x.y/roles`) or, beginning with
/// `/`, a JSON Pointer (`/realm_access/roles`).
package struct ClaimName: Hashable, Sendable {
  /// As the operator wrote it.
  package let text: UTF8Text
  private let path: Path

  private enum Path: Hashable, Sendable {
    case member(UTF8Text)
    case pointer(JSONPointer)
  }

  /// Nil where the text is empty or begins with `/` and is no JSON Pointer.
  package init?(_ text: UTF8Text) {
    self.text = text
    if text.isEmpty { return nil }
    if text.bytes.first == UInt8(ascii: "/") {
      guard let pointer = JSONPointer(text) else { return nil }
      path = .pointer(pointer)
    } else {
      path = .member(text)
    }
  }

  /// A top-level member, whatever it is called.
  package init(member: UTF8Text) {
    text = member
    path = .member(member)
  }

  /// The claim's value in a token's claims, if it is there.
  package func value(in claims: JSONNode) -> JSONNode? {
    switch path {
    case .member(let name): claims[name]
    case .pointer(let pointer): claims.at(pointer: pointer)
    }
  }
}

extension ClaimName: CustomStringConvertible {
  package var description: String { text.string }
}
