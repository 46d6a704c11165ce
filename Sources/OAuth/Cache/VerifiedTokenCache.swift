package import Crypto
package import JOSE

/// Tokens that were verified, by the digest of their text, for all workers: a token costs one check
/// of its signature a process.
package final class VerifiedTokenCache: Sendable {
  private let cache: ShardedCache<VerifiedToken>

  /// `bytesMax`: what the entries may take together.
  package init(bytesMax: Int) { cache = ShardedCache(byteCostMax: bytesMax) }

  /// The token of that digest, if it is still good: not ended (with the issuer's skew; whoever
  /// exchanges asks `isExpired` too), its issuer's settings the same, its key still published.
  /// `backing` gives an issuer's rules and usable keys by its name, or nil where either is gone.
  package func find(
    _ digest: SHA256Digest, nowMs: Int64,
    backing: (_ issuerName: String) -> (IssuerRules, JWKSet)?
  ) -> VerifiedToken? {
    guard let token = cache.find(digest, nowMs: nowMs) else { return nil }
    guard let (rules, keys) = backing(token.issuerName), token.isStillBacked(by: keys, rules)
    else {
      cache.remove(digest)
      return nil
    }
    return token
  }

  /// The token of that digest if it has not ended. Whoever asks this way asks `isStillBacked` too.
  package func find(_ digest: SHA256Digest, nowMs: Int64) -> VerifiedToken? {
    cache.find(digest, nowMs: nowMs)
  }

  package func insert(_ digest: SHA256Digest, _ token: VerifiedToken, nowMs: Int64) {
    let end = NumericDate.sum(token.expiresAtMs, token.clockSkewMs)
    cache.insert(digest, token, byteCost: token.byteCost, endsAtMs: end, nowMs: nowMs)
  }

  package func remove(_ digest: SHA256Digest) { cache.remove(digest) }
  package func removeEnded(nowMs: Int64) { cache.removeEnded(nowMs: nowMs) }
  package var count: Int { cache.count }
  package var byteCost: Int { cache.byteCost }
}
