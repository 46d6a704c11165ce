import Reactor

/// One worker's TLS handshakes that are under way, a bounded number, and those who wait to begin
/// theirs.
///
/// Nobody is turned away for others' sake: who finds no place waits, and the deadline of its
/// handshake runs. But somebody who stalls would hold a place to that deadline, and so would a
/// thousand others; so while anybody waits, the oldest handshakes end once they took `graceMs`. And
/// who came last is next: it may still be there, and a crowd that came at once does not stand
/// between a newcomer and the door.
///
/// A step of a handshake is the longest that a worker does without looking up: an RSA signature is
/// most of a millisecond. So there is one in each of the loop's turns, and a flood of handshakes
/// keeps those who are connected waiting for one signature, and not for as many as have come. But
/// where those who are connected make the turns long, one in each keeps newcomers out: there an
/// eighth of the time is theirs. And who waits for its step stalls nobody: its grace stands still.
final class HandshakePlaces {
  /// One handshake's way: it waits, then it is under way.
  final class Place {
    fileprivate enum State { case new, waiting, underWay, lost, gone }

    fileprivate let waiter: Waiter
    fileprivate var state = State.new
    fileprivate var startedMs: Int64 = 0
    /// Since when it waits for its step; nil where it is the caller that is waited for.
    fileprivate var inLineSinceMs: Int64?
    /// Whether the handshake must end for another reason: it waits for no place then.
    var isGivenUp = false

    init(_ waiter: Waiter) { self.waiter = waiter }

    /// Whether it was given to somebody else: the handshake must end.
    var isLost: Bool { state == .lost }

    /// When its grace is over, as it looks now.
    fileprivate func graceEndsMs(_ graceMs: Int64, nowMs: Int64) -> Int64 {
      startedMs + graceMs + (inLineSinceMs.map { nowMs - $0 } ?? 0)
    }
  }

  /// Handshakes in the order of their beginning; who left from the middle is passed over.
  private struct Line {
    private var places: [Place] = []
    private var start = 0

    mutating func append(_ place: Place) { places.append(place) }

    /// The first that is still under way; those before it are forgotten.
    mutating func first() -> Place? {
      while start < places.count, places[start].state != .underWay { start += 1 }
      if start > 64, start > places.count / 2 {
        places.removeFirst(start)
        start = 0
      }
      return start < places.count ? places[start] : nil
    }
  }

  private var max: Int
  private let graceMs: Int64
  private let loop: EventLoop
  private var underWay = Line()
  /// Who waits, and who waited and left, the newest last.
  private var waiting: [Place] = []
  /// Handshakes that hold a place, also those that have lost it and not ended yet.
  private(set) var takenCount = 0
  private(set) var waitingCount = 0
  private var lostCount = 0
  /// Who waits to take a step.
  private var steppers: [Place] = []
  /// The turn of the loop in which the last step was taken, and how many were in it.
  private var steppedInTurn: UInt64 = .max
  private var stepsInTurn = 0
  /// What a step takes, about, in nanoseconds: an RSA signature's time until one was taken.
  private var stepNs: Int64 = 1_000_000
  /// How long the turn before this one took, in milliseconds.
  private let lastTurnMs: () -> Int64

  /// Of a worker's time this part is for steps, where more is wanted than one in each turn.
  static let timePart: Int64 = 8

  /// - Parameter lastTurnMs: how long the turn before this one took; the loop says it, but for a
  ///   test.
  init(
    _ max: Int, graceMs: Int64, loop: EventLoop, lastTurnMs: (() -> Int64)? = nil
  ) {
    self.max = max
    self.graceMs = graceMs
    self.loop = loop
    self.lastTurnMs = lastTurnMs ?? { loop.lastTurnMs }
  }

