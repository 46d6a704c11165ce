import Synchronization

/// A number of places that all workers share, and the queue of those who found none.
///
/// A place that is given back belongs to whoever waits longest before that one is woken. So nobody
/// who comes later takes it, a wake-up that was meant for somebody else takes nothing, and who
/// gives up just then passes it on: no place is lost while somebody waits.
///
/// In a queue that has become too long everybody would wait until they are not wanted any more, and
/// all that is done is done in vain. So from some length on who came last is next, until it is
/// short again; and where it is full, who has waited for long gives way to who comes.
///
/// There may be fewer places for a while (`limit`): who has one keeps it.
package final class Places: Sendable {
  private struct Waiting {
    let waiter: RemoteWaiter
    let sinceMs: Int64
  }

  private struct State {
    var taken = 0
    var queue: [Waiting] = []
    /// Places that are somebody's who has not woken yet.
    var granted: [RemoteWaiter] = []
    /// Who had to give way and has not woken yet.
    var displaced: [RemoteWaiter] = []
    var isNewestFirst = false
    var limit: Int
    var newestFirstAt: Int
  }

  private let count: Int
  private let queueMax: Int
  private let newestFirstAt: Int
  private let nowMs: @Sendable () -> Int64
  private let state: Mutex<State>
  private let limitNow: Atomic<Int>
  private let waiting = Atomic<Int>(0)
  /// A copy of the state's, for looks without the lock.
  private let takenCount = Atomic<Int>(0)

  /// Nobody gives way who has waited for less: a crowd that comes at once is served in its order.
  static let patienceMs: Int64 = 100

  /// - Parameters:
  ///   - count: at least one.
  ///   - queueMax: how many may wait.
  ///   - newestFirstAt: with so many waiting who came last is next, until they are a tenth fewer.
  ///   - nowMs: the monotonic clock.
  package init(
    _ count: Int, queueMax: Int = .max, newestFirstAt: Int = .max,
    nowMs: @escaping @Sendable () -> Int64 = { Clock.monotonicNs() / 1_000_000 }
  ) {
    self.count = max(1, count)
    self.queueMax = queueMax
    self.newestFirstAt = max(1, newestFirstAt)
    self.nowMs = nowMs
    state = Mutex(State(limit: self.count, newestFirstAt: self.newestFirstAt))
    limitNow = Atomic(self.count)
  }

  /// What came of an attempt to take a place.
  package enum Entry: Equatable, Sendable {
    /// There is one, to be given back with `give`.
    case taken
    /// Too many wait.
    case refused
    /// None came free in time.
    case timedOut
    /// It is not wanted any more.
    case abandoned
  }

  /// Takes a place, waiting for it where there is none.
  ///
  /// - Parameters:
  ///   - isGone: whether the place is not wanted any more; asked at each wake.
  ///   - whenQueued: called once when there is none at once.
  package func enter(
    _ waiter: Waiter, untilMs deadlineMs: Int64, isGone: () -> Bool = { false },
    whenQueued: () -> Void = {}
  ) async -> Entry {
    let remote = waiter.remote
    switch claim(remote) {
    case .taken: return .taken
    case .refused: return .refused
    case .queued: whenQueued()
    }
    while true {
      let isSignalled = await waiter.wait(untilMs: deadlineMs)
      if takeGranted(remote) { return .taken }
      if takeDisplaced(remote) { return .refused }
      if !isSignalled {
        leave(remote)
        return .timedOut
      }
      if isGone() {
        leave(remote)
        return .abandoned
      }
    }
  }

  /// Has so many places from now on: one at least, and as many as there were made at most. The
  /// length from which on who came last is next shrinks with them.
  package func limit(to wanted: Int) {
    let limit = min(max(1, wanted), count)
    if limitNow.load(ordering: .relaxed) == limit { return }
    let granted = state.withLock { state -> [RemoteWaiter] in
      state.limit = limit
      limitNow.store(limit, ordering: .relaxed)
      state.newestFirstAt =
        newestFirstAt == .max
        ? .max : max(1, Int(Double(newestFirstAt) / Double(count) * Double(limit)))
      noteLength(&state)
      var granted: [RemoteWaiter] = []
      while state.taken < limit, !state.queue.isEmpty {
        state.taken += 1
        granted.append(takeNext(&state))
      }
      takenCount.store(state.taken, ordering: .relaxed)
      return granted
    }
    for waiter in granted { waiter.signal() }
  }

  /// Whether somebody waits for a place.
  package var hasWaiting: Bool { waiting.load(ordering: .relaxed) > 0 }

  /// How many wait.
  package var waitingCount: Int { waiting.load(ordering: .relaxed) }

  /// How many places are taken.
  package var taken: Int { takenCount.load(ordering: .relaxed) }

  /// Whether there is a place just now.
  package var hasRoom: Bool { taken < limitNow.load(ordering: .relaxed) }

  /// Gives a place back.
  package func give() {
    let next = state.withLock { handOn(&$0) }
    next?.signal()
  }

  enum Claim { case taken, queued, refused }

  func claim(_ waiter: RemoteWaiter) -> Claim {
    let (claim, displaced) = state.withLock { state -> (Claim, RemoteWaiter?) in
      if state.taken < state.limit {
        state.taken += 1
        takenCount.store(state.taken, ordering: .relaxed)
        return (.taken, nil)
      }
      let nowMs = nowMs()
      var displaced: RemoteWaiter?
      if state.queue.count >= queueMax {
        guard state.isNewestFirst, let oldest = state.queue.first,
          nowMs - oldest.sinceMs > Self.patienceMs
        else { return (.refused, nil) }
        displaced = oldest.waiter
        state.displaced.append(oldest.waiter)
        state.queue.removeFirst()
      }
      state.queue.append(Waiting(waiter: waiter, sinceMs: nowMs))
      noteLength(&state)
      return (.queued, displaced)
    }
    displaced?.signal()
    return claim
  }

  /// Whether this waiter had to give way; it waits no more then.
  private func takeDisplaced(_ waiter: RemoteWaiter) -> Bool {
    state.withLock { state in
      guard let index = state.displaced.firstIndex(of: waiter) else { return false }
      state.displaced.remove(at: index)
      return true
    }
  }

  /// Whether a place has become this waiter's; it is taken then.
  func takeGranted(_ waiter: RemoteWaiter) -> Bool {
    state.withLock { state in
      guard let index = state.granted.firstIndex(of: waiter) else { return false }
      state.granted.remove(at: index)
      return true
    }
  }

  /// Leaves the queue; a place that was granted meanwhile goes to the next.
  func leave(_ waiter: RemoteWaiter) {
    let next = state.withLock { state -> RemoteWaiter? in
      if let index = state.granted.firstIndex(of: waiter) {
        state.granted.remove(at: index)
        return handOn(&state)
      }
      if let index = state.queue.firstIndex(where: { $0.waiter == waiter }) {
        state.queue.remove(at: index)
        noteLength(&state)
      } else {
        // It may just have had to give way, which nobody is to tell it when it comes again.
        state.displaced.removeAll { $0 == waiter }
      }
      return nil
    }
    next?.signal()
  }

  /// - Returns: whose the place is now; nil when it is free.
  private func handOn(_ state: inout State) -> RemoteWaiter? {
    if state.queue.isEmpty || state.taken > state.limit {
      state.taken -= 1
      takenCount.store(state.taken, ordering: .relaxed)
      return nil
    }
    return takeNext(&state)
  }

  private func takeNext(_ state: inout State) -> RemoteWaiter {
    let next = state.isNewestFirst ? state.queue.removeLast() : state.queue.removeFirst()
    state.granted.append(next.waiter)
    noteLength(&state)
    return next.waiter
  }

  private func noteLength(_ state: inout State) {
    let length = state.queue.count
    waiting.store(length, ordering: .relaxed)
    if length >= state.newestFirstAt {
      state.isNewestFirst = true
    } else if length <= state.newestFirstAt - max(1, state.newestFirstAt / 10) {
      state.isNewestFirst = false
    }
  }
}
