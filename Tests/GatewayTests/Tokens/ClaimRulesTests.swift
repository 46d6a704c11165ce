import OAuth
import Testing
import Wire

@testable import Gateway

struct ClaimRulesTests {
  private func rule(_ level: Int) -> [ClaimRule] {
    [ClaimRule(claim: ClaimName(member: "level"), values: [UTF8Text("\(level)")])]
  }

  @Test func `routes that ask the same share one, and no rule is none`() {
    var table = ClaimRules.Table()
    let one = table.rules(rule(1))
    let two = table.rules(rule(2))
    let same = table.rules(rule(1))
    let none = table.rules([])
    #expect(one != nil && one === same)
    #expect(one?.bit != two?.bit)
    #expect(none == nil)
  }

  @Test func `a token's answers are its own, kept or not`() throws {
    var table = ClaimRules.Table()
    let rules = (0..<130).compactMap { table.rules(rule($0)) }
    try #require(rules.count == 130)
    #expect(Set(rules.prefix(64).map(\.bit)).count == 64)
    #expect(rules.dropFirst(64).allSatisfy { $0.bit == 0 })
    let issuer = try TestIssuer()
    let known = try issuer.known(tokenClaims: #","level":[0,63,64,129]"#)
    let other = try issuer.known()
    for _ in 0..<2 {
      for (level, rules) in rules.enumerated() {
        #expect(known.holds(rules) == [0, 63, 64, 129].contains(level))
        #expect(!other.holds(rules))
      }
    }
  }
}
