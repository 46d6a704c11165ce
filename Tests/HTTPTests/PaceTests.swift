import Testing

@testable import HTTP

@Suite struct `How fast a peer must be` {
  @Test func `nobody is judged before a stretch of waiting is over`() {
    var pace = Pace()
    pace.wait(Pace.stretchMs - 1)
    let early = pace.isTooSlow(at: 0)
    #expect(!early)
    pace.wait(1)
    let late = pace.isTooSlow(at: 0)
    #expect(late)
  }

  @Test func `a kibibyte a second is just enough`() {
    for (count, isTooSlow) in [(UInt64(30 * 1_024), false), (30 * 1_024 - 1, true)] {
      var pace = Pace()
      for _ in 0..<30 { pace.wait(1_000) }
      let verdict = pace.isTooSlow(at: count)
      #expect(verdict == isTooSlow)
    }
  }

  @Test func `what was moved in one stretch does not count in the next`() {
    var pace = Pace()
    pace.wait(30_000)
    let first = pace.isTooSlow(at: 1 << 30)
    #expect(!first)
    pace.wait(30_000)
    let second = pace.isTooSlow(at: 1 << 30)
    #expect(second)
  }

  @Test func `what was moved before it began does not count`() {
    var pace = Pace(from: 1 << 30)
    pace.wait(30_000)
    let slow = pace.isTooSlow(at: 1 << 30)
    #expect(slow)
  }

  @Test func `who is fast is never judged by the clock`() {
    var pace = Pace()
    // Half an hour of a server that takes its time is not waited for here at all.
    pace.wait(100)
    let early = pace.isTooSlow(at: 10)
    #expect(!early)
  }

  @Test func `where others wait the stretch is short and the rate the same`() {
    var pace = Pace()
    pace.wait(2_000)
    let inTime = pace.isTooSlow(at: 2 * 1_024, stretchMs: 2_000)
    #expect(!inTime)
    pace.wait(2_000)
    let tooLate = pace.isTooSlow(at: 3 * 1_024, stretchMs: 2_000)
    #expect(tooLate)
  }
}
