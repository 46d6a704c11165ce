import Reactor

/// One worker's TLS handshakes that are under way, a bounded number, and the line of those who wait
/// to begin theirs.
///
/// Nobody is turned away for others' sake: who finds no place waits, in the order of coming, and
/// the deadline of its handshake runs. But somebody who stalls would hold a place to that deadline,
/// and so would a thousand others; so while anybody waits, the oldest handshakes end once they took
/// `graceMs`.
final class HandshakePlaces {
  /// One handshake's way: in the line, then under way.
  final class Place {
    fileprivate enum State { case new, waiting, underWay, lost, gone }

    fileprivate let waiter: Waiter
    fileprivate var state = State.new
    fileprivate var startedMs: Int64 = 0

    init(_ waiter: Waiter) { self.waiter = waiter }

    /// Whether it was given to somebody else: the handshake must end.
    var isLost: Bool { state == .lost }
  }

  /// Places in the order of their coming; who left from the middle is passed over.
  private struct Line {
    private var places: [Place] = []
    private var start = 0

    mutating func append(_ place: Place) { places.append(place) }

    /// The first that is still in this state.
    mutating func first(in state: Place.State) -> Place? {
      while start < places.count {
        if places[start].state == state { return places[start] }
        start += 1
      }
      places.removeAll(keepingCapacity: true)
      start = 0
      return nil
    }

    /// Forgets those that were passed over, now and then.
    mutating func compact() {
      guard start > 64, start > places.count / 2 else { return }
      places.removeFirst(start)
      start = 0
    }
  }

  private let max: Int
  private let graceMs: Int64
  private let loop: EventLoop
  private var underWay = Line()
  private var waiting = Line()
  /// Handshakes that hold a place, also those that have lost it and not ended yet.
  private(set) var takenCount = 0
  private(set) var waitingCount = 0
  private var lostCount = 0

  init(_ max: Int, graceMs: Int64, loop: EventLoop) {
    self.max = max
    self.graceMs = graceMs
    self.loop = loop
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
      // Who stands first looks after the others' grace; all others are woken by their turn.
      var wakeMs = untilMs
      if lostCount < waitingCount, waiting.first(in: .waiting) === place,
        let oldest = underWay.first(in: .underWay)
      {
        wakeMs = min(untilMs, oldest.startedMs + graceMs)
      }
      _ = await place.waiter.wait(untilMs: wakeMs)
      if place.state == .underWay { return true }
      if loop.nowMs >= untilMs { break }
    }
    place.state = .gone
    waitingCount -= 1
    waiting.first(in: .waiting)?.waiter.signal()
    return false
  }

  /// Gives the place to whoever stands first in the line; once, however often it is called.
  func leave(_ place: Place) {
    if place.state == .gone { return }
    if place.state == .lost { lostCount -= 1 }
    place.state = .gone
    takenCount -= 1
    _ = underWay.first(in: .underWay)
    underWay.compact()
    while takenCount < max, let next = waiting.first(in: .waiting) {
      waitingCount -= 1
      start(next)
      next.waiter.signal()
    }
    waiting.first(in: .waiting)?.waiter.signal()
    waiting.compact()
  }

  private func start(_ place: Place) {
    place.state = .underWay
    place.startedMs = loop.nowMs
    takenCount += 1
    underWay.append(place)
  }

  /// Takes from the oldest handshakes, past their grace, a place for each who waits.
  private func makeRoom() {
    while lostCount < waitingCount, let oldest = underWay.first(in: .underWay),
      loop.nowMs - oldest.startedMs >= graceMs
    {
      oldest.state = .lost
      lostCount += 1
      oldest.waiter.signal()
    }
  }
}
