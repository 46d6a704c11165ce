import Crypto
import Testing
import Wire

@testable import OAuth

struct TokenSealTests {
  private static let first = [UInt8](repeating: 1, count: 32)
  private static let second = [UInt8](repeating: 2, count: 32)
  private let digester: Digester
  private let key: SHA256Digest
  private let other: SHA256Digest

  init() throws {
    digester = try Digester()
    key = digester.digest(Array("one caller's token and target".utf8))
    other = digester.digest(Array("another's".utf8))
  }

  private func seal(_ secrets: [UInt8]...) throws -> TokenSeal {
    try #require(TokenSeal(keys: try secrets.map { try SharedKey($0) }))
  }

  private func token(endsInMs: Int64 = 60_000) -> IssuedToken {
    IssuedToken(Array("a.token".utf8), endsAtMs: nowMs + endsInMs)
  }

  private func opened(
    _ seal: TokenSeal, _ sealed: [UInt8], for key: SHA256Digest, atMs: Int64 = nowMs
  ) -> String {
    switch seal.open(sealed, for: key, nowMs: atMs) {
    case .token(let token): String(decoding: token.bytes, as: UTF8.self)
    case .ended: "ended"
    case .unreadable: "unreadable"
    }
  }

  @Test func `gives a token back as it was, with both of its ends`() throws {
    let seal = try seal(Self.first)
    let sealed = try seal.seal(token(), keptUntilMs: nowMs + 50_000, for: key)
    guard case .token(let token) = seal.open(sealed, for: key, nowMs: nowMs) else {
      Issue.record("does not open")
      return
    }
    #expect(token.bytes == Array("a.token".utf8))
    #expect(token.endsAtMs == nowMs + 60_000)
    #expect(token.sharedUntilMs == nowMs + 50_000)
  }

  @Test func `passing a token on does not make it live longer`() throws {
    let settings = ExchangeSettings.make().cache
    let seal = try seal(Self.first)
    let issued = token(endsInMs: 3_600_000)
    let keptUntilMs = try #require(
      issued.keptUntilMs(nowMs: nowMs, subjectEndsAtMs: nowMs + 3_600_000, settings))
    let sealed = try seal.seal(issued, keptUntilMs: keptUntilMs, for: key)
    let laterMs = keptUntilMs - 1_000
    guard case .token(let shared) = seal.open(sealed, for: key, nowMs: laterMs) else {
      Issue.record("does not open")
      return
    }
    #expect(
      shared.keptUntilMs(nowMs: laterMs, subjectEndsAtMs: nowMs + 3_600_000, settings)
        == keptUntilMs)
    #expect(opened(seal, sealed, for: key, atMs: keptUntilMs) == "ended")
    #expect(opened(seal, sealed, for: key, atMs: keptUntilMs + 1) == "ended")
    let wrong = try seal.seal(issued, keptUntilMs: .max, for: key)
    #expect(opened(seal, wrong, for: key, atMs: nowMs + 3_600_000) == "ended")
  }

  @Test func `opens for nobody else, and not with any bit changed`() throws {
    let seal = try seal(Self.first)
    let sealed = try seal.seal(token(), keptUntilMs: nowMs + 50_000, for: key)
    #expect(opened(seal, sealed, for: key) == "a.token")
    #expect(opened(seal, sealed, for: other) == "unreadable")
    for bit in 0..<sealed.count * 8 {
      var changed = sealed
      changed[bit / 8] ^= UInt8(1) << UInt8(bit % 8)
      #expect(opened(seal, changed, for: key) == "unreadable", "bit \(bit)")
    }
    for count in 0..<sealed.count {
      #expect(opened(seal, Array(sealed[..<count]), for: key) == "unreadable", "\(count) bytes")
    }
  }

  @Test func `seals with the first key and opens with all`() throws {
    let (old, both, turned, new) = (
      try seal(Self.first), try seal(Self.first, Self.second), try seal(Self.second, Self.first),
      try seal(Self.second)
    )
    let byFirst = try both.seal(token(), keptUntilMs: nowMs + 1, for: key)
    let bySecond = try turned.seal(token(), keptUntilMs: nowMs + 1, for: key)
    for seal in [old, both, turned] { #expect(opened(seal, byFirst, for: key) == "a.token") }
    for seal in [both, turned, new] { #expect(opened(seal, bySecond, for: key) == "a.token") }
    #expect(opened(new, byFirst, for: key) == "unreadable")
    #expect(opened(old, bySecond, for: key) == "unreadable")
  }

  @Test func `names an entry by each key, and differently for each caller`() throws {
    let (old, turned) = (try seal(Self.first), try seal(Self.second, Self.first))
    let names = try turned.names(of: key)
    #expect(names.count == 2 && names[0] != names[1])
    #expect(try old.names(of: key) == [names[1]])
    #expect(try old.names(of: other) != [names[1]])
    for name in names { #expect(name.count == 11 + 1 + 43 + 1) }
    #expect(TokenSeal(keys: []) == nil)
  }

  @Test func `keeps nothing readable`() throws {
    let sealed = try seal(Self.first).seal(token(), keptUntilMs: nowMs + 1, for: key)
    let text = String(decoding: sealed, as: UTF8.self)
    #expect(!text.contains("token"))
    var dumped = ""
    dump(try SharedKey(Self.first), to: &dumped)
    #expect(dumped.contains("redacted") && !dumped.contains("["))
  }

  @Test func `reads keys as people keep them`() {
    let raw = (0..<32).map { UInt8($0 * 7) }
    let newlineAtTheEnd = Array(raw.dropLast()) + [0x0A]
    let base64 = Base64.encode(raw)
    let hex = Hex.encode(raw.span)
    for kept in [raw, raw + [0x0A], hex, hex + [0x0A], base64, base64 + [0x0D, 0x0A]] {
      #expect(SharedKey.decode(kept) == raw)
    }
    #expect(SharedKey.decode(Base64URL.encode(raw)) == raw)
    #expect(SharedKey.decode(newlineAtTheEnd) == newlineAtTheEnd)
    for kept in [[], Array(raw.dropLast()), raw + [1], Array(hex.dropLast()), hex + hex] {
      #expect(SharedKey.decode(kept) == nil)
    }
    #expect(SharedKey.decode(Base64.encode(raw + [1])) == nil)
    #expect(SharedKey.decode(Array(String(repeating: "x", count: 64).utf8)) == nil)
  }
}
