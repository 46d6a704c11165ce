import Reactor

/// Which share of its requests a worker serves that can't serve all of them in time.
///
/// What is turned away costs something, too: where it is nearly as much as to serve it, turning
/// away helps nobody, and a worker that does nothing else serves nobody at all. So
///
/// - as much is turned away as brings the wait down to its limit, and no more;
/// - first what is dear, a token that must be verified or exchanged, then what is known;
/// - it takes an eighth of the time at most, whatever comes: the rest is for those who are served;
/// - and some of each kind are always served: the wait may be others' doing, who want the core.
///
/// A value without a clock: it is told of the wait and of the time.
struct OverloadControl {
  /// All of them, in the unit of shares.
  static let whole = 1_024
  /// Shares never fall below this one.
  static let shareMin = 64
  /// Of the time, this part may go into turning away.
  static let shedTimePart: Int64 = 8
  /// What is ready waits no longer than this (95 and 85 % of it are where the shares begin to fall
  /// and to rise): a person does not notice it, and a caller's patience is longer.
  static let waitMaxMs: Int64 = 100
  private static let windowNs = StandingWait.windowMs * 1_000_000
  private static let fallsAboveMs = waitMaxMs * 95 / 100
  private static let risesBelowMs = waitMaxMs * 85 / 100

  /// The share that is served of requests with a token that is known here, and of the others.
  private(set) var knownShare = whole
  private(set) var coldShare = whole
  private var dice: SmallRandom
  private var windowBeganNs: Int64 = 0
  private var shedNs: Int64 = 0

  /// - Parameter seed: of the chance by which one is served and another isn't.
  init(seed: UInt64) { dice = SmallRandom(seed: seed) }

  var isShedding: Bool { coldShare < Self.whole || knownShare < Self.whole }

  /// A window of the wait has ended.
  ///
  /// - Parameter standingMs: the shortest wait in it; 0 where there was none to speak of.
  mutating func endWindow(standingMs: Int64, nowNs: Int64) {
    // A loop that sleeps ends none: the window is longer then.
    let windows = min(max((nowNs - windowBeganNs) / Self.windowNs, 1), 10)
    // Where all the time for it went into turning away, a smaller share turns no more away.
    let isSpent = shedNs * Self.shedTimePart * 10 > (nowNs - windowBeganNs) * 9
    windowBeganNs = nowNs
    shedNs = 0
    if standingMs == 0 {
      // The queue is gone, and with it all reason to turn known ones away. What is dear comes back
      // by doubling: all of it at once would be the next queue.
      knownShare = Self.whole
      coldShare = min(Self.whole, coldShare << Int(windows))
    } else if isSpent {
      return
    } else if standingMs > Self.fallsAboveMs {
      // What would bring it to the limit, were all of the wait this kind's; in one step the half
      // at most, as the wait is known late.
      let part = min(max(Self.waitMaxMs * 1_024 / standingMs, 512), 1_000)
      if coldShare > Self.shareMin {
        coldShare = max(Self.shareMin, coldShare * Int(part) / 1_024)
      } else {
        knownShare = max(Self.shareMin, knownShare * Int(part) / 1_024)
      }
    } else if standingMs < Self.risesBelowMs {
      if knownShare < Self.whole {
        knownShare = min(Self.whole, knownShare + knownShare / 8)
      } else {
        coldShare = min(Self.whole, coldShare + coldShare / 8)
      }
    }
  }

  /// Whether a request with a token that is known here, or of a route without, is served.
  mutating func admitsKnown(atNs nowNs: Int64) -> Bool {
    if knownShare == Self.whole { return true }
    return isLucky(knownShare) || !mayShed(atNs: nowNs)
  }

  /// Whether a request is served whose token must be verified or exchanged.
  mutating func admitsCold(atNs nowNs: Int64) -> Bool {
    if coldShare == Self.whole { return true }
    return isLucky(coldShare) || !mayShed(atNs: nowNs)
  }

  /// Counts what turning one away took.
  mutating func noteShed(ns: Int64) { shedNs += max(0, ns) }

  /// By chance: in turn, callers who come in turn would always be the same.
  private mutating func isLucky(_ share: Int) -> Bool { dice.number(below: Self.whole) < share }

  private func mayShed(atNs nowNs: Int64) -> Bool {
    shedNs * Self.shedTimePart <= nowNs - windowBeganNs
  }
}

/// Whether callers' connections are nearly as many as may be.
struct ConnectionPressure {
  private(set) var isHigh = false

  /// - Returns: whether they are: from 95 % of the limit on, until they are 85 % again.
  mutating func look(count: Int, limit: Int) -> Bool {
    let (count, limit) = (Int64(count) * 100, Int64(limit))
    if count >= limit * 95 {
      isHigh = true
    } else if count <= limit * 85 {
      isHigh = false
    }
    return isHigh
  }
}
