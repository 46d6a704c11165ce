import OAuth
import Testing

@testable import Gateway

/// When a token service is called, and when it isn't: each decision by itself.
struct ExchangeGuardTests {
  private func make(_ failures: Int = 3, cooldownMs: Int64 = 100, seed: UInt64 = 1)
    -> ExchangeGuard
  {
    ExchangeGuard(
      ExchangeSettings.Breaker(failures: failures, cooldownMs: cooldownMs), seed: seed)
  }

  @Test func `opens after so many failures in a row and no fewer`() throws {
    var service = make()
    let pass = try service.begin(nowMs: 0)
    for now in 0..<2 as Range<Int64> {
      _ = service.note(.failed, of: pass, nowMs: now)
      #expect(service.denial(nowMs: now) == nil)
    }
    _ = service.note(.answered, of: pass, nowMs: 2)
    for now in 2..<4 as Range<Int64> {
      _ = service.note(.failed, of: pass, nowMs: now)
      #expect(service.denial(nowMs: now) == nil)
    }
    // A word against the gateway itself counts too, one against the caller does not.
    _ = service.note(.refusedGateway, of: pass, nowMs: 10)
    #expect(service.denial(nowMs: 10) == .open(ms: 100))
    #expect(service.denial(nowMs: 109) == .open(ms: 1))
    #expect(throws: ExchangeGuard.Denial.open(ms: 1)) { try service.admit(nowMs: 109) }
  }

  @Test func `lets one call try after the cooldown, and only one`() throws {
    var service = make(1, cooldownMs: 5_000)
    _ = service.note(.failed, of: try service.begin(nowMs: 0), nowMs: 0)
    #expect(service.denial(nowMs: 4_999) == .open(ms: 1))
    // Asking does not take the one trial there is.
    #expect(service.denial(nowMs: 5_000) == nil)
    try service.admit(nowMs: 5_000)
    let trial = try service.begin(nowMs: 5_000)
    #expect(trial.isTrial)
    for now in [5_000, 5_001, 60_000] as [Int64] {
      // Not for the whole cooldown: what comes of the trial is known sooner.
      #expect(service.denial(nowMs: now) == .open(ms: ExchangeGuard.trialMs))
    }
    let mayTrialTryAgain = service.mayTryAgain(trial, nowMs: 5_001)
    #expect(mayTrialTryAgain)
  }

  @Test func `a trial that fails opens it anew, one that works closes it`() throws {
    var service = make(2)
    let pass = try service.begin(nowMs: 0)
    _ = service.note(.failed, of: pass, nowMs: 0)
    _ = service.note(.failed, of: pass, nowMs: 0)
    let mayTryAgain = service.mayTryAgain(pass, nowMs: 0)
    #expect(!mayTryAgain)
    let trial = try service.begin(nowMs: 100)
    _ = service.note(.failed, of: trial, nowMs: 120)
    // The pause is counted from the trial's beginning: one that hangs is its own pause.
    #expect(service.denial(nowMs: 199) == .open(ms: 1))
    let second = try service.begin(nowMs: 200)
    _ = service.note(.failed, of: second, nowMs: 5_200)
    let third = try service.begin(nowMs: 5_200)
    #expect(third.isTrial)
    _ = service.note(.issued, of: third, nowMs: 5_300)
    #expect(!service.isOpen && service.denial(nowMs: 5_300) == nil)
    // As good as new.
    _ = service.note(.failed, of: try service.begin(nowMs: 5_301), nowMs: 5_301)
    #expect(service.denial(nowMs: 5_301) == nil)
  }

  @Test func `a trial that finds it busy, or is sent again, ends when it ends`() throws {
    var service = make(1)
    _ = service.note(.failed, of: try service.begin(nowMs: 0), nowMs: 0)
    let trial = try service.begin(nowMs: 100)
    _ = service.note(.again, of: trial, nowMs: 110)
    #expect(service.denial(nowMs: 110) == .open(ms: 100))
    // It is there, and has too much to do: that is what the throttle and its word are for.
    _ = service.note(.busy, of: trial, nowMs: 120)
    #expect(!service.isOpen && service.share(nowMs: 120) == 0.2)
  }

