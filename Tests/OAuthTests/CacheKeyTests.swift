import Crypto
import OAuth
import TestSupport
import Testing
import Wire

/// What decides which exchanged token is meant: two that differ in any of it must never share one.
private struct Target: Hashable {
  var service: UTF8Text = ""
  var client: UTF8Text = ""
  var lists: [[UTF8Text]] = [[], [], []]  // audiences, resources, scopes
  var subjectType: UTF8Text = ""
  var requestedType: UTF8Text?
  var parameters: [ExchangeSettings.Parameter] = []
  var verification = ExchangeSettings.Verification(audience: .requested, subject: .same)

  func digest(_ digester: Digester) -> SHA256Digest {
    let settings = ExchangeSettings.make(
      client: ClientAuthentication(id: client, method: .basic(Secret([], origin: .literal))),
      subjectTokenType: subjectType, requestedTokenType: requestedType, parameters: parameters,
      verify: verification)
    return TargetDigest.make(
      settings, tokenService: service,
      target: ExchangeTarget(audiences: lists[0], resources: lists[1], scopes: lists[2]),
      digester: digester)
  }
}

/// Targets of few and treacherous texts, each a small step from the one before.
private struct Targets {
  var random: SplitMix64
  var target = Target()

  /// Words of the digest's own, lengths as it writes them, separators, and next to nothing.
  private static let texts: [UTF8Text] =
    [
      "", "", "a", "a", "b", "ab", "ba", " ", "a b", ",", "&", "=", "any", "list", "requested",
      "same", "claims", "token-exchange", "tollgate target 1", "é", "e\u{301}",
    ] + [0, 1, 2, 8].map { UTF8Text([UInt8](repeating: 0, count: 7) + [$0]) }

  mutating func text() -> UTF8Text {
    let text = random.pick(Self.texts)
    return random.once(in: 4) ? UTF8Text(text.bytes + random.pick(Self.texts).bytes) : text
  }

  mutating func next() -> Target {
    for _ in 0..<random.number(in: 1...2) { step() }
    return target
  }

  private mutating func step() {
    let list = random.number(in: 0...2)
    switch random.number(in: 0...11) {
    case 0: target.service = text()
    case 1: target.client = text()
    case 2: target.subjectType = text()
    case 3: target.requestedType = random.once(in: 2) ? nil : text()
    case 4: target.lists[list].append(text())
    case 5: if !target.lists[list].isEmpty { target.lists[list].removeLast() }
    case 6: target.lists[list].shuffle(using: &random)
    case 7:  // from one list into another
      if let moved = target.lists[list].popLast() { target.lists[(list + 1) % 3].append(moved) }
    case 8: moveBytes(in: list)
    case 9: swap(&target.service, &target.client)
    case 10: stepParameters()
    default: stepVerification()
    }
    for list in 0...2 where target.lists[list].count > 3 { target.lists[list].removeFirst() }
  }

  /// The same bytes, divided in another way.
  private mutating func moveBytes(in list: Int) {
    let bytes = target.lists[list].flatMap(\.bytes)
    guard !bytes.isEmpty else { return }
    let cut = random.number(in: 0...bytes.count)
    target.lists[list] = [UTF8Text(Array(bytes[..<cut])), UTF8Text(Array(bytes[cut...]))]
  }

  private mutating func stepParameters() {
    if random.once(in: 2) {
      target.parameters = target.parameters.map { .init(name: $0.value, value: $0.name) }
    } else if target.parameters.count < 3 {
      target.parameters.append(.init(name: text(), value: text()))
    } else {
      target.parameters.removeFirst()
    }
  }

  private mutating func stepVerification() {
    typealias Verification = ExchangeSettings.Verification
    let audience: Verification.Audience =
      switch random.number(in: 0...2) {
      case 0: .requested
      case 1: .list((0...random.number(in: 0...2)).map { _ in text() })
      default: .any
      }
    let subject: Verification.Subject =
      switch random.number(in: 0...2) {
      case 0: .same
      case 1: .claims(caller: ClaimName(member: text()), issued: ClaimName(member: text()))
      default: .any
      }
    target.verification = Verification(audience: audience, subject: subject)
  }
}

@Suite struct CacheKeyTests {
  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func `two targets that differ in anything never share a digest`(_ seed: UInt64) throws {
    let digester = try Digester()
    var targets = Targets(random: SplitMix64(seed: seed))
    var seen: [SHA256Digest: Target] = [:]
    for _ in 0..<5_000 {
      let target = targets.next()
      let digest = target.digest(digester)
      let other = seen.updateValue(target, forKey: digest)
      #expect(other == nil || other == target, "seed \(seed)")
      #expect(target.digest(digester) == digest, "seed \(seed)")
    }
    // Equal targets come back now and then, and only they have equal digests.
    #expect(seen.count == Set(seen.values).count, "seed \(seed)")
    #expect(seen.count > 2_000, "seed \(seed)")
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func `two tokens never share a cached exchange, whatever their targets`(_ seed: UInt64) throws {
    let digester = try Digester()
    var random = SplitMix64(seed: seed)
    // Tokens and targets of the same few digests: one in the other's place is another key.
    let digests = (0..<40).map { _ in
      digester.digest((0..<random.number(in: 0...3)).map { _ in UInt8(random.number(in: 0...2)) })
    }
    let distinct = Array(Set(digests))
    var keys: Set<SHA256Digest> = []
    for token in distinct {
      for target in distinct {
        let key = ExchangeCache.key(token: token, target: target, digester: digester)
        #expect(keys.insert(key).inserted, "seed \(seed)")
        #expect(key != token && key != target, "seed \(seed)")
      }
    }
    #expect(keys.count == distinct.count * distinct.count)
  }
}
