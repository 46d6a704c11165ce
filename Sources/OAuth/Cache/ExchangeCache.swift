package import Crypto
import Wire

/// What came of exchanges, by the digest of the caller's token and of the target, for all workers:
/// tokens, and for a while refusals.
package final class ExchangeCache: Sendable {
  package enum Entry: Sendable {
    case issued(KeptToken)
    /// By which of the gateway's credentials it was asked for.
    case refused(ExchangeRefusal, credentials: UInt64)
  }

  private let cache: ShardedCache<Entry>
  private let settings: ExchangeSettings.Cache

  package init(_ settings: ExchangeSettings.Cache) {
    cache = ShardedCache(byteCostMax: settings.sizeBytes)
    self.settings = settings
  }

  /// The key: SHA-256 of the caller's whole token's digest and the target's. Never of less: not the
  /// subject, not the client, or one caller's token could reach another.
  package static func key(
    token: SHA256Digest, target: SHA256Digest, digester: Digester
  ) -> SHA256Digest { digester.digest(token, target) }

  /// - Parameter credentials: those that would be asked by now: what others were refused may be
  ///   given to these.
  package func find(_ key: SHA256Digest, credentials: UInt64 = 0, nowMs: Int64) -> Entry? {
    let entry = cache.find(key, nowMs: nowMs)
    if case .refused(_, let asked) = entry, asked != credentials { return nil }
    return entry
  }

  /// Keeps a token for the life that `IssuedToken.keptUntilMs` gives it, if any, in the place of
  /// what stood there.
  ///
  /// - Returns: the token as it is kept; nil where it may be used once and no more.
  @discardableResult package func insert(
    _ key: SHA256Digest, _ token: IssuedToken, subjectEndsAtMs: Int64, nowMs: Int64
  ) -> KeptToken? {
    guard settings.sizeBytes > 0, let issuedEndsAtMs = token.endsAtMs,
      let end = token.keptUntilMs(nowMs: nowMs, subjectEndsAtMs: subjectEndsAtMs, settings)
    else {
      cache.remove(key)
      return nil
    }
    let kept = KeptToken(
      token, keptAtMs: nowMs, endsAtMs: end,
      refreshFromMs: KeptToken.refreshFromMs(
        nowMs: nowMs, endsAtMs: end, issuedEndsAtMs: issuedEndsAtMs,
        subjectEndsAtMs: subjectEndsAtMs, settings))
    cache.insert(
      key, .issued(kept), byteCost: 160 + token.bytes.count, endsAtMs: end, nowMs: nowMs)
    return kept
  }

  /// Keeps a refusal for `denied`, if it is one to be remembered and the setting is not 0. It takes
  /// no token's place: that was had meanwhile, by other credentials.
  package func insert(
    _ key: SHA256Digest, _ refusal: ExchangeRefusal, credentials: UInt64 = 0,
    subjectEndsAtMs: Int64, nowMs: Int64
  ) {
    guard refusal.isRemembered, settings.deniedMs > 0 else { return }
    let end = min(NumericDate.sum(nowMs, settings.deniedMs), subjectEndsAtMs)
    let cost = 192 + refusal.note.bytes.count + (refusal.claimsChallenge?.bytes.count ?? 0)
    let entry = Entry.refused(refusal, credentials: credentials)
    cache.insert(key, entry, byteCost: cost, endsAtMs: end, nowMs: nowMs) { present in
      if case .issued = present { return false }
      return true
    }
  }

  package func remove(_ key: SHA256Digest) { cache.remove(key) }

  /// Forgets this token where it still stands there: not the one that came after it.
  package func remove(_ key: SHA256Digest, ifTokenIs token: [UInt8]) {
    cache.remove(key) { entry in
      if case .issued(let kept) = entry { return kept.token.bytes == token }
      return false
    }
  }

  /// For how long the gateway would get along without its token service: until half of the tokens
  /// that are kept have ended. Nil where none is kept.
  package func survivalMs(nowMs: Int64) -> Int64? {
    var lives = LifeHistogram()
    cache.forEach { entry, endsAtMs in
      if case .issued = entry { lives.add(endsAtMs - nowMs) }
    }
    return lives.medianMs
  }

  package func removeEnded(nowMs: Int64) { cache.removeEnded(nowMs: nowMs) }
  package var count: Int { cache.count }
  package var byteCost: Int { cache.byteCost }
}
