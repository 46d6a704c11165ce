import Testing

@testable import Gateway

struct TurnShareTests {
  @Test func `is so many requests that are cheap`() {
    var share = TurnShare(turn: 1)
    for _ in 0..<Limits.requestsPerTurn {
      #expect(!share.isUsed(inTurn: 1))
      share.take(authNs: 40_000)
    }
    #expect(share.isUsed(inTurn: 1))
  }

  @Test func `is few that are dear`() {
    var share = TurnShare(turn: 1)
    share.take(authNs: 700_000)
    #expect(!share.isUsed(inTurn: 1))
    share.take(authNs: 700_000)
    #expect(share.isUsed(inTurn: 1))
  }

  @Test func `is had anew each turn`() {
    var share = TurnShare(turn: 1)
    share.take(authNs: 1_000_000_000)
    #expect(share.isUsed(inTurn: 1))
    #expect(!share.isUsed(inTurn: 2))
    #expect(!share.isUsed(inTurn: 2))
  }
}