  /// Takes a place, waiting for it where there is none.
  ///
  /// - Returns: false when none came free in time; else it is given back with `leave`.
  func enter(_ place: Place, untilMs: Int64) async -> Bool {
    if takenCount < max, waitingCount == 0 {
      start(place)
      return true
    }
    place.state = .waiting
    waiting.append(place)
    waitingCount += 1
    while true {
      makeRoom()
      // Who is next looks after the others' grace; all others are woken when they are next.
      var wakeMs = untilMs
      if lostCount < waitingCount, next() === place, let oldest = underWay.first() {
        wakeMs = min(untilMs, oldest.graceEndsMs(graceMs, nowMs: loop.nowMs))
      }
      _ = await place.waiter.wait(untilMs: wakeMs)
      if place.state == .underWay { return true }
      if place.state == .lost {
        // It came to its turn and lost it again before it ran: whoever waits looked first.
        leave(place)
        return false
      }
      if place.isGivenUp || loop.nowMs >= untilMs { break }
    }
    place.state = .gone
    waitingCount -= 1
    if waiting.count > 2 * waitingCount + 64 { waiting.removeAll { $0.state != .waiting } }
    next()?.waiter.signal()
    return false
  }

  /// Waits until it may take a step.
  ///
  /// - Returns: whether it still is to: it may have to end meanwhile.
  func awaitTurn(_ place: Place) async -> Bool {
    if isTurnSpent || !steppers.isEmpty {
      place.inLineSinceMs = loop.nowMs
      steppers.append(place)
      while steppers.first !== place || isTurnSpent {
        if steppers.first === place {
          await place.waiter.pause()
        } else {
          _ = await place.waiter.wait()
        }
      }
      steppers.removeFirst()
      if let since = place.inLineSinceMs { place.startedMs += loop.nowMs - since }
      place.inLineSinceMs = nil
      // They run in the next turn, as many as may take a step in it.
      for next in steppers.prefix(stepsMax) { next.waiter.signal() }
    }
    if place.isLost || place.isGivenUp { return false }
    if steppedInTurn != loop.turn {
      steppedInTurn = loop.turn
      stepsInTurn = 0
    }
    stepsInTurn += 1
    return true
  }

  /// Notes what a step took, in nanoseconds.
  func noteStep(ns: Int64) {
    // The last sixteen of them, about: first steps sign, and second ones don't.
    stepNs += (min(Swift.max(ns, 0), 100_000_000) - stepNs) / 16
  }

  private var isTurnSpent: Bool { steppedInTurn == loop.turn && stepsInTurn >= stepsMax }

  /// How many steps there are in a turn.
  private var stepsMax: Int {
    let shareNs = lastTurnMs() * 1_000_000 / Self.timePart
    return Int(Swift.max(1, Swift.min(shareNs / Swift.max(stepNs, Self.stepNsMin), Int64(max))))
  }

  /// Nothing is gained by more of them: it guards the division.
  private static let stepNsMin: Int64 = 10_000

  /// Gives the place to whoever is next; once, however often it is called.
  func leave(_ place: Place) {
    if place.state == .gone { return }
    if place.state == .lost { lostCount -= 1 }
    place.state = .gone
    takenCount -= 1
    _ = underWay.first()
    admitWaiting()
  }

  /// Lets so many be under way from now on; those beyond it end as they would have.
  func bound(to max: Int) {
    if max == self.max { return }
    self.max = max
    admitWaiting()
  }

  private func admitWaiting() {
    while takenCount < max, let newest = next() {
      waiting.removeLast()
      waitingCount -= 1
      start(newest)
      newest.waiter.signal()
    }
    next()?.waiter.signal()
  }

  private func next() -> Place? {
    while let last = waiting.last, last.state != .waiting { waiting.removeLast() }
    return waiting.last
  }

  private func start(_ place: Place) {
    place.state = .underWay
    place.startedMs = loop.nowMs
    takenCount += 1
    underWay.append(place)
  }

  /// Takes from the oldest handshakes, past their grace, a place for each who waits.
  private func makeRoom() {
    while lostCount < waitingCount, let oldest = underWay.first(),
      loop.nowMs >= oldest.graceEndsMs(graceMs, nowMs: loop.nowMs)
    {
      oldest.state = .lost
      lostCount += 1
      oldest.waiter.signal()
    }
  }
}
