import Crypto
import OAuth
import TestSupport
import Testing
import Wire

@testable import Gateway

struct KnownTokenTests {
  private func held(_ byte: UInt8) -> HeldToken { HeldToken(token: [byte], keptAtMs: 0) }

  @Test func `forgets the token that was refused, and no other`() throws {
    let known = try TestIssuer().known()
    for target in 0..<8 { known.keep(held(UInt8(target)), for: target, untilMs: 100) }
    known.forget([3], for: 4)
    known.forget([9], for: 7)
    #expect((0..<8).allSatisfy { known.issuedToken(for: $0, atMs: 0) != nil })
    known.forget([7], for: 7)
    known.forget([3], for: 3)
    #expect((0..<8).filter { known.issuedToken(for: $0, atMs: 0) == nil } == [3, 7])
    for target in 10..<14 { known.keep(held(UInt8(target)), for: target, untilMs: 100) }
    #expect((10..<14).allSatisfy { known.issuedToken(for: $0, atMs: 0) != nil })
  }

  @Test func `keeps what was issued for each target until it ends`() throws {
    let known = try TestIssuer().known()
    #expect(known.issuedToken(for: 1, atMs: 0)?.token == nil)
    known.keep(held(1), for: 1, untilMs: 100)
    known.keep(held(2), for: 2, untilMs: 200)
    #expect(known.issuedToken(for: 1, atMs: 99)?.token == [1])
    #expect(known.issuedToken(for: 1, atMs: 100)?.token == nil)
    #expect(known.issuedToken(for: 2, atMs: 100)?.token == [2])
    #expect(known.issuedToken(for: 3, atMs: 0)?.token == nil)
    known.keep(held(3), for: 1, untilMs: 300)
    #expect(known.issuedToken(for: 1, atMs: 299)?.token == [3])
  }

  @Test func `keeps a few, and the oldest gives way`() throws {
    let known = try TestIssuer().known()
    for target in 0..<30 {
      known.keep(held(UInt8(target)), for: target, untilMs: 1_000)
      let held = (0...target).filter { known.issuedToken(for: $0, atMs: 0) != nil }
      #expect(held == Array(max(0, target - 7)...target))
    }
  }

  @Test func `ends without skew where it is exchanged`() throws {
    let issuer = try TestIssuer()
    let known = try issuer.known()
    let end = known.expiresAtMs
    #expect(known.graceEndsAtMs == end + 30_000)
    #expect(!known.isExpired(atMs: end - 1, exchanging: true))
    #expect(known.isExpired(atMs: end, exchanging: true))
    #expect(!known.isExpired(atMs: end + 29_999, exchanging: false))
    #expect(known.isExpired(atMs: end + 30_000, exchanging: false))
  }

  @Test func `writes its part of the log as JSON, hashed where that is wanted`() throws {
    let issuer = try TestIssuer()
    let claims = [
      LoggedClaim(claim: ClaimName(member: "client_id"), isHashed: false),
      LoggedClaim(claim: ClaimName(member: "sub"), isHashed: true),
      LoggedClaim(claim: ClaimName(member: "odd"), isHashed: false),
      LoggedClaim(claim: ClaimName(member: "number"), isHashed: false),
      LoggedClaim(claim: ClaimName(member: "list"), isHashed: false),
      LoggedClaim(claim: ClaimName(member: "absent"), isHashed: false),
      LoggedClaim(claim: ClaimName(member: "long"), isHashed: false),
    ]
    let long = String(repeating: "ü", count: 300)
    let known = try issuer.known(
      claims: claims,
      tokenClaims: #","odd":"\"},\u0000\n","number":1e2,"list":["a"],"long":"\#(long)""#)
    let json = try JSONParser(.strict, bytesMax: 1 << 16)
      .parse(Array("{".utf8) + known.logged.claims + Array("}".utf8))
    #expect(json.members?.map(\.name.string) == ["client_id", "sub", "odd", "number", "long"])
    #expect(json.text("client_id") == "app")
    #expect(json.text("odd") == "\"},\u{0}\n")
    #expect(json.text("number") == "1e2")
    #expect(try #require(json.text("long")).utf8.count <= 260)
    let hash = issuer.digester.digest(Array("https://login.example.com\0user-1".utf8))
    #expect(json.text("sub") == String(hash.description.prefix(16)))
  }
}

struct WorkerTokensTests {
  @Test func `finds what was put in, by all of its digest`() throws {
    let issuer = try TestIssuer()
    let tokens = WorkerTokens()
    // The same set, and alike in all but the last byte.
    let known = try (0..<4).map { try issuer.known(digest: .make(7, UInt8($0))) }
    for token in known { tokens.insert(token) }
    for token in known { #expect(tokens[token.digest] === token) }
    #expect(tokens[.make(7, 9)] == nil)
    #expect(tokens[.make(8, 0)] == nil)
    tokens.remove(known[1].digest)
    #expect(tokens[known[1].digest] == nil)
    #expect(tokens[known[2].digest] === known[2])
  }

  @Test func `a newer one of the same digest takes the older one's place`() throws {
    let issuer = try TestIssuer()
    let tokens = WorkerTokens()
    let old = try issuer.known(digest: .make(7, 0))
    let new = try issuer.known(digest: .make(7, 0), generation: 1)
    tokens.insert(old)
    tokens.insert(new)
    #expect(tokens[new.digest] === new)
    tokens.remove(new.digest)
    #expect(tokens[new.digest] == nil)
  }

  @Test func `a full set forgets its oldest, and no other set anything`() throws {
    let issuer = try TestIssuer()
    let tokens = WorkerTokens()
    let other = try issuer.known(digest: .make(8, 0))
    tokens.insert(other)
    let ways = Limits.workerTokenWays
    let many = try (0..<(3 * ways)).map { try issuer.known(digest: .make(7, UInt8($0))) }
    for (index, token) in many.enumerated() {
      tokens.insert(token)
      let held = many[...index].filter { tokens[$0.digest] != nil }
      #expect(held.map(\.digest) == many[max(0, index + 1 - ways)...index].map(\.digest))
    }
    #expect(tokens[other.digest] === other)
  }

  @Test func `sets are chosen by a word's low bits, so all are used`() throws {
    let issuer = try TestIssuer()
    let tokens = WorkerTokens()
    let sets = UInt64(Limits.workerTokens / Limits.workerTokenWays)
    let first = try issuer.known(digest: .make(5, 0))
    tokens.insert(first)
    for index in 1...UInt64(Limits.workerTokenWays) {
      tokens.insert(try issuer.known(digest: .make(5 + index * sets, 0)))
    }
    // They fell into its set, and it was the oldest.
    #expect(tokens[first.digest] == nil)
  }
}
