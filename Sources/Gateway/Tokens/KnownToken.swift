import Crypto
import HTTP
import OAuth
import Reactor
import Wire

/// What a worker knows of a token that was verified: its own copy, so that workers serving the same
/// caller do not fight over reference counts.
final class KnownToken {
  let digest: SHA256Digest
  let issuer: Int
  /// When the token ends without skew, and with it; milliseconds since 1970.
  let expiresAtMs: Int64
  let graceEndsAtMs: Int64
  /// The keys that it was verified with; others make it void.
  let keysGeneration: UInt64
  let identity: Identity.Kind
  let scopes: [UTF8Text]
  /// Parts of its access log line, as JSON.
  let issuerNameJSON: [UInt8]
  let jtiJSON: [UInt8]
  let claimsJSON: [UInt8]
  let identityJSON: [UInt8]
  let identityRuleJSON: [UInt8]
  /// What all workers share; for what is rare.
  let verified: VerifiedToken

  /// Tokens issued for it, by target; a few, the oldest gives way.
  private var issued: [(target: Int, token: [UInt8], endsAtMs: Int64)] = []
  private var nextVictim = 0
  private static let issuedMax = 8

  init(
    _ verified: VerifiedToken, digest: SHA256Digest, issuer: Int, keysGeneration: UInt64,
    claims: [LoggedClaim], digester: Digester
  ) {
    self.verified = verified
    self.digest = digest
    self.issuer = issuer
    self.keysGeneration = keysGeneration
    expiresAtMs = verified.expiresAtMs
    graceEndsAtMs = NumericDate.sum(verified.expiresAtMs, verified.clockSkewMs)
    identity = verified.identity.kind
    scopes = verified.scopes.map { UTF8Text($0.bytes.map { $0 }) }
    issuerNameJSON = Self.json(verified.issuerName)
    jtiJSON = verified.tokenID.map { Self.json($0) } ?? []
    identityJSON = Self.json(verified.identity.kind.rawValue)
    identityRuleJSON = verified.identity.rule.map { Self.json($0) } ?? []
    claimsJSON = LoggedClaims.json(claims, of: verified, digester)
  }

  /// Whether it has ended, on a route that exchanges or on one that doesn't.
  func isExpired(atMs nowMs: Int64, exchanging: Bool) -> Bool {
    nowMs >= (exchanging ? expiresAtMs : graceEndsAtMs)
  }

  /// The token issued for `target`, while it may be used.
  func issuedToken(for target: Int, atMs nowMs: Int64) -> [UInt8]? {
    for entry in issued where entry.target == target {
      return entry.endsAtMs > nowMs ? entry.token : nil
    }
    return nil
  }

  /// Keeps a token issued for `target`.
  func keep(_ token: [UInt8], for target: Int, untilMs endsAtMs: Int64) {
    let entry = (target, token, endsAtMs)
    if let index = issued.firstIndex(where: { $0.target == target }) {
      issued[index] = entry
    } else if issued.count < Self.issuedMax {
      issued.append(entry)
    } else {
      issued[nextVictim] = entry
      nextVictim = (nextVictim + 1) % Self.issuedMax
    }
  }

  private static func json(_ text: UTF8Text) -> [UInt8] {
    var json: [UInt8] = []
    JSONWriter.appendString(text, to: &json)
    return json
  }

  private static func json(_ text: String) -> [UInt8] { json(UTF8Text(text)) }
}

/// The claims that the routes file wants in the access log.
enum LoggedClaims {
  /// Values longer than this are cut.
  private static let valueBytesMax = 256

  /// The members, without braces: `"client_id":"a","sub":"5f2c…"`; empty where the token has none.
  static func json(
    _ claims: [LoggedClaim], of token: VerifiedToken, _ digester: Digester
  ) -> [UInt8] {
    var json: [UInt8] = []
    for logged in claims {
      guard let node = logged.claim.value(in: token.claims), let value = text(of: node) else {
        continue
      }
      if !json.isEmpty { json.append(UInt8(ascii: ",")) }
      JSONWriter.appendString(logged.claim.text, to: &json)
      json.append(UInt8(ascii: ":"))
      if logged.isHashed {
        let digest = digester.digest(token.issuer.bytes + [0] + value)
        JSONWriter.appendString(String(digest.description.prefix(16)), to: &json)
      } else {
        JSONWriter.appendString(Array(value.prefix(valueBytesMax)), to: &json)
      }
    }
    return json
  }

  private static func text(of node: JSONNode) -> [UInt8]? {
    switch node.value {
    case .string(let text): text.bytes
    case .number(let number): number.text.bytes
    case .bool(let flag): Array((flag ? "true" : "false").utf8)
    case .null, .array, .object: nil
    }
  }
}

/// One worker's tokens: a small set-associative table, so that a token known here costs one look
/// and nothing shared.
final class WorkerTokens {
  private var sets: [[KnownToken]]
  private var victims: [UInt8]
  private let mask: UInt64

  init() {
    let count = Limits.workerTokens / Limits.workerTokenWays
    sets = [[KnownToken]](repeating: [], count: count)
    victims = [UInt8](repeating: 0, count: count)
    mask = UInt64(count - 1)
  }

  subscript(digest: SHA256Digest) -> KnownToken? {
    for token in sets[Int(digest.words.0 & mask)] where token.digest == digest { return token }
    return nil
  }

  func insert(_ token: KnownToken) {
    let index = Int(token.digest.words.0 & mask)
    if let old = sets[index].firstIndex(where: { $0.digest == token.digest }) {
      sets[index][old] = token
    } else if sets[index].count < Limits.workerTokenWays {
      sets[index].append(token)
    } else {
      sets[index][Int(victims[index])] = token
      victims[index] = (victims[index] + 1) % UInt8(Limits.workerTokenWays)
    }
  }

  func remove(_ digest: SHA256Digest) {
    sets[Int(digest.words.0 & mask)].removeAll { $0.digest == digest }
  }
}
