/// Which share of exchanges is tried at a token service that fails or refuses many of them.
///
/// The client-side throttle of Google's "Site Reliability Engineering" (chapter 21): of what
/// callers want, so much is not sent that the service is asked for `acceptsMultiple` times what it
/// takes. A service that takes all of it is asked for all of it; one that takes little is spared
/// most of what would fail there, which is what it may be failing of.
///
/// It differs from the book in three things. The window is ten seconds and not two minutes: what
/// is wanted must be served soon after the service is well again. Calls count when they have ended,
/// so that a slow service is not taken for one that refuses. And some failures are free, so that
/// where little is asked one failure does not turn the next caller away.
///
/// A value without a clock: it is told of the time.
struct ExchangeThrottle {
  static let windowSeconds = 10
  static let acceptsMultiple = 2
  /// So many failures in a window, beyond those that answers pay for, throttle nothing.
  static let freeFailures = 10
  /// However much fails, one is tried so often, in milliseconds: the service's return is noticed.
  static let triedEveryMs: Int64 = 500

  private struct Second {
    var number = Int64.min
    var answered = 0
    /// Failed, or not tried.
    var others = 0
  }

  private var seconds = [Second](repeating: Second(), count: windowSeconds)
  private var dice: SmallRandom
  private var triedAtMs = Int64.min / 2

  /// - Parameter seed: of the chance by which one is tried and another isn't.
  init(seed: UInt64) { dice = SmallRandom(seed: seed) }

  /// The part of exchanges that is not tried: 0 to just below 1.
  func refusedPart(nowMs: Int64) -> Double {
    let oldest = nowMs / 1_000 - Int64(Self.windowSeconds)
    var answered = 0
    var others = 0
    for second in seconds where second.number > oldest {
      answered += second.answered
      others += second.others
    }
    let wanted = answered + others
    let tooMany = wanted - Self.acceptsMultiple * answered - Self.freeFailures
    return tooMany > 0 ? Double(tooMany) / Double(wanted + 1) : 0
  }

  /// Whether an exchange that is wanted is tried.
  mutating func admits(nowMs: Int64) -> Bool {
    let part = refusedPart(nowMs: nowMs)
    let isTried =
      part == 0 || nowMs - triedAtMs >= Self.triedEveryMs
      || dice.number(below: 1 << 20) >= Int(part * Double(1 << 20))
    if isTried {
      triedAtMs = nowMs
    } else {
      note(nowMs) { $0.others += 1 }
    }
    return isTried
  }

  /// The service answered, whatever it said of the caller.
  mutating func noteAnswer(nowMs: Int64) { note(nowMs) { $0.answered += 1 } }

  /// It failed, was too slow, or said that it has too much to do.
  mutating func noteFailure(nowMs: Int64) { note(nowMs) { $0.others += 1 } }

  /// Forgets what was: it says nothing of the service any more.
  mutating func clear() {
    for index in seconds.indices { seconds[index] = Second() }
  }

  /// The present second's numbers take the place of those of ten seconds ago.
  private mutating func note(_ nowMs: Int64, _ change: (inout Second) -> Void) {
    let number = nowMs / 1_000
    let index = Int(number % Int64(Self.windowSeconds))
    if seconds[index].number != number { seconds[index] = Second(number: number) }
    change(&seconds[index])
  }
}

/// How many calls a token service that was out is given at once: a fifth of what it may have at
/// first, and a tenth more each second. All that waited for it, at once, may put it out again.
///
/// A failure meanwhile halves it. A value without a clock: it is told of the time.
struct ExchangeRamp {
  static let firstShare = 0.2
  static let sharePerSecond = 0.1

  private var share = firstShare
  private var sinceMs: Int64

  /// - Parameter sinceMs: when it begins to rise.
  init(sinceMs: Int64) { self.sinceMs = sinceMs }

  /// The share of the calls allowed at once; 1 and more: all of them.
  func share(nowMs: Int64) -> Double {
    share + Self.sharePerSecond * Double(max(0, nowMs - sinceMs)) / 1_000
  }

  mutating func fall(nowMs: Int64) {
    share = max(Self.firstShare, min(1, share(nowMs: nowMs)) / 2)
    sinceMs = max(sinceMs, nowMs)
  }
}
