import Synchronization

/// An issued token as the cache keeps it: until when, and from when on it should be had anew.
package final class KeptToken: Sendable {
  package let token: IssuedToken
  /// When it was issued to us; milliseconds since 1970, as all times here.
  package let keptAtMs: Int64
  package let endsAtMs: Int64
  /// From here on a hit begins a refresh; `Int64.max`: none does. Moved on when one begins, so that
  /// of all workers' hits one does.
  private let refreshFromMs: Atomic<Int64>
  /// Until when copies may be used. While a refresh is under way that is over: who asks the cache
  /// instead learns at once that the token service has refused it.
  private let copiesUntilMs: Atomic<Int64>

  /// A refresh that brought nothing is tried again after so long at the earliest.
  private static let refreshPauseMs: Int64 = 2_000

  init(_ token: IssuedToken, keptAtMs: Int64, endsAtMs: Int64, refreshFromMs: Int64) {
    self.token = token
    self.keptAtMs = keptAtMs
    self.endsAtMs = endsAtMs
    self.refreshFromMs = Atomic(refreshFromMs)
    copiesUntilMs = Atomic(refreshFromMs)
  }

  /// Until when a copy may be used without asking the cache again.
  package var unaskedUntilMs: Int64 {
    min(endsAtMs, copiesUntilMs.load(ordering: .relaxed))
  }

  /// Whether the asker is to refresh it now: true once, and then not for a while. A refresh that
  /// brings no other word about the token ends with `keepOn` or `postponeRefresh`.
  package func takeRefresh(nowMs: Int64) -> Bool {
    let fromMs = refreshFromMs.load(ordering: .relaxed)
    guard nowMs >= fromMs else { return false }
    return refreshFromMs.compareExchange(
      expected: fromMs, desired: NumericDate.sum(nowMs, Self.refreshPauseMs), ordering: .relaxed
    ).exchanged
  }

  /// Lets copies be used again, until the next refresh: this one has brought nothing.
  package func keepOn() {
    copiesUntilMs.store(refreshFromMs.load(ordering: .relaxed), ordering: .relaxed)
  }

  /// The same, and puts the next refresh off, where the service has asked for patience.
  package func postponeRefresh(untilMs: Int64) {
    refreshFromMs.store(untilMs, ordering: .relaxed)
    copiesUntilMs.store(untilMs, ordering: .relaxed)
  }

  /// When the refresh of a token begins that is kept from now to `endsAtMs`: at the beginning of
  /// the last part of its life, give or take a tenth of that part, so that tokens that were issued
  /// together are not refreshed together. Never where it would bring nothing: where the caller's
  /// own token ends first.
  static func refreshFromMs(
    nowMs: Int64, endsAtMs: Int64, issuedEndsAtMs: Int64, subjectEndsAtMs: Int64,
    _ settings: ExchangeSettings.Cache
  ) -> Int64 {
    guard settings.refreshAhead > 0, issuedEndsAtMs < subjectEndsAtMs else { return .max }
    let part = Double(endsAtMs - nowMs) * settings.refreshAhead * Double.random(in: 0.9...1.1)
    return max(nowMs, endsAtMs - Int64(part))
  }
}