  @Test func `a call from before a pause that finds it busy makes no later pause shorter`() throws {
    var service = make(3)
    let old = try service.begin(nowMs: 0)
    for now in 0..<3 as Range<Int64> { _ = service.note(.failed, of: old, nowMs: now) }
    #expect(service.denial(nowMs: 3) == .open(ms: 99))
    _ = service.note(.busy, of: old, nowMs: 50)
    #expect(service.denial(nowMs: 50) == .open(ms: 52))
    let trial = try service.begin(nowMs: 102)
    #expect(trial.isTrial)
    _ = service.note(.failed, of: trial, nowMs: 110)
    #expect(service.denial(nowMs: 110) == .open(ms: 92))
  }

  @Test func `calls from before a pause that fail in it neither prolong it nor add a trial`() throws
  {
    var service = make(1)
    let old = try service.begin(nowMs: 0)
    _ = service.note(.failed, of: old, nowMs: 0)
    _ = service.note(.failed, of: old, nowMs: 50)
    #expect(service.denial(nowMs: 60) == .open(ms: 40))
    let trial = try service.begin(nowMs: 100)
    _ = service.note(.failed, of: old, nowMs: 150)
    #expect(service.denial(nowMs: 250) == .open(ms: 100))
    _ = service.note(.issued, of: trial, nowMs: 260)
    #expect(service.denial(nowMs: 260) == nil)
  }

  @Test func `a call from before an outage that fails after it says nothing`() throws {
    var service = make(2, cooldownMs: 100)
    let old = try service.begin(nowMs: 0)
    for _ in 0..<2 { _ = service.note(.failed, of: old, nowMs: 10) }
    _ = service.note(.issued, of: try service.begin(nowMs: 110), nowMs: 120)
    for _ in 0..<50 { _ = service.note(.failed, of: old, nowMs: 130) }
    #expect(service.denial(nowMs: 130) == nil)
    #expect(service.share(nowMs: 120) == ExchangeRamp.firstShare)
  }

  @Test func `never opens where no number of failures does, and is throttled then`() throws {
    var service = make(0)
    var tried = 0
    for now in stride(from: 0, to: 20_000, by: 10) as StrideTo<Int64> {
      guard (try? service.admit(nowMs: now)) != nil else { continue }
      tried += 1
      _ = service.note(.failed, of: try service.begin(nowMs: now), nowMs: now)
    }
    #expect(!service.isOpen)
    // Some 200 are wanted in each window of ten seconds, 2,000 in all.
    #expect(tried < 160, "\(tried) of 2,000")
    #expect(tried >= 40, "twice a second at least: \(tried)")
  }

  @Test func `a service that asked for patience is left alone, and is no broken one`() throws {
    var service = make(2)
    service.hold(untilMs: 100)
    service.hold(untilMs: 50)
    #expect(service.denial(nowMs: 0) == .patience(ms: 100))
    #expect(!service.isOpen)
    // Calls that were under way end as they end.
    var early = make(2)
    let pass = try early.begin(nowMs: 0)
    early.hold(untilMs: 100)
    _ = early.note(.issued, of: pass, nowMs: 20)
    #expect(early.denial(nowMs: 99) == .patience(ms: 1))
    #expect(early.denial(nowMs: 100) == nil)
    // And then not all that waited comes at once.
    #expect(early.share(nowMs: 100) == 0.2)
    #expect(abs(early.share(nowMs: 4_100) - 0.6) < 0.001)
  }

  @Test func `calls rise by a tenth a second from a fifth on, and a failure halves them`() throws {
    var service = make(1, cooldownMs: 100)
    #expect(service.share(nowMs: 0) == 1)
    _ = service.note(.failed, of: try service.begin(nowMs: 0), nowMs: 0)
    _ = service.note(.issued, of: try service.begin(nowMs: 100), nowMs: 100)
    #expect(service.share(nowMs: 100) == 0.2)
    #expect(abs(service.share(nowMs: 4_100) - 0.6) < 0.001)
    let pass = try service.begin(nowMs: 4_100)
    _ = service.note(.busy, of: pass, nowMs: 4_100)
    #expect(abs(service.share(nowMs: 4_100) - 0.3) < 0.001)
    for _ in 0..<10 { _ = service.note(.busy, of: pass, nowMs: 4_100) }
    #expect(service.share(nowMs: 4_100) == 0.2)
    #expect(service.isWeak(nowMs: 4_100))
    #expect(service.share(nowMs: 12_200) == 1)
    #expect(service.share(nowMs: 12_201) == 1)
    #expect(ExchangeGate.callsMax(of: 64, share: 0.2) == 13)
    #expect(ExchangeGate.callsMax(of: 1, share: 0.2) == 1)
    #expect(ExchangeGate.callsMax(of: 4, share: 1) == 4)
  }

