import OAuth

@testable import Gateway

/// A token service and the gateway's calls to it, in virtual time: whoever wants a token asks the
/// guard, waits for a place where there is none, and comes again where it was turned away.
struct TokenServiceModel {
  /// How the service is at a time.
  struct Weather {
    /// The part of calls that it fails.
    var failing: Double
    /// How many calls it takes a second; more are failed.
    var capacity = Int.max
    var latencyMs: Int64 = 20
  }

  let places = 64
  let timeoutMs: Int64 = 5_000
  private(set) var service: ExchangeGuard
  var weather: Weather
  /// Exchanges wanted, by the second in which they were answered or given up, and how many of them
  /// succeeded.
  private(set) var ended: [Int64: (all: Int, well: Int)] = [:]
  /// Calls that reached the service, by second, and how many it took.
  private(set) var calls: [Int64: (all: Int, taken: Int)] = [:]
  private(set) var trialsAtOnceMax = 0
  private(set) var excess = 0

  private var dice: SmallRandom
  private var underWay: [(pass: ExchangeGuard.Pass, endsAtMs: Int64, fails: Bool, tries: Int)] = []
  private var queue: [(untilMs: Int64, tries: Int)] = []
  private var again: [(atMs: Int64, tries: Int)] = []

  init(
    seed: UInt64, _ weather: Weather,
    breaker: ExchangeSettings.Breaker = .init(failures: 5, cooldownMs: 5_000)
  ) {
    dice = SmallRandom(seed: seed)
    service = ExchangeGuard(breaker, seed: seed &+ 1)
    self.weather = weather
  }

  /// A part of 1, by chance.
  mutating func chance() -> Double { Double(dice.number(below: 1 << 30)) / Double(1 << 30) }

  /// Runs for a step of ten milliseconds in which so many exchanges are wanted.
  mutating func step(nowMs: Int64, wanted: Int) {
    var index = 0
    while index < underWay.count {
      let call = underWay[index]
      if call.endsAtMs > nowMs {
        index += 1
        continue
      }
      underWay.remove(at: index)
      _ = service.note(call.fails ? .failed : .issued, of: call.pass, nowMs: nowMs)
      end(isWell: !call.fails, tries: call.tries, nowMs)
    }
    let due = again.filter { $0.atMs <= nowMs }
    again.removeAll { $0.atMs <= nowMs }
    for one in due { want(tries: one.tries, nowMs) }
    for _ in 0..<wanted { want(tries: 1, nowMs) }
    let late = queue.filter { $0.untilMs <= nowMs }
    queue.removeAll { $0.untilMs <= nowMs }
    for one in late { end(isWell: false, tries: one.tries, nowMs) }
    let limit = ExchangeGate.callsMax(of: places, share: service.share(nowMs: nowMs))
    while underWay.count < limit, !queue.isEmpty {
      // As `Places`: of a queue that is too long who came last is next.
      let isNewestFirst = queue.count >= limit * Limits.exchangesInOrder
      let one = isNewestFirst ? queue.removeLast() : queue.removeFirst()
      begin(one.tries, nowMs)
    }
    if underWay.count > places { excess += 1 }
    trialsAtOnceMax = max(trialsAtOnceMax, underWay.count { $0.pass.isTrial })
  }

  private mutating func want(tries: Int, _ nowMs: Int64) {
    do throws(ExchangeGuard.Denial) {
      try service.admit(nowMs: nowMs)
      queue.append((nowMs + timeoutMs, tries))
    } catch {
      end(isWell: false, tries: tries, nowMs)
    }
  }

  private mutating func begin(_ tries: Int, _ nowMs: Int64) {
    do throws(ExchangeGuard.Denial) {
      let pass = try service.begin(nowMs: nowMs)
      let second = nowMs / 1_000
      calls[second, default: (0, 0)].all += 1
      let fails = chance() < weather.failing || calls[second]?.all ?? 0 > weather.capacity
      if !fails { calls[second, default: (0, 0)].taken += 1 }
      underWay.append((pass, nowMs + weather.latencyMs, fails, tries))
    } catch {
      end(isWell: false, tries: tries, nowMs)
    }
  }

  /// Callers come three times more, after one to two seconds.
  private mutating func end(isWell: Bool, tries: Int, _ nowMs: Int64) {
    ended[nowMs / 1_000, default: (0, 0)].all += 1
    if isWell {
      ended[nowMs / 1_000, default: (0, 0)].well += 1
    } else if tries <= 3 {
      again.append((nowMs + 1_000 + Int64(dice.number(below: 1_000)), tries + 1))
    }
  }
}
