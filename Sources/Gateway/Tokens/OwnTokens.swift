import Crypto
import OAuth
import Reactor
import Wire

/// Whom a token for a service stands for.
enum TokenHolder {
  case caller(Caller)
  /// The gateway itself, by client credentials: one token for all callers.
  case gateway

  /// How the log and the metrics call what came of it: of the gateway's own tokens they only tell
  /// what went wrong.
  func outcome(_ outcome: AccessRecord.Exchange) -> AccessRecord.Exchange {
    switch (self, outcome) {
    case (.caller, _), (.gateway, .denied), (.gateway, .failed): outcome
    case (.gateway, _): .clientCredentials
    }
  }
}

/// What one worker holds of the gateway's own tokens: by target, since there is no caller. All
/// workers share the rest, as they do for callers' tokens.
struct OwnTokens {
  private var kept: [Int: (held: HeldToken, endsAtMs: Int64)] = [:]

  /// The token of a target, while it may be used without asking for news of it.
  func token(for target: Int, atMs nowMs: Int64) -> HeldToken? {
    guard let entry = kept[target], entry.endsAtMs > nowMs else { return nil }
    return entry.held
  }

  mutating func keep(_ held: HeldToken, for target: Int, untilMs endsAtMs: Int64) {
    kept[target] = (held, endsAtMs)
  }

  /// Forgets this token of a target, and no other.
  mutating func forget(_ token: [UInt8], for target: Int) {
    if kept[target]?.held.token == token { kept[target] = nil }
  }
}

extension ExchangeCache {
  /// The key of what stands for no caller: one for each target. No token has this digest, so no
  /// caller's entry is ever found by it.
  static func ownKey(target: SHA256Digest, digester: Digester) -> SHA256Digest {
    let noCaller = digester.digest(Array("tollgate: no caller".utf8))
    return key(token: noCaller, target: target, digester: digester)
  }
}
