import OAuth
import Wire

extension IdentityRules {
  /// Reads `identities`: a list replaces the default, which is `auto` in both.
  static func read(_ object: inout ObjectReader, issuer: UTF8Text) -> IdentityRules? {
    let auto = IdentityPreset.auto(for: issuer).map { IdentityRule.preset($0) }
    let rules = Kind<[[IdentityRule]]>.list(.identityRules(auto: auto))
    return IdentityRules(
      system: object.optional("system", rules, default: [auto], "what marks a system's token")
        .flatMap(\.self),
      person: object.optional("person", rules, default: [auto], "what marks a person's token")
        .flatMap(\.self))
  }
}

extension Kind where Value == [IdentityRule] {
  /// A preset's name, `auto` for several of them, or a rule.
  fileprivate static func identityRules(auto: [IdentityRule]) -> Kind {
    Kind(
      .oneOf([.words(["auto"]), Kind<IdentityRule>.identityRule.schema]),
      written: { $0.count == auto.count ? "\"auto\"" : nil }
    ) { setting in
      guard let name = setting.node.string else {
        return Kind<IdentityRule>.identityRule.read(setting).map { [$0] }
      }
      if name == "auto" { return auto }
      return Kind<IdentityRule>.identityRule.read(setting).map { [$0] }
    }
  }
}

extension Kind where Value == IdentityRule {
  /// One preset or one rule: what `all` holds.
  fileprivate static var identityRule: Kind {
    Kind(
      .oneOf([
        .words(IdentityPreset.allCases.map(\.rawValue)),
        .read { _ = ObjectReader.read($0) { IdentityRule.read(&$0) } },
      ])
    ) { setting in
      if let name = setting.node.string {
        if let preset = IdentityPreset(rawValue: name.string) { return .preset(preset) }
        if name == "auto" { return setting.refused("\"auto\" stands for several rules") }
        let known = IdentityPreset.allCases.map(\.rawValue) + ["auto"]
        return setting.refused(
          "no such preset", suggestion: Spelling.nearest(to: name.string, among: known))
      }
      guard setting.node.members != nil else {
        return setting.refused("expected a preset's name or a rule, found \(setting.found)")
      }
      return ObjectReader.read(setting) { IdentityRule.read(&$0) }
    }
  }
}

extension IdentityRule {
  private static let tests = ["equals", "equalsClaim", "prefix", "suffix", "absent"]

  fileprivate static func read(_ object: inout ObjectReader) -> IdentityRule? {
    // Described as anything: its rules may hold such rules again.
    object.describe("all", .any, "a list of rules, in place of the others: all must hold")
    if object.has("all") {
      return object.required(
        "all", Kind<[IdentityRule]>.list(.identityRule, atLeastOne: true), "rules that must hold"
      ).map { .all($0) }
    }
    let claim = object.required("claim", .claim, "the claim that is looked at")
    // Not needed beside "all".
    object.describe("claim", Kind<ClaimName>.claim.schema, "the claim that is looked at")
    let equals = object.optional("equals", .anyText, "its value")
    let other = object.optional("equalsClaim", .claim, "another claim with the same value")
    let prefix = object.optional("prefix", .text, "how its value begins")
    let suffix = object.optional("suffix", .text, "how its value ends")
    let absent = object.optional("absent", .bool, "true: it isn't there")
    let ignoreCase = object.optional("ignoreCase", .bool, "of `equals`")
    let given = tests.filter { object.has($0) }
    guard given.count == 1, let test = given.first else {
      object.setting.refuse("expected one of \(Words.anyOf(tests))")
      return nil
    }
    if ignoreCase != nil, test != "equals" {
      object.reportAtName("ignoreCase", "goes with \"equals\" only")
    }
    guard let claim else { return nil }
    if let equals { return .equals(claim, equals, ignoreCase: ignoreCase ?? false) }
    if let other { return .equalsClaim(claim, other) }
    if let prefix { return .prefix(claim, prefix) }
    if let suffix { return .suffix(claim, suffix) }
    if absent == true { return .absent(claim) }
    if absent == false { object.reportAtName("absent", "can only be true") }
    return nil
  }
}
