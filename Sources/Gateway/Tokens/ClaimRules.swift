import OAuth

/// What a route asks of a token's claims; routes that ask the same share one.
final class ClaimRules {
  private let rules: [ClaimRule]
  /// Where a token keeps the answer: of its own for the first 64 of a file. Those after them have
  /// none, and are worked out for each request.
  let bit: UInt64

  private init(_ rules: [ClaimRule], index: Int) {
    self.rules = rules
    bit = index < UInt64.bitWidth ? 1 << UInt64(index) : 0
  }

  func hold(for token: VerifiedToken) -> Bool {
    rules.allSatisfy { $0.holds(for: token.claims) }
  }

  /// Those of one routes file.
  struct Table {
    private var known: [[ClaimRule]: ClaimRules] = [:]

    /// nil where there is no rule.
    mutating func rules(_ rules: [ClaimRule]) -> ClaimRules? {
      if rules.isEmpty { return nil }
      if let same = known[rules] { return same }
      let made = ClaimRules(rules, index: known.count)
      known[rules] = made
      return made
    }
  }
}
