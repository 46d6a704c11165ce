import Crypto
import HTTP
import OAuth
import Reactor
import Wire

/// What a worker knows of a token that was verified: its own copy, so that workers serving the same
/// caller do not fight over reference counts.
///
/// What each request looks at comes first, side by side: with thousands of callers it is in no
/// cache, and each line of it costs more than all that is done with it.
final class KnownToken {
  let digest: SHA256Digest
  /// When the token ends, without skew; milliseconds since 1970.
  let expiresAtMs: Int64
  /// The keys that it was verified with; others make it void.
  let keysGeneration: UInt64
  let identity: Identity.Kind
  /// The token issued last, in the object itself: most callers want one service.
  private var recent: Issued?
  /// Of its access log line.
  var logged: LoggedCaller
  let issuer: Int
  /// When the token ends with skew.
  let graceEndsAtMs: Int64
  /// The certificate that a caller with this token must have shown.
  let binding: SHA256Digest?
  let scopes: [UTF8Text]
  /// What all workers share; for what is rare.
  let verified: VerifiedToken
  /// Made when it is first wanted: most callers are people, who have none.
  lazy var clientID = ClientID(of: self)
  /// The claims that fields and limits are made of.
  private var claimFields = ClaimFields()

  /// Those issued for other targets; a few, the oldest gives way.
  private var others: [Issued] = []
  private var nextVictim = 0
  /// The claim rules that this token was held against, and those of them that hold.
  private var rulesAsked: UInt64 = 0
  private var rulesHeld: UInt64 = 0
  private static let othersMax = 7

  private struct Issued {
    let target: Int
    let held: HeldToken
    let endsAtMs: Int64
  }

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
    binding = verified.binding
    scopes = verified.scopes.map { UTF8Text($0.bytes.map { $0 }) }
    logged = LoggedCaller(verified, claims: claims, digester: digester)
  }

  /// Whether it has ended, on a route that exchanges or on one that doesn't.
  func isExpired(atMs nowMs: Int64, exchanging: Bool) -> Bool {
    nowMs >= (exchanging ? expiresAtMs : graceEndsAtMs)
  }

  /// Whether its claims are what these rules ask. The answer never changes, so it is kept.
  func holds(_ rules: ClaimRules) -> Bool {
    if rulesAsked & rules.bit != 0 { return rulesHeld & rules.bit != 0 }
    let holds = rules.hold(for: verified)
    rulesAsked |= rules.bit
    if holds { rulesHeld |= rules.bit }
    return holds
  }

  /// What a claim says in a field; nil where the token has none, or one that is not one value.
  func field(_ claim: FieldClaim) -> [UInt8]? { claimFields.value(of: claim, in: verified) }

  /// The token issued for `target`, while it may be used without asking for news of it.
  func issuedToken(for target: Int, atMs nowMs: Int64) -> HeldToken? {
    if let recent, recent.target == target { return recent.endsAtMs > nowMs ? recent.held : nil }
    for entry in others where entry.target == target {
      return entry.endsAtMs > nowMs ? entry.held : nil
    }
    return nil
  }

  /// Keeps a token issued for `target`.
  func keep(_ held: HeldToken, for target: Int, untilMs endsAtMs: Int64) {
    others.removeAll { $0.target == target }
    if let recent, recent.target != target {
      if others.count < Self.othersMax {
        others.append(recent)
      } else {
        others[nextVictim] = recent
        nextVictim = (nextVictim + 1) % Self.othersMax
      }
    }
    recent = Issued(target: target, held: held, endsAtMs: endsAtMs)
  }

  /// Forgets this token of `target`, and no other.
  func forget(_ token: [UInt8], for target: Int) {
    if let recent, recent.target == target, recent.held.token == token { self.recent = nil }
    others.removeAll { $0.target == target && $0.held.token == token }
    nextVictim = 0
  }
}

/// A token obtained for a service, as a worker holds it.
struct HeldToken {
  let token: [UInt8]
  /// When it was issued to us; `Int64.max` of one that is used once.
  let keptAtMs: Int64
}

/// One worker's tokens: a small set-associative table, so that a token known here costs one look
/// and nothing shared. The first words of a set's digests share a cache line.
final class WorkerTokens {
  private var tags: [UInt64]
  private var entries: [KnownToken?]
  private var victims: [UInt8]
  private let mask: UInt64

  private static let ways = Limits.workerTokenWays

  init() {
    let sets = Limits.workerTokens / Self.ways
    tags = [UInt64](repeating: 0, count: Limits.workerTokens)
    entries = [KnownToken?](repeating: nil, count: Limits.workerTokens)
    victims = [UInt8](repeating: 0, count: sets)
    mask = UInt64(sets - 1)
  }

  subscript(digest: SHA256Digest) -> KnownToken? {
    let start = first(of: digest)
    for index in start..<(start + Self.ways) where tags[index] == digest.words.0 {
      if let token = entries[index], token.digest == digest { return token }
    }
    return nil
  }

  func insert(_ token: KnownToken) {
    let start = first(of: token.digest)
    let places = start..<(start + Self.ways)
    let place: Int
    if let same = places.first(where: { entries[$0]?.digest == token.digest }) {
      place = same
    } else if let empty = places.first(where: { entries[$0] == nil }) {
      place = empty
    } else {
      let set = start / Self.ways
      place = start + Int(victims[set])
      victims[set] = (victims[set] + 1) % UInt8(Self.ways)
    }
    tags[place] = token.digest.words.0
    entries[place] = token
  }

  func remove(_ digest: SHA256Digest) {
    let start = first(of: digest)
    for index in start..<(start + Self.ways) where entries[index]?.digest == digest {
      entries[index] = nil
      tags[index] = 0
    }
  }

  private func first(of digest: SHA256Digest) -> Int {
    // Another word than the tag, so that the tag tells a set's entries apart.
    Int(digest.words.1 & mask) * Self.ways
  }
}
