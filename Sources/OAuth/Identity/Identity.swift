package import Wire

/// Whom a verified token stands for, and what said so.
package struct Identity: Sendable, Equatable {
  package enum Kind: String, Sendable {
    case person
    case system
    /// No rule marked it: an absent marker is no proof of a person.
    case unknown
  }

  package let kind: Kind
  /// The rule that decided, as the access log names it; nil where none did.
  package let rule: String?
}

extension IdentityRules {
  /// If both lists mark a token, system wins. The first rule that does is the one that is named.
  package func identity(of claims: JSONNode) -> Identity {
    if let rule = system.first(where: { $0.marks(claims, as: .system) }) {
      return Identity(kind: .system, rule: rule.text)
    }
    if let rule = person.first(where: { $0.marks(claims, as: .person) }) {
      return Identity(kind: .person, rule: rule.text)
    }
    return Identity(kind: .unknown, rule: nil)
  }
}

extension IdentityRule {
  /// Whether the rule holds for these claims. The list that it stands in decides which column of a
  /// preset is meant, also inside `all`.
  func marks(_ claims: JSONNode, as kind: Identity.Kind) -> Bool {
    switch self {
    case .preset(let preset):
      switch kind {
      case .system: preset.marksSystem(claims)
      case .person: preset.marksPerson(claims)
      case .unknown: false
      }
    case .equals(let claim, let value, let ignoreCase):
      claim.value(in: claims).holds { text in
        ignoreCase ? text.equalsIgnoringASCIICase(value) : text == value
      }
    case .equalsClaim(let claim, let other):
      saySame(claim.value(in: claims), other.value(in: claims))
    case .prefix(let claim, let prefix): claim.value(in: claims).holds { $0.hasPrefix(prefix) }
    case .suffix(let claim, let suffix): claim.value(in: claims).holds { $0.hasSuffix(suffix) }
    case .absent(let claim): !claim.value(in: claims).isPresent
    case .all(let rules): rules.allSatisfy { $0.marks(claims, as: kind) }
    }
  }
}

/// Two claims of which one says a text that the other says too: one text or several, as `holds`
/// takes them, so that `42` is `"42"` here as it is in a log or in a service that compares texts.
func saySame(_ one: JSONNode?, _ other: JSONNode?) -> Bool {
  one.holds { text in other.holds { $0 == text } }
}

/// Two claims that are the same text; two that are absent are none.
func isSame(_ one: JSONNode?, _ other: JSONNode?) -> Bool {
  guard let one = one?.string, let other = other?.string else { return false }
  return one == other
}

extension JSONNode? {
  /// A claim that is there; one that is null says as little as one that is not.
  var isPresent: Bool {
    guard let self else { return false }
    return !self.isNull
  }

  /// Whether it says anything: an object, a list within a list and an empty list say as little as a
  /// claim that is absent, and must make no system of a person nor the other way round.
  var saysSomething: Bool { holds { _ in true } }

  /// Whether the text satisfies, or one in a list of texts, as some issuers write what others write
  /// as one. True and false, and numbers as they are spelled, count as texts.
  func holds(_ condition: (UTF8Text) -> Bool) -> Bool {
    guard let self else { return false }
    if let text = self.scalarText { return condition(text) }
    return self.elements?.contains { $0.scalarText.map(condition) ?? false } ?? false
  }
}

extension JSONNode {
  /// What a value says that is neither null nor holds others.
  fileprivate var scalarText: UTF8Text? {
    switch value {
    case .string(let text): text
    case .number(let number): number.text
    case .bool(let bool): bool ? "true" : "false"
    case .null, .array, .object: nil
    }
  }
}
