/// A token that the token service issued, checked as far as it can be. It is only ever made by
/// judging an answer, here or in another gateway that sealed it, and prints as redacted.
package final class IssuedToken: Sendable, CustomStringConvertible, CustomReflectable {
  /// RFC 6750 §2.1's `b64token`: nothing in it ends a header field.
  package let bytes: [UInt8]
  /// When it ends, in milliseconds since 1970: the earlier of `expires_in` and its own `exp`. Nil
  /// where neither is known; it is then used once and not kept.
  package let endsAtMs: Int64?
  /// Of a token that another gateway had issued: until when that one keeps it. Passing it on does
  /// not make it live longer.
  package let sharedUntilMs: Int64?

  init(_ bytes: [UInt8], endsAtMs: Int64?, sharedUntilMs: Int64? = nil) {
    self.bytes = bytes
    self.endsAtMs = endsAtMs
    self.sharedUntilMs = sharedUntilMs
  }

  package var description: String { "‹redacted›" }
  package var customMirror: Mirror { Mirror(self, children: []) }

  /// Until when it may be kept, in milliseconds since 1970; nil for not at all. The earliest of
  /// - its end, less the margin, which is at most a fifth of its life;
  /// - `maxLifeMs` from now;
  /// - the end of the caller's token, so that no entry outlives what it was exchanged for;
  /// - the end that another gateway gave it.
  package func keptUntilMs(
    nowMs: Int64, subjectEndsAtMs: Int64, _ settings: ExchangeSettings.Cache
  ) -> Int64? {
    guard let endsAtMs, endsAtMs > nowMs else { return nil }
    let margin = min(max(settings.marginMs, 0), (endsAtMs - nowMs) / 5)
    let end = min(
      endsAtMs - margin, NumericDate.sum(nowMs, max(settings.maxLifeMs, 0)), subjectEndsAtMs,
      sharedUntilMs ?? .max)
    return end > nowMs ? end : nil
  }
}
