import OAuth
import Testing

@testable import Gateway

struct BreakerTests {
  private func make(_ failures: Int = 3, cooldownMs: Int64 = 100) -> Breaker {
    Breaker(ExchangeSettings.Breaker(failures: failures, cooldownMs: cooldownMs))
  }

  @Test func `opens after so many failures in a row and no fewer`() {
    let breaker = make()
    for now in 0..<2 as Range<Int64> {
      breaker.noteFailure(nowMs: now)
      #expect(breaker.blockedForMs(nowMs: now) == nil)
    }
    breaker.noteSuccess()
    for now in 2..<4 as Range<Int64> {
      breaker.noteFailure(nowMs: now)
      #expect(breaker.blockedForMs(nowMs: now) == nil)
    }
    breaker.noteFailure(nowMs: 10)
    #expect(breaker.blockedForMs(nowMs: 10) == 100)
    #expect(breaker.blockedForMs(nowMs: 109) == 1)
  }

  @Test func `lets one call try after the cooldown, and only one`() {
    let breaker = make(1)
    breaker.noteFailure(nowMs: 0)
    #expect(breaker.blockedForMs(nowMs: 99) == 1)
    #expect(breaker.blockedForMs(nowMs: 100) == nil)
    for now in [100, 150, 1_000] as [Int64] { #expect(breaker.blockedForMs(nowMs: now) == 100) }
  }

  @Test func `a trial that fails opens it anew, one that works closes it`() {
    let breaker = make(2)
    breaker.noteFailure(nowMs: 0)
    breaker.noteFailure(nowMs: 0)
    #expect(breaker.blockedForMs(nowMs: 100) == nil)
    breaker.noteFailure(nowMs: 120)
    #expect(breaker.blockedForMs(nowMs: 120) == 100)
    #expect(breaker.blockedForMs(nowMs: 219) == 1)
    #expect(breaker.blockedForMs(nowMs: 220) == nil)
    breaker.noteSuccess()
    for _ in 0..<5 { #expect(breaker.blockedForMs(nowMs: 221) == nil) }
    // As good as new.
    breaker.noteFailure(nowMs: 222)
    #expect(breaker.blockedForMs(nowMs: 222) == nil)
  }

  @Test func `never opens where no number of failures does`() {
    let breaker = make(0)
    for now in 0..<100 as Range<Int64> { breaker.noteFailure(nowMs: now) }
    #expect(breaker.blockedForMs(nowMs: 100) == nil)
  }

  @Test func `a service that asked for patience is left alone, and is no broken one`() {
    let breaker = make(2)
    breaker.hold(untilMs: 100)
    breaker.hold(untilMs: 50)
    #expect(breaker.blockedForMs(nowMs: 0) == 100)
    #expect(breaker.isBlocked(nowMs: 99) && !breaker.isOpen)
    // Calls that were under way end as they end.
    breaker.noteSuccess()
    #expect(breaker.blockedForMs(nowMs: 99) == 1)
    #expect(breaker.blockedForMs(nowMs: 100) == nil)
    #expect(!breaker.isBlocked(nowMs: 100))
    breaker.noteFailure(nowMs: 100)
    breaker.noteFailure(nowMs: 100)
    #expect(breaker.isBlocked(nowMs: 100) && breaker.isOpen)
    // Asking does not take the one trial there is.
    #expect(breaker.isBlocked(nowMs: 200))
    #expect(breaker.blockedForMs(nowMs: 200) == nil)
  }
}
