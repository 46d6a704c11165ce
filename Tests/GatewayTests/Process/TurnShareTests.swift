import Testing

@testable import Gateway

struct TurnShareTests {
  /// How many requests a turn lets through whose tokens take so long.
  private func requests(_ authNs: Int64, of share: inout TurnShare, turn: UInt64) -> Int {
    var count = 0
    while !share.isUsed(inTurn: turn) {
      share.take(authNs: authNs)
      count += 1
    }
    return count
  }

  @Test func `is so many requests that are cheap, and few that are dear`() {
    let all = Limits.requestsPerTurn
    let rows = [(0, all), (40_000, all), (100_000, all / 2), (700_000, 2), (1_000_000_000, 1)]
    for (authNs, wanted) in rows {
      var share = TurnShare(turn: 1)
      let count = requests(Int64(authNs), of: &share, turn: 1)
      #expect(count == wanted, "\(authNs) ns")
    }
  }

  @Test func `is one request where turns are tight`() {
    var share = TurnShare(turn: 1)
    let isUsedBefore = share.isUsed(inTurn: 1, isTight: true)
    share.take(authNs: 0)
    let isUsed = share.isUsed(inTurn: 1, isTight: true)
    let isUsedNext = share.isUsed(inTurn: 2, isTight: true)
    #expect(!isUsedBefore && isUsed && !isUsedNext)
  }

  @Test func `is had anew each turn`() {
    var share = TurnShare(turn: 1)
    let first = requests(1_000_000_000, of: &share, turn: 1)
    let second = requests(0, of: &share, turn: 2)
    #expect((first, second) == (1, Limits.requestsPerTurn))
  }
}
