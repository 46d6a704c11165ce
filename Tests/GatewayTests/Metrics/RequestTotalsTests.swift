import Testing
import Wire

@testable import Gateway

/// What of a route's requests people are shown as latency.
struct RequestTotalsTests {
  private static let secondNs: Int64 = 1_000_000_000
  private static let answered = RequestKind(method: .get, status: 200, reason: nil)
  private static let tunnel = RequestKind(method: .get, status: 101, reason: nil)

  @Test func `tunnels are counted and have no latency`() {
    let numbers = RouteNumbers()
    let tally = RouteTally(numbers, worker: 0)
    for _ in 0..<9 { tally.count(Self.answered, ns: 3_000_000, upstreamNs: 1) }
    for _ in 0..<5 { tally.count(Self.tunnel, ns: 7_200 * Self.secondNs, upstreamNs: 1) }
    var totals = RequestTotals()
    totals.add(numbers)
    #expect(totals.requests == 14)
    #expect(totals.latencies.count == 9)
    #expect(totals.latencies.quantileMs(0.99) == 5)
    // Prometheus has them at full length.
    let kinds = numbers.kinds.filter { $0.kind == Self.tunnel }
    #expect(kinds.map { $0.durations.totalNs } == [UInt64(5 * 7_200 * Self.secondNs)])
  }

  @Test func `an answer that goes on for long counts by when it began`() {
    let numbers = RouteNumbers()
    let workers = (0..<2).map { RouteTally(numbers, worker: $0) }
    for tally in workers {
      tally.count(Self.answered, ns: 3_600 * Self.secondNs, upstreamNs: 20_000_000)
      tally.noteLong(beganAfterNs: 20_000_000)
      tally.count(Self.answered, ns: 30 * Self.secondNs, upstreamNs: 30 * Self.secondNs)
    }
    var totals = RequestTotals()
    totals.add(numbers)
    #expect(totals.requests == 4)
    #expect(totals.latencies.count == 4)
    #expect(totals.latencies.quantileMs(0.5) == 25)
    #expect(totals.latencies.quantileMs(0.51) == nil)
  }

  @Test(
    arguments: [
      (10_000_000, 0, false), (10_000_001, 0, true), (60_000_000, 50_000_001, false),
      (60_000_000, 49_000_000, true),
    ] as [(Int64, Int64, Bool)])
  func `long is what goes on for over ten seconds after it has begun`(
    _ micros: Int64, _ before: Int64, _ isLong: Bool
  ) {
    #expect(LongAnswers.isLong(micros, beforeMicros: before) == isLong)
  }

  @Test func `a sample has what came since the one before`() {
    let numbers = RequestNumbers()
    let tally = RouteTally(numbers.numbers(of: "r"), worker: 0)
    let history = TrafficHistory()
    tally.count(Self.answered, ns: 60 * Self.secondNs, upstreamNs: 0)
    history.take(numbers.totals, atMs: 0)
    tally.count(Self.answered, ns: 1_000_000, upstreamNs: 0)
    tally.count(Self.tunnel, ns: 60 * Self.secondNs, upstreamNs: 0)
    tally.count(
      RequestKind(method: .get, status: 503, reason: .overloaded), ns: 400_000, upstreamNs: 0)
    history.take(numbers.totals, atMs: 5_000)
    #expect(history.samples.map(\.requests) == [3])
    #expect(history.samples.map(\.refused) == [1])
    #expect(history.samples.map(\.failed) == [1])
    #expect(history.samples.map(\.p99Ms) == [1])
  }
}
