package import Wire

/// What a route asks of one claim: that it equals, or holds, one of several values.
package struct ClaimRule: Hashable, Sendable {
  package let claim: ClaimName
  /// Never empty; numbers, true and false as they are spelled.
  package let values: [UTF8Text]

  package init(claim: ClaimName, values: [UTF8Text]) {
    self.claim = claim
    self.values = values
  }

  /// Whether a token with these claims has one of the values.
  package func holds(for claims: JSONNode) -> Bool {
    claim.value(in: claims).holds(values.contains)
  }
}
