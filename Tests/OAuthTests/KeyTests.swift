import Crypto
import JOSE
import OAuth
import Testing
import Wire

@Suite struct DiscoveryTests {
  private func document(_ json: String) throws(DiscoveryFault) -> DiscoveryDocument {
    try DiscoveryDocument(Array(json.utf8).span, issuer: "https://login.test")
  }

  private func fault(_ json: String) -> DiscoveryFault? {
    do throws(DiscoveryFault) {
      _ = try document(json)
      return nil
    } catch {
      return error
    }
  }

  @Test func `knows where certificates are asked for`() throws {
    let base = #"{"issuer":"https://login.test","token_endpoint":"https://login.test/t""#
    func alias(_ more: String) throws(DiscoveryFault) -> String? {
      try document("\(base)\(more)}").certificateTokenEndpoint.map { "\($0)" }
    }
    #expect(try alias("") == nil)
    #expect(try alias(#","mtls_endpoint_aliases":{}"#) == nil)
    #expect(
      try alias(#","mtls_endpoint_aliases":{"token_endpoint":"https://mtls.login.test/t"}"#)
        == "https://mtls.login.test/t")
    #expect(
      fault(base + #","mtls_endpoint_aliases":{"token_endpoint":"http://mtls.login.test/t"}}"#)
        == .notSecure(member: "token_endpoint"))
  }

