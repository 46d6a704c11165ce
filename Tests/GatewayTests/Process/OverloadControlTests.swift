import TestSupport
import Testing

@testable import Gateway

/// A worker in the small: requests of two kinds come at a rate or from callers who wait for their
/// answer, each costs so much, and so does turning one away. Time is counted, nothing is slept.
private struct SmallWorker {
  /// Microseconds that one takes.
  var knownUs: Int64
  var coldUs: Int64
  var shedUs: Int64
  /// One in so many requests is cold.
  var coldEvery = 2
  /// Callers who each have one request under way at most.
  var callers: Int
  var control = OverloadControl(seed: 1)
  var nowUs: Int64 = 0
  private(set) var waitedMs: [Int64] = []
  private(set) var known = (served: 0, shed: 0)
  private(set) var cold = (served: 0, shed: 0)
  /// Since when each request waits, the oldest first.
  private var queue: [Int64] = []
  private var first = 0
  private var count = 0
  private var arrived = 0.0
  private var wasAbove = false

  init(knownUs: Int64, coldUs: Int64, shedUs: Int64, callers: Int) {
    self.knownUs = knownUs
    self.coldUs = coldUs
    self.shedUs = shedUs
    self.callers = callers
  }

  var served: Int { known.served + cold.served }

  /// Serves for some windows of 100 ms at a rate of arrivals in a second.
  mutating func run(windows: Int, perSecond: Double) {
    known = (0, 0)
    cold = (0, 0)
    waitedMs = []
    for _ in 0..<windows {
      let endUs = nowUs + 100_000
      var leastUs = Int64.max
      while nowUs < endUs {
        if first == queue.count {
          leastUs = 0
          nowUs += 100
          arrive(100, perSecond)
          continue
        }
        leastUs = min(leastUs, nowUs - queue[first])
        let tookUs = serveFirst()
        nowUs += tookUs
        arrive(tookUs, perSecond)
      }
      let least = leastUs / 1_000
      // As StandingWait tells it.
      let standing = least > 5 && wasAbove ? least : 0
      wasAbove = least > 5
      waitedMs.append(least)
      control.endWindow(standingMs: standing, nowNs: nowUs * 1_000)
    }
  }

  private mutating func arrive(_ tookUs: Int64, _ perSecond: Double) {
    arrived += Double(tookUs) * perSecond / 1_000_000
    while arrived >= 1 {
      arrived -= 1
      if queue.count - first < callers { queue.append(nowUs) }
    }
  }

  private mutating func serveFirst() -> Int64 {
    first += 1
    if first > 4_096, first * 2 > queue.count {
      queue.removeFirst(first)
      first = 0
    }
    count += 1
    let isKnown = !count.isMultiple(of: coldEvery)
    let isServed =
      control.admitsKnown(atNs: nowUs * 1_000)
      && (isKnown || control.admitsCold(atNs: nowUs * 1_000))
    if !isServed { control.noteShed(ns: shedUs * 1_000) }
    switch (isKnown, isServed) {
    case (true, true): known.served += 1
    case (true, false): known.shed += 1
    case (false, true): cold.served += 1
    case (false, false): cold.shed += 1
    }
    return isServed ? (isKnown ? knownUs : coldUs) : shedUs
  }
}

@Suite struct `What a worker turns away that has too much to do` {
  @Test func `nothing while what is ready does not wait`() {
    var worker = SmallWorker(knownUs: 50, coldUs: 400, shedUs: 15, callers: 10_000)
    worker.run(windows: 50, perSecond: 4_000)
    #expect(worker.known.shed == 0 && worker.cold.shed == 0)
    #expect(!worker.control.isShedding)
  }

  @Test func `nothing of few callers, however fast they ask`() {
    // 150 with a quarter of a millisecond each: the last waits 35 ms.
    var worker = SmallWorker(knownUs: 50, coldUs: 400, shedUs: 15, callers: 150)
    worker.run(windows: 100, perSecond: 1_000_000)
    #expect(worker.known.shed == 0 && worker.cold.shed == 0)
  }

