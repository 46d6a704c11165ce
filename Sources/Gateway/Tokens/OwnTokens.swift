import Crypto
import OAuth
import Reactor
import Wire

/// What one worker holds of the gateway's own tokens: by target, since there is no caller. All
/// workers share the rest, as they do for callers' tokens.
struct OwnTokens {
  private struct Held {
    let token: [UInt8]
    let endsAtMs: Int64
  }

  private var held: [Int: Held] = [:]

  /// The token of a target, while it may be used.
  func token(for target: Int, atMs nowMs: Int64) -> [UInt8]? {
    guard let held = held[target], held.endsAtMs > nowMs else { return nil }
    return held.token
  }

  mutating func keep(_ token: [UInt8], for target: Int, untilMs endsAtMs: Int64) {
    held[target] = Held(token: token, endsAtMs: endsAtMs)
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
