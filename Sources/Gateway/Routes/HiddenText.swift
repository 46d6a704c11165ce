import Wire

/// Finds the literal secrets of a file, misspelled and misplaced ones too, before anything of it
/// can be shown.
enum HiddenText {
  /// The ranges of texts whose key says that they are secret, in order.
  static func ranges(in root: JSONNode) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    collect(root, isSecret: false, into: &ranges)
    return ranges
  }

  /// The same for a file that is no JSON: whatever follows such a key and a colon, to the end of
  /// the text or of the line.
  static func ranges(inUnparsed bytes: [UInt8]) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var index = 0
    var last: Range<Int>?
    var isValue = false
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\""), UInt8(ascii: "'"):
        let text = quoted(bytes, from: index)
        if isValue, let last, isSecret(UTF8Text(Array(bytes[last]))) { ranges.append(text) }
        last = text
        isValue = false
        index = text.upperBound
        continue
      case UInt8(ascii: ":"): isValue = true
      case 0x20, 0x09, 0x0A, 0x0D, UInt8(ascii: "["): break
      default: isValue = false
      }
      index += 1
    }
    return ranges
  }

  private static func quoted(_ bytes: [UInt8], from start: Int) -> Range<Int> {
    var index = start + 1
    while index < bytes.count, bytes[index] != 0x0A {
      if bytes[index] == bytes[start] { return start..<index + 1 }
      index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
    }
    return start..<min(index, bytes.count)
  }

  /// - Parameters:
  ///   - isShared: inside `sharedCache`, where what looks like `keys` is meant so.
  ///   - isFields: the members are header fields, whose names are the operator's.
  private static func collect(
    _ node: JSONNode, isSecret: Bool, isShared: Bool = false, isFields: Bool = false,
    into ranges: inout [Range<Int>]
  ) {
    switch node.value {
    case .null, .bool: break
    case .number: if isSecret { ranges.append(node.range) }
    case .string(let text):
      if isSecret || hasUserinfo(text) || isToken(text) { ranges.append(node.range) }
    case .array(let nodes):
      for node in nodes {
        collect(node, isSecret: isSecret, isShared: isShared, into: &ranges)
      }
    case .object(let members):
      for member in members {
        // Where a secret is kept is no secret.
        let isPlace = member.name == "env" || member.name == "file"
        let isKey =
          isShared && Spelling.nearest(to: member.name.string, among: ["keys"]) != nil
        let isSecretField =
          isFields
          && (namesCredential(member.name) || member.node.string.map(isCredential) ?? false)
        collect(
          member.node,
          isSecret: isSecret && !isPlace || isKey || isSecretField || Self.isSecret(member.name),
          isShared: isShared || member.name == "sharedCache",
          isFields: member.name == "set" || member.name == "headers", into: &ranges)
      }
    }
  }

  /// A URL with a user and perhaps a password, which no URL here may have.
  private static func hasUserinfo(_ text: UTF8Text) -> Bool {
    let parts = text.string.split(separator: "://", maxSplits: 1)
    guard parts.count == 2 else { return false }
    return parts[1].prefix { !"/?#".contains($0) }.contains("@")
  }

  /// A JWT, wherever it stands.
  private static func isToken(_ text: UTF8Text) -> Bool {
    text.hasPrefix("eyJ") && text.string.split(separator: ".").count >= 3
  }

  /// What a field says in the way of `Authorization` (RFC 6750, RFC 7617). What comes from the
  /// caller's token, by a template, is no secret of the file's.
  private static func isCredential(_ text: UTF8Text) -> Bool {
    let parts = text.string.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, let scheme = parts.first?.lowercased() else { return false }
    return ["bearer", "basic"].contains(scheme) && !parts[1].contains("{")
  }

  /// Whether a header field's name says that it proves something.
  private static func namesCredential(_ name: UTF8Text) -> Bool {
    let name = name.string.lowercased()
    // The last one: what a proxy in front shows that it is one.
    let words = [
      "token", "key", "auth", "signature", "session", "cookie", "jwt", "bearer", "hmac", "verify",
    ]
    return words.contains { name.contains($0) }
  }

  private static func isSecret(_ name: UTF8Text) -> Bool {
    let name = name.string.lowercased().filter { $0.isLetter }
    // The last ones are those of header and form fields.
    let words = [
      "secret", "passw", "actortoken", "assertion", "credential", "apikey", "accesskey",
      "privatekey", "authtoken", "accesstoken",
    ]
    return name == "keys"
      || words.contains { name.contains($0) }
        && !["actortokentype", "assertionaudience", "clientcredentials"].contains(name)
      || Spelling.nearest(to: name, among: ["secret", "password", "actortoken"]) != nil
  }
}