  /// With costs of all proportions, whatever the load: the wait comes down, or an eighth of the
  /// time goes into bringing it down; neither kind is shut out; and it ends by itself.
  @Test(arguments: 0..<30)
  func `as much as helps, never all, and nothing when it is over`(seed: Int) {
    var chance = SplitMix64(seed: UInt64(seed))
    let knownUs = chance.number(in: 50...2_000)
    let coldUs = knownUs + chance.number(in: 50...5_000)
    let shedUs = chance.number(in: 10...max(11, knownUs / 3))
    let callers = chance.number(in: 100...10_000)
    var worker = SmallWorker(
      knownUs: Int64(knownUs), coldUs: Int64(coldUs), shedUs: Int64(shedUs), callers: callers)
    worker.coldEvery = chance.number(in: 2...20)
    let meanUs = (knownUs * (worker.coldEvery - 1) + coldUs) / worker.coldEvery
    let capacity = 1_000_000 / Double(meanUs)
    worker.run(windows: 60, perSecond: capacity * Double(chance.number(in: 12...80)) / 10)
    worker.run(windows: 60, perSecond: capacity * Double(chance.number(in: 12...80)) / 10)
    let (known, cold) = (worker.known, worker.cold)
    #expect(known.served > 0 && cold.served > 0)
    // Of six seconds; a request that is longer than a window may be the last of one.
    let shedTime = Double((known.shed + cold.shed) * shedUs) / 6_000_000
    #expect(shedTime < 0.16)
    let settledMs = worker.waitedMs.suffix(30).sorted()[15]
    #expect(settledMs <= 500 || shedTime > 0.1, "\(settledMs) ms, \(worker.control)")
    if known.shed > 0, shedTime < 0.1 {
      // What is dear goes first.
      let coldPart = Double(cold.shed) / Double(cold.shed + cold.served)
      let knownPart = Double(known.shed) / Double(known.shed + known.served)
      #expect(coldPart >= knownPart * 0.9)
    }
    // The load is gone: what waits is served, and within a second or two everybody is.
    worker.run(windows: callers * coldUs / 70_000 + 20, perSecond: capacity * 0.3)
    worker.run(windows: 20, perSecond: capacity * 0.3)
    #expect(!worker.control.isShedding)
    #expect(worker.known.shed == 0 && worker.cold.shed == 0)
  }

  @Test(arguments: [20, 50])
  func `what is served stays the same however much more comes`(tenths: Int) {
    var worker = SmallWorker(knownUs: 60, coldUs: 600, shedUs: 20, callers: 20_000)
    worker.coldEvery = 2
    let capacity = 1_000_000 / 330.0
    worker.run(windows: 50, perSecond: capacity * 0.9)
    let full = worker.served
    worker.run(windows: 50, perSecond: capacity * Double(tenths) / 10)
    worker.run(windows: 50, perSecond: capacity * Double(tenths) / 10)
    #expect(worker.served >= full)
  }

  @Test func `a core that others want serves on, a little of each kind`() {
    // Every request takes 30 ms, since somebody else has the core most of the time.
    var worker = SmallWorker(knownUs: 30_000, coldUs: 60_000, shedUs: 20_000, callers: 1_000)
    worker.run(windows: 300, perSecond: 500)
    #expect(worker.known.served > 200 && worker.cold.served > 20)
  }

  @Test func `after an idle time the first is served, whatever was before`() {
    var control = OverloadControl(seed: 1)
    for window in 1...100 {
      control.endWindow(standingMs: 1_000, nowNs: Int64(window) * 100_000_000)
    }
    #expect(control.coldShare == OverloadControl.shareMin)
    control.endWindow(standingMs: 0, nowNs: 20_000_000_000)
    #expect(!control.isShedding)
    let isAdmitted = control.admitsCold(atNs: 20_000_000_000)
    #expect(isAdmitted)
  }

  @Test func `between where it falls and where it rises a share stays`() {
    var control = OverloadControl(seed: 1)
    control.endWindow(standingMs: 96, nowNs: 0)
    let share = control.coldShare
    #expect(share < OverloadControl.whole && share > OverloadControl.whole / 2)
    for standingMs: Int64 in [86, 95, 90] {
      control.endWindow(standingMs: standingMs, nowNs: 0)
    }
    #expect(control.coldShare == share)
    control.endWindow(standingMs: 84, nowNs: 0)
    #expect(control.coldShare > share)
  }

  @Test func `connections are many from 95 % on until they are 85 %`() {
    var pressure = ConnectionPressure()
    let counts = [0, 94, 95, 100, 86, 85, 94, 95, 85]
    let high = [false, false, true, true, true, false, false, true, false]
    for (count, isHigh) in zip(counts, high) {
      #expect(pressure.look(count: count, limit: 100) == isHigh)
    }
    let isOnlyOneMany = pressure.look(count: 1, limit: 1)
    #expect(isOnlyOneMany)
  }
}
