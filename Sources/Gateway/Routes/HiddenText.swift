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

  /// The same for a file that is no JSON.
  static func ranges(inUnparsed bytes: [UInt8]) -> [Range<Int>] { UnparsedSecrets(bytes).ranges }

  /// - Parameters:
  ///   - isShared: inside `sharedCache`, where what looks like `keys` is meant so.
  ///   - isFields: the members are header fields, whose names are the operator's, or hold such.
  private static func collect(
    _ node: JSONNode, isSecret: Bool, isShared: Bool = false, isFields: Bool = false,
    into ranges: inout [Range<Int>]
  ) {
    switch node.value {
    case .null, .bool: break
    case .number: if isSecret { ranges.append(node.range) }
    case .string(let text):
      if isSecret || isSecretItself(text) || isFields && isCredential(text) {
        ranges.append(node.range)
      }
    case .array(let nodes):
      for node in nodes {
        collect(node, isSecret: isSecret, isShared: isShared, isFields: isFields, into: &ranges)
      }
    case .object(let members):
      for member in members {
        // Where a secret is kept is no secret.
        let isPlace = member.name == "env" || member.name == "file"
        let isKey =
          isShared && Spelling.nearest(to: member.name.string, among: ["keys"]) != nil
        let isSecretField =
          isFields && namesCredential(member.name)
          || member.node.string != nil && namesProof(member.name)
        collect(
          member.node,
          isSecret: isSecret && !isPlace || isKey || isSecretField || Self.isSecret(member.name),
          isShared: isShared || member.name == "sharedCache",
          isFields: isFields || namesFields(member.name), into: &ranges)
      }
    }
  }

  /// Whether a text is secret by what it says.
  static func isSecretItself(_ text: UTF8Text) -> Bool { hasUserinfo(text) || isToken(text) }

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
  static func isCredential(_ text: UTF8Text) -> Bool {
    let parts = text.string.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, let scheme = parts.first?.lowercased() else { return false }
    return ["bearer", "basic"].contains(scheme) && !parts[1].contains("{")
  }

  /// Whether it is the name of a field that proves something, wherever it stands.
  static func namesProof(_ name: UTF8Text) -> Bool {
    ["authorization", "proxy-authorization"].contains(name.string.lowercased())
  }

  /// Whether a key is what header fields are set by, or was to be.
  private static func namesFields(_ name: UTF8Text) -> Bool {
    name.string.lowercased().contains("header")
      || Spelling.nearest(to: name.string, among: ["set", "headers"]) != nil
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

  static func isSecret(_ name: UTF8Text) -> Bool {
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
