import Crypto
import Testing

@testable import Gateway

private let second: Int64 = 1_000_000_000

private func take(_ number: UInt64, burst: Int64 = 1, interval: Int64 = second) -> RateTake {
  RateTake(
    key: .make(number, UInt8(truncatingIfNeeded: number)), intervalNs: interval,
    toleranceNs: interval * (burst - 1))
}

struct RateTableTests {
  @Test func `so many at once, then one after the other`() {
    let table = RateTable()
    let take = take(1, burst: 3)
    #expect((0..<3).map { _ in table.take(take, nowNs: 0) } == [0, 0, 0])
    #expect(table.take(take, nowNs: 0) == second)
    // Who is refused takes nothing.
    #expect(table.take(take, nowNs: second / 4) == 3 * second / 4)
    #expect(table.take(take, nowNs: second) == 0)
    #expect(table.take(take, nowNs: second) == second)
    // Nothing is saved beyond the burst.
    #expect((0..<4).map { _ in table.take(take, nowNs: 100 * second) } == [0, 0, 0, second])
  }

  @Test func `what is given back is there again`() {
    let table = RateTable()
    #expect(table.take(take(1), nowNs: 0) == 0)
    #expect(table.take(take(1), nowNs: 0) == second)
    table.giveBack(take(1))
    #expect(table.take(take(1), nowNs: 0) == 0)
    table.giveBack(take(7))
  }

  @Test func `at no time are there more in a stretch than the rate and the burst allow`() {
    let table = RateTable()
    let take = take(1, burst: 5, interval: 100)
    var random: UInt64 = 12_345
    var taken: [Int64] = []
    var now: Int64 = 0
    for _ in 0..<20_000 {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      now += Int64(random >> 33) % 120
      if table.take(take, nowNs: now) == 0 { taken.append(now) }
    }
    #expect(taken.count > 1_000)
    for (index, start) in taken.enumerated() {
      let count = taken[index...].prefix { $0 < start + 1_000 }.count
      #expect(count <= 5 + 10)
    }
  }

  @Test func `callers don't count for each other`() {
    let table = RateTable()
    for number in 0..<100 { #expect(table.take(take(UInt64(number)), nowNs: 0) == 0) }
    for number in 0..<100 { #expect(table.take(take(UInt64(number)), nowNs: 0) == second) }
  }

  @Test func `counts that say nothing any more are taken out as new ones come`() {
    let table = RateTable()
    for number in 0..<100_000 {
      _ = table.take(take(UInt64(number)), nowNs: Int64(number) * second / 1_000)
    }
    // A thousand come in a second, and each lasts for one.
    #expect(table.count < 4_000)
  }

  @Test func `the table is bounded, and who is far over his limit stays in it`() {
    let table = RateTable(countMax: 1_600)
    let busy = take(1 << 40, burst: 1, interval: 1_000 * second)
    #expect(table.take(busy, nowNs: 0) == 0)
    for number in 0..<50_000 { _ = table.take(take(UInt64(number)), nowNs: 0) }
    #expect(table.count <= 1_600)
    #expect(table.take(busy, nowNs: 0) > 0)
  }
}
