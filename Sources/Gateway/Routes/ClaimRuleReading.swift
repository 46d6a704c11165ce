import OAuth
import Wire

extension ClaimRule {
  /// Reads one entry of a route's `claims`: a claim's name and the values that it may have.
  static func read(name: Setting, _ setting: Setting) -> ClaimRule? {
    let claim = Kind<ClaimName>.claim.read(name)
    let values = Kind<[UTF8Text]>.claimValues.read(setting)
    guard let claim, let values else { return nil }
    return ClaimRule(claim: claim, values: values)
  }
}

extension Kind where Value == [UTF8Text] {
  /// At least one value; one alone is a list of one.
  fileprivate static var claimValues: Kind {
    Kind(.list(.any, atLeastOne: true)) { setting in
      if setting.node.elements == nil {
        return Kind<UTF8Text>.claimValue.read(setting).map { [$0] }
      }
      return Kind.list(.claimValue, atLeastOne: true).read(setting)
    }
  }
}

extension Kind where Value == UTF8Text {
  /// Text, or what is compared as it is spelled.
  private static var claimValue: Kind {
    Kind { setting in
      switch setting.node.value {
      case .string(let text): text
      case .number(let number): number.text
      case .bool(let flag): flag ? "true" : "false"
      case .null, .array, .object:
        setting.refused("expected text, a number, true or false, found \(setting.found)")
      }
    }
  }
}
