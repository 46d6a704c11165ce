import Crypto
import JOSE
import Testing
import Wire

@testable import OAuth

@Suite struct CacheTests {
  let digester: Digester

  init() throws { digester = try Digester() }

  private func key(_ number: Int) -> SHA256Digest { digester.digest(Array("\(number)".utf8)) }

  @Test func `holds no more bytes than it may, whatever comes`() {
    var map = SieveMap<Int>(byteCostMax: 40_000)
    var random = SystemRandomNumberGenerator()
    for number in 0..<20_000 {
      let cost = Int.random(in: 0..<800, using: &random)
      map.insert(key(number % 700), number, byteCost: cost, endsAtMs: 10, nowMs: 0)
      #expect(map.byteCost <= 40_000)
      if number % 3 == 0 { _ = map.find(key(Int.random(in: 0..<700, using: &random)), nowMs: 0) }
      if number % 7 == 0 { map.remove(key(Int.random(in: 0..<700, using: &random))) }
    }
    #expect(map.count > 40)
    map.removeEnded(nowMs: 10)
    #expect(map.count == 0)
    #expect(map.byteCost == 0)
  }

  @Test func `what is used stays while what was seen once goes`() {
    var map = SieveMap<Int>(byteCostMax: 100 * 228)
    for number in 0..<50 { map.insert(key(number), number, byteCost: 100, endsAtMs: 10, nowMs: 0) }
    for round in 0..<40 {
      for number in 0..<50 { #expect(map.find(key(number), nowMs: 0) == number, "round \(round)") }
      let start = 1_000 * (round + 1)
      for number in start..<(start + 40) {
        map.insert(key(number), number, byteCost: 100, endsAtMs: 10, nowMs: 0)
      }
    }
  }

  @Test func `an entry that has ended is not given out`() {
    var map = SieveMap<Int>(byteCostMax: 10_000)
    map.insert(key(1), 1, byteCost: 0, endsAtMs: 100, nowMs: 0)
    #expect(map.find(key(1), nowMs: 99) == 1)
    #expect(map.find(key(1), nowMs: 100) == nil)
    #expect(map.count == 0)
    map.insert(key(1), 1, byteCost: 0, endsAtMs: 100, nowMs: 100)
    map.insert(key(2), 2, byteCost: 3_000, endsAtMs: 100, nowMs: 0)  // more than a quarter
    #expect(map.count == 0)
  }

  @Test func `a value takes the place of the one before`() {
    var map = SieveMap<Int>(byteCostMax: 10_000)
    map.insert(key(1), 1, byteCost: 50, endsAtMs: 100, nowMs: 0)
    map.insert(key(1), 2, byteCost: 70, endsAtMs: 100, nowMs: 0)
    #expect(map.find(key(1), nowMs: 0) == 2)
    #expect(map.count == 1)
    #expect(map.byteCost == 70 + SieveMap<Int>.slotByteCost)
    map.insert(key(1), 3, byteCost: 9_000, endsAtMs: 100, nowMs: 0)
    #expect(map.find(key(1), nowMs: 0) == nil)
  }

  @Test func `eight threads share a cache`() async {
    let cache = ShardedCache<Int>(byteCostMax: 1 << 20)
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<8 {
        group.addTask { @concurrent in
          guard let digester = try? Digester() else { return }
          for number in 0..<2_000 {
            let key = digester.digest(Array("\(number)".utf8))
            if let found = cache.find(key, nowMs: 0) { #expect(found == number) }
            cache.insert(key, number, byteCost: 1_000, endsAtMs: 10, nowMs: 0)
            if (number + worker) % 5 == 0 { cache.remove(key) }
          }
        }
      }
    }
    #expect(cache.byteCost <= 1 << 20)
  }

  @Test func `a verified token goes when its key or its issuer's settings go`() throws {
    let issuer = try TestIssuer()
    let (text, rules) = (try issuer.token(), IssuerRules(.make(), digester: digester))
    let digest = digester.digest(text)
    let cache = VerifiedTokenCache(bytesMax: 1 << 20)
    let token = try issuer.verify(text)
    let backing: (String) -> (IssuerRules, JWKSet)? = { _ in (rules, issuer.keys) }
    func insert() { cache.insert(digest, token, nowMs: nowMs) }

    insert()
    #expect(cache.find(digest, nowMs: nowMs, backing: backing) === token)
    #expect(cache.find(digester.digest(text + [0]), nowMs: nowMs, backing: backing) == nil)
    // Until the end of the issuer's skew.
    #expect(cache.find(digest, nowMs: token.expiresAtMs + 29_999, backing: backing) === token)
    #expect(cache.find(digest, nowMs: token.expiresAtMs + 30_000, backing: backing) == nil)
    let other = try TestIssuer().keys
    let otherRules = IssuerRules(.make(digestInput: [9]), digester: digester)
    for gone: (String) -> (IssuerRules, JWKSet)? in [
      { _ in nil }, { _ in (rules, other) }, { _ in (otherRules, issuer.keys) },
    ] {
      insert()
      #expect(cache.find(digest, nowMs: nowMs, backing: gone) == nil)
      #expect(cache.find(digest, nowMs: nowMs, backing: backing) == nil)
    }
  }

  @Test func `an exchanged token belongs to one token and one target`() {
    let (tokens, targets) = ([key(1), key(2)], [key(3), key(4)])
    var keys: Set<SHA256Digest> = []
    for token in tokens {
      for target in targets {
        keys.insert(ExchangeCache.key(token: token, target: target, digester: digester))
      }
    }
    #expect(keys.count == 4)
  }

  @Test func `tokens are kept for their life and refusals for a moment`() {
    let settings = ExchangeSettings.make().cache
    let cache = ExchangeCache(settings)
    let (end, key) = (nowMs + 600_000, key(1))
    func insert(_ token: IssuedToken) {
      cache.insert(key, token, subjectEndsAtMs: end, nowMs: nowMs)
    }
    insert(IssuedToken([1], endsAtMs: nowMs + 100_000))
    guard case .issued(let kept) = cache.find(key, nowMs: nowMs + 89_999) else {
      Issue.record("kept until its end less the margin")
      return
    }
    #expect(kept.keptAtMs == nowMs)
    #expect(kept.endsAtMs == nowMs + 90_000)
    #expect(cache.find(key, nowMs: nowMs + 90_000) == nil)
    // One that may not be kept also ends what stood there.
    insert(IssuedToken([1], endsAtMs: nowMs + 100_000))
    insert(IssuedToken([2], endsAtMs: nil))
    #expect(cache.find(key, nowMs: nowMs) == nil)

    let denied = ExchangeRefusal(.denied, note: "x", isRemembered: true)
    cache.insert(key, denied, subjectEndsAtMs: end, nowMs: nowMs)
    guard case .refused(let kept, _) = cache.find(key, nowMs: nowMs + 9_999) else {
      Issue.record("remembered for cache.denied")
      return
    }
    #expect(kept == denied)
    #expect(cache.find(key, nowMs: nowMs + 10_000) == nil)
    cache.insert(key, .unreachable("it refused"), subjectEndsAtMs: end, nowMs: nowMs)
    #expect(cache.find(key, nowMs: nowMs) == nil)
  }

  @Test func `a refusal is its credentials', and takes no token's place`() {
    let cache = ExchangeCache(ExchangeSettings.make().cache)
    let denied = ExchangeRefusal(.denied, note: "x", isRemembered: true)
    func refuse(_ credentials: UInt64) {
      cache.insert(
        key(1), denied, credentials: credentials, subjectEndsAtMs: .max, nowMs: nowMs)
    }
    refuse(1)
    #expect(cache.find(key(1), credentials: 1, nowMs: nowMs) != nil)
    #expect(cache.find(key(1), credentials: 2, nowMs: nowMs) == nil)
    refuse(2)
    #expect(cache.find(key(1), credentials: 1, nowMs: nowMs) == nil)
    #expect(cache.find(key(1), credentials: 2, nowMs: nowMs) != nil)
    let token = IssuedToken([1], endsAtMs: nowMs + 100_000)
    cache.insert(key(1), token, subjectEndsAtMs: .max, nowMs: nowMs)
    refuse(1)
    for credentials: UInt64 in [1, 2] {
      guard case .issued = cache.find(key(1), credentials: credentials, nowMs: nowMs) else {
        Issue.record("the token is gone")
        return
      }
    }
  }

  private func keep(
    life: Int64, subject: Int64 = .max, ahead: Double = 0.2
  ) -> (ExchangeCache, KeptToken?) {
    let cache = ExchangeCache(
      ExchangeSettings.Cache(
        sizeBytes: 1 << 20, maxLifeMs: 3_600_000, marginMs: 0, deniedMs: 0, refreshAhead: ahead))
    let kept = cache.insert(
      key(1), IssuedToken([1], endsAtMs: nowMs + life), subjectEndsAtMs: subject, nowMs: nowMs)
    return (cache, kept)
  }

  @Test func `a token is refreshed once, in the last part of its life`() throws {
    for _ in 0..<100 {
      let kept = try #require(keep(life: 100_000).1)
      // A fifth, give or take a tenth of it.
      #expect((nowMs + 78_000...nowMs + 82_000).contains(kept.unaskedUntilMs))
      #expect(!kept.takeRefresh(nowMs: kept.unaskedUntilMs - 1))
      let from = nowMs + 82_000
      #expect(kept.takeRefresh(nowMs: from))
      // By one of all who ask, and again after a while where that brought nothing.
      #expect(!kept.takeRefresh(nowMs: from))
      #expect(!kept.takeRefresh(nowMs: from + 1_999))
      #expect(kept.takeRefresh(nowMs: from + 2_000))
      kept.postponeRefresh(untilMs: from + 10_000)
      #expect(kept.unaskedUntilMs == from + 10_000)
      #expect(!kept.takeRefresh(nowMs: from + 9_999))
    }
  }

  @Test func `no copy is used while a refresh is under way, which may be refused`() throws {
    let kept = try #require(keep(life: 100_000).1)
    let from = nowMs + 82_000
    #expect(kept.takeRefresh(nowMs: from))
    #expect(kept.unaskedUntilMs <= from)
    // It brought nothing: until the next one.
    kept.keepOn()
    #expect(kept.unaskedUntilMs == from + 2_000)
    #expect(kept.takeRefresh(nowMs: from + 2_000))
    #expect(kept.unaskedUntilMs == from + 2_000)
  }

  @Test func `a token that outlives its caller's, or where none is wanted, is never refreshed`()
    throws
  {
    for kept in [
      keep(life: 100_000, subject: nowMs + 100_000).1, keep(life: 100_000, subject: nowMs + 1).1,
      keep(life: 100_000, ahead: 0).1,
    ] {
      let kept = try #require(kept)
      #expect(kept.unaskedUntilMs == kept.endsAtMs)
      #expect(!kept.takeRefresh(nowMs: kept.endsAtMs))
    }
    let almost = try #require(keep(life: 100_000, subject: nowMs + 100_001).1)
    #expect(almost.unaskedUntilMs < almost.endsAtMs)
  }

  @Test func `only the token that was refused is forgotten`() {
    let (cache, _) = keep(life: 100_000)
    cache.remove(key(1), ifTokenIs: [2])
    #expect(cache.count == 1)
    cache.remove(key(1), ifTokenIs: [1])
    #expect(cache.count == 0)
    cache.remove(key(1), ifTokenIs: [1])
  }

  @Test func `survives until half of what it holds has ended`() throws {
    let cache = ExchangeCache(ExchangeSettings.make().cache)
    #expect(cache.survivalMs(nowMs: nowMs) == nil)
    let denied = ExchangeRefusal(.denied, note: "x", isRemembered: true)
    cache.insert(key(0), denied, subjectEndsAtMs: .max, nowMs: nowMs)
    #expect(cache.survivalMs(nowMs: nowMs) == nil)
    for number in 1...999 {
      let token = IssuedToken([1], endsAtMs: nowMs + 10_000 + Int64(number) * 1_000)
      cache.insert(key(number), token, subjectEndsAtMs: .max, nowMs: nowMs)
    }
    // The 500th ends after 500 s; the answer is right to a sixteenth.
    let found = try #require(cache.survivalMs(nowMs: nowMs))
    #expect((500_000...532_000).contains(found))
    #expect(try #require(cache.survivalMs(nowMs: nowMs + 400_000)) < 320_000)
  }

  @Test func `a median is right to a sixteenth, of any durations`() throws {
    var random = SystemRandomNumberGenerator()
    for bits in 1..<40 {
      var histogram = LifeHistogram()
      let lives = (0..<101).map { _ in
        Int64.random(in: 1...(Int64(1) << Int64(bits)), using: &random)
      }
      for life in lives { histogram.add(life) }
      for ended: Int64 in [0, -1, .min] { histogram.add(ended) }
      let exact = lives.sorted()[50]
      let found = try #require(histogram.medianMs)
      #expect(found >= exact && found <= exact + exact / 16 + 1, "\(exact) \(found)")
    }
    var histogram = LifeHistogram()
    histogram.add(.max)
    #expect(try #require(histogram.medianMs) > 1 << 46)
  }
}