  @Test func `gives the endpoints of the issuer that was asked for`() throws {
    let found = try document(
      #"{"issuer":"https://login.test","jwks_uri":"https://keys.test/k?x=1","#
        + #""token_endpoint":"http://127.0.0.1:9000/token","other":[1]}"#)
    #expect(found.keySet?.description == "https://keys.test/k?x=1")
    #expect(found.tokenEndpoint?.description == "http://127.0.0.1:9000/token")
    let empty = try document(#"{"issuer":"https://login.test"}"#)
    #expect(empty.keySet == nil)
    #expect(empty.tokenEndpoint == nil)
  }

  @Test func `another issuer's document is refused, were it but a slash`() {
    for issuer in ["\"https://login.test/\"", "\"https://LOGIN.test\"", "null", "1", "[]"] {
      guard case .issuerDiffers = fault(#"{"issuer":\#(issuer)}"#) else {
        Issue.record("\(issuer)")
        continue
      }
    }
    #expect(fault("{}") == .issuerDiffers(named: nil))
    #expect(fault("[]") == .issuerDiffers(named: nil))
    let other = fault(#"{"issuer":"https://other.example\n"}"#)
    #expect(other == .issuerDiffers(named: "https://other.example\n"))
    #expect(other?.description == #"its issuer is another: "https://other.example\n""#)
    guard case .json = fault("<html>") else {
      Issue.record("a page is no document")
      return
    }
  }

  @Test func `endpoints are https, or on this machine`() {
    func fault(_ url: String) -> DiscoveryFault? {
      self.fault(#"{"issuer":"https://login.test","jwks_uri":\#(url)}"#)
    }
    #expect(fault(#""http://keys.test/k""#) == .notSecure(member: "jwks_uri"))
    #expect(fault(#""http://127.0.0.1.evil.test/k""#) == .notSecure(member: "jwks_uri"))
    for url in ["1", "null", "\"\"", "\"file:///etc/passwd\"", "\"https://u:p@keys.test/\""] {
      #expect(fault(url) == .notAURL(member: "jwks_uri"), "\(url)")
    }
    #expect(fault(#""http://localhost:8080/k""#) == nil)
    #expect(fault(#""http://[::1]:8080/k""#) == nil)
  }
}

@Suite struct KeySetAnswerTests {
  @Test func `only a set with a usable key takes the place of another`() throws {
    let digester = try Digester()
    let good = try TestIssuer().signer.makeKeySet()
    func judge(_ status: Int, _ body: [UInt8]) -> KeySetAnswerFault? {
      do throws(KeySetAnswerFault) {
        _ = try KeySetAnswer.judge(status: status, body: body.span, digester: digester)
        return nil
      } catch {
        return error
      }
    }
    #expect(judge(200, good) == nil)
    for status in [204, 301, 302, 304, 404, 500] { #expect(judge(status, good) == .status(status)) }
    #expect(judge(200, Array("{}".utf8)) == .document(.noKeysMember))
    #expect(judge(200, Array("{\"keys\":[]}".utf8)) == .noUsableKey(skipped: []))
    #expect(
      judge(200, Array("{\"keys\":[{\"kty\":\"oct\"}]}".utf8))
        == .noUsableKey(skipped: ["keys[0]: of a kind that is not used"]))
  }
}

@Suite struct KeyRingTests {
  let keys: JWKSet

  init() throws { keys = try TestIssuer().keys }

  @Test func `without keys a fetch is due at once, then after pauses that double`() {
    var ring = KeyRing(refreshMs: 300_000)
    var now: Int64 = 0
    for pause: Int64 in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
      #expect(ring.isFetchDue(nowMs: now))
      #expect(ring.answer(isKnown: false, nowMs: now) == .fetch)
      ring.beginFetch(nowMs: now, forUnknown: true)
      #expect(!ring.isFetchDue(nowMs: now))
      #expect(ring.answer(isKnown: false, nowMs: now) == .fetch)  // wait for the one under way
      ring.endFetchFailed(nowMs: now)
      #expect(ring.answer(isKnown: false, nowMs: now) == .unavailable)
      #expect(ring.nextFetchAtMs == now + pause)
      now += pause
    }
    ring.beginFetch(nowMs: now, forUnknown: false)
    ring.endFetch(with: keys, nowMs: now)
    #expect(ring.answer(isKnown: true, nowMs: now) == .found)
    #expect(ring.nextFetchAtMs == now + 300_000)
  }

  @Test func `an unknown kid is asked after at once, and then every 30 s at most`() {
    var ring = KeyRing(refreshMs: 300_000)
    ring.beginFetch(nowMs: 0, forUnknown: false)
    ring.endFetch(with: keys, nowMs: 0)
    #expect(ring.answer(isKnown: false, nowMs: 1) == .fetch)
    ring.beginFetch(nowMs: 1, forUnknown: true)
    #expect(ring.answer(isKnown: false, nowMs: 2) == .fetch)
    #expect(ring.answer(isKnown: true, nowMs: 2) == .found)
    ring.endFetch(with: keys, nowMs: 3)
    #expect(ring.answer(isKnown: false, nowMs: 4) == .unknown)
    #expect(ring.answer(isKnown: false, nowMs: 30_000) == .unknown)
    #expect(ring.answer(isKnown: false, nowMs: 30_001) == .fetch)
    ring.beginFetch(nowMs: 30_001, forUnknown: true)
    ring.endFetchFailed(nowMs: 30_002)
    #expect(ring.answer(isKnown: false, nowMs: 30_003) == .unavailable)
    #expect(ring.answer(isKnown: true, nowMs: 30_003) == .found)
    // The refresh that works after it answers for that kid as well.
    ring.beginFetch(nowMs: 40_000, forUnknown: false)
    ring.endFetch(with: keys, nowMs: 40_001)
    #expect(ring.answer(isKnown: false, nowMs: 40_002) == .unknown)
  }

  @Test func `a kid that was looked for in vain is looked for again after the pause`() {
    var ring = KeyRing(refreshMs: 300_000)
    func ask(_ keyID: UTF8Text, _ now: Int64) -> KeyRing.Answer {
      ring.answer(isKnown: false, keyID: keyID, nowMs: now)
    }
    ring.beginFetch(nowMs: 0, forUnknown: false)
    ring.endFetch(with: keys, nowMs: 0)
    #expect(ask("forged", 1) == .fetch)
    ring.beginFetch(nowMs: 1, forUnknown: true)
    ring.endFetch(with: keys, nowMs: 2)
    #expect(ask("forged", 3) == .unknown)
    #expect(ask("forged", 30_000) == .unknown)
    // An issuer may sign by a key before everybody can read it.
    #expect(ask("forged", 30_001) == .fetch)
    #expect(ask("new", 100_000) == .fetch)
    ring.beginFetch(nowMs: 100_000, forUnknown: true)
    // It does not wait for what others had fetched.
    #expect(ask("forged", 100_001) == .unknown)
    #expect(ask("new", 100_001) == .fetch)
    ring.endFetchFailed(nowMs: 100_002)
    #expect(ask("forged", 100_003) == .unknown)
    #expect(ask("new", 100_003) == .unavailable)
    ring.beginFetch(nowMs: 130_002, forUnknown: false)
    ring.endFetch(with: keys, nowMs: 130_003)
    #expect(ask("forged", 130_004) == .fetch)
  }

  @Test func `names that were looked for in vain are remembered within bounds`() {
    var ring = KeyRing(refreshMs: 300_000)
    func ask(_ keyID: String, _ now: Int64) -> KeyRing.Answer {
      ring.answer(isKnown: false, keyID: UTF8Text(keyID), nowMs: now)
    }
    ring.beginFetch(nowMs: 0, forUnknown: true)
    ring.endFetch(with: keys, nowMs: 0)
    ring.beginFetch(nowMs: 1, forUnknown: true)
    ring.endFetch(with: keys, nowMs: 2)
    let long = String(repeating: "k", count: 257)
    for name in (0..<5_000).map({ "\($0)" }) + [long] { #expect(ask(name, 3) == .unknown) }
    ring.beginFetch(nowMs: 40_000, forUnknown: true)
    #expect(ask("1023", 40_001) == .unknown)
    #expect(ask("1024", 40_001) == .fetch)
    #expect(ask(long, 40_001) == .fetch)
  }

  @Test func `a source may have its keys fetched sooner, within bounds, and never later`() {
    for (freshMs, pause) in [
      (nil, 300_000), (0, 30_000), (29_999, 30_000), (60_000, 60_000), (300_001, 300_000),
    ] as [(Int64?, Int64)] {
      var ring = KeyRing(refreshMs: 300_000)
      ring.beginFetch(nowMs: 0, forUnknown: false)
      ring.endFetch(with: keys, freshMs: freshMs, nowMs: 0)
      #expect(ring.nextFetchAtMs == pause)
    }
    var ring = KeyRing(refreshMs: 1_000)
    ring.beginFetch(nowMs: 0, forUnknown: false)
    ring.endFetch(with: keys, freshMs: 0, nowMs: 0)
    #expect(ring.nextFetchAtMs == 1_000)
  }

  @Test func `keys are kept a day while their source is down, and no longer`() {
    var ring = KeyRing(refreshMs: 300_000)
    ring.beginFetch(nowMs: 0, forUnknown: false)
    ring.endFetch(with: keys, nowMs: 0)
    var now: Int64 = 300_000
    while now < KeyRing.keepMs {
      #expect(ring.isFetchDue(nowMs: now))
      ring.beginFetch(nowMs: now, forUnknown: false)
      ring.endFetchFailed(nowMs: now)
      #expect(ring.answer(isKnown: true, nowMs: now) == .found)
      now = ring.nextFetchAtMs
    }
    #expect(!ring.hasKeys(nowMs: KeyRing.keepMs))
    #expect(ring.usableKeys(nowMs: KeyRing.keepMs) == nil)
    #expect(ring.answer(isKnown: false, nowMs: now) == .fetch)
    ring.beginFetch(nowMs: now, forUnknown: true)
    ring.endFetchFailed(nowMs: now)
    #expect(ring.answer(isKnown: false, nowMs: now) == .unavailable)
  }

  @Test func `keys from a file are never fetched`() {
    var ring = KeyRing(keys: keys)
    #expect(!ring.isFetchDue(nowMs: .max - 1))
    #expect(ring.answer(isKnown: true, nowMs: KeyRing.keepMs * 2) == .found)
    #expect(ring.answer(isKnown: false, nowMs: 0) == .unknown)
  }
}

@Suite struct CacheControlTests {
  private static let examples: [(String, Int64?)] = [
    ("", nil), ("public", nil), ("max-age=60", 60_000), ("public, max-age=60", 60_000),
    ("MAX-AGE=60", 60_000), ("max-age=\"60\"", 60_000), ("max-age = 60", 60_000),
    ("max-age=60, max-age=30", 30_000), ("max-age=60,no-store", 0), ("no-cache", 0),
    ("max-age=", 0), ("max-age=-1", 0), ("max-age=x", 0), ("max-age", 0),
    ("max-age=99999999999999999999", 0), ("max-age=4294967296", 31_536_000_000),
    ("s-maxage=5", nil), ("x-max-age=5", nil), (" , max-age=5 ,", 5_000),
    ("private=\"a, max-age=5\"", nil), ("private=\"a, no-store\", max-age=7", 7_000),
    ("no-store, max-age=60", 0),
  ]

  @Test(arguments: examples)
  func `says how long an answer stays fresh`(_ value: String, _ expected: Int64?) {
    #expect(CacheControl.freshMs(Array(value.utf8)) == expected)
  }
}