  @Test func `a few failures where little is asked turn nobody away`() throws {
    for seed in 0..<100 as Range<UInt64> {
      var throttle = ExchangeThrottle(seed: seed)
      for now in 0..<Int64(ExchangeThrottle.freeFailures) {
        let isTried = throttle.admits(nowMs: now)
        #expect(isTried)
        throttle.noteFailure(nowMs: now)
      }
      #expect(throttle.refusedPart(nowMs: 20) == 0)
      throttle.noteFailure(nowMs: 20)
      #expect(throttle.refusedPart(nowMs: 20) > 0)
      // An answer pays for one more of them, and in time all is forgotten.
      #expect(throttle.refusedPart(nowMs: 10_000) == 0)
    }
  }

  @Test func `answers in a row end the throttle, and calls rise anew`() throws {
    var service = make(0)
    let pass = try service.begin(nowMs: 0)
    for _ in 0..<1_000 { _ = service.note(.failed, of: pass, nowMs: 0) }
    #expect(service.isWeak(nowMs: 0) && service.share(nowMs: 0) == 1)
    // However many: a service that takes so many a second gives more at the beginning of each.
    for now in 1..<50 as Range<Int64> {
      _ = service.note(.answered, of: pass, nowMs: now)
      #expect(service.share(nowMs: now) == 1)
    }
    let backMs = ExchangeGuard.answersOnlyMs
    _ = service.note(.answered, of: pass, nowMs: backMs)
    #expect(service.share(nowMs: backMs) == 0.2)
    for now in backMs..<backMs + 100 { try service.admit(nowMs: now) }
  }

  @Test func `a return is told of once, and only where the trouble was`() throws {
    var quiet = make(1, cooldownMs: 100)
    _ = quiet.note(.failed, of: try quiet.begin(nowMs: 0), nowMs: 0)
    let trial = try quiet.begin(nowMs: 100)
    let untold = quiet.note(.issued, of: trial, nowMs: 150)
    #expect(untold == nil)

    var service = make(1, cooldownMs: 100)
    _ = service.note(.failed, of: try service.begin(nowMs: 1_000), nowMs: 1_000)
    service.noteTold(nowMs: 1_000)
    for _ in 0..<7 {
      #expect(throws: ExchangeGuard.Denial.open(ms: 50)) { try service.admit(nowMs: 1_050) }
    }
    let pass = try service.begin(nowMs: 1_100)
    let told = (3_000...3_001 as ClosedRange<Int64>).map {
      service.note(.issued, of: pass, nowMs: $0)
    }
    #expect(told == [ExchangeGuard.Return(outMs: 2_000, notTried: 7), nil])
  }

  @Test func `one failure among many is over when all has been well for a while`() throws {
    var service = make(5)
    _ = service.note(.failed, of: try service.begin(nowMs: 0), nowMs: 0)
    service.noteTold(nowMs: 0)
    let pass = try service.begin(nowMs: 1)
    let returns = ([1, 9_999, 10_000] as [Int64]).map {
      service.note(.issued, of: pass, nowMs: $0)?.outMs
    }
    #expect(returns == [nil, nil, 10_000])
    // Where more is asked, sooner.
    var busy = make(5)
    _ = busy.note(.failed, of: try busy.begin(nowMs: 0), nowMs: 0)
    busy.noteTold(nowMs: 0)
    let other = try busy.begin(nowMs: 1)
    let told = (1...10 as ClosedRange<Int64>).map { busy.note(.issued, of: other, nowMs: $0) }
    #expect(told.dropLast().allSatisfy { $0 == nil } && told.last??.outMs == 10)
  }
}
