import Synchronization

/// A number of places that all workers share, and the queue of those who found none.
///
/// A place that is given back belongs to whoever waits longest before that one is woken. So nobody
/// who comes later takes it, a wake-up that was meant for somebody else takes nothing, and who
/// gives up just then passes it on: no place is lost while somebody waits.
package final class Places: Sendable {
  private struct State {
    var taken = 0
    var queue: [RemoteWaiter] = []
    /// Places that are somebody's who has not woken yet.
    var granted: [RemoteWaiter] = []
  }

  private let count: Int
  private let queueMax: Int
  private let state = Mutex(State())
  private let waiting = Atomic<Int>(0)
  /// A copy of the state's, for looks without the lock.
  private let takenCount = Atomic<Int>(0)

  /// - Parameters:
  ///   - count: at least one.
  ///   - queueMax: how many may wait.
  package init(_ count: Int, queueMax: Int = .max) {
    self.count = max(1, count)
    self.queueMax = queueMax
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

  /// Whether somebody waits for a place.
  package var hasWaiting: Bool { waiting.load(ordering: .relaxed) > 0 }

  /// How many wait.
  package var waitingCount: Int { waiting.load(ordering: .relaxed) }

  /// How many places are taken.
  package var taken: Int { takenCount.load(ordering: .relaxed) }

  /// Whether there is a place just now.
  package var hasRoom: Bool { taken < count }

  /// Gives a place back.
  package func give() {
    let next = state.withLock { handOn(&$0) }
    next?.signal()
  }

  enum Claim { case taken, queued, refused }

  func claim(_ waiter: RemoteWaiter) -> Claim {
    state.withLock { state in
      if state.taken < count {
        state.taken += 1
        takenCount.store(state.taken, ordering: .relaxed)
        return .taken
      }
      if state.queue.count >= queueMax { return .refused }
      state.queue.append(waiter)
      waiting.store(state.queue.count, ordering: .relaxed)
      return .queued
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
      if let index = state.queue.firstIndex(of: waiter) {
        state.queue.remove(at: index)
        waiting.store(state.queue.count, ordering: .relaxed)
      }
      return nil
    }
    next?.signal()
  }

  /// - Returns: whose the place is now; nil when it is free.
  private func handOn(_ state: inout State) -> RemoteWaiter? {
    if state.queue.isEmpty {
      state.taken -= 1
      takenCount.store(state.taken, ordering: .relaxed)
      return nil
    }
    let next = state.queue.removeFirst()
    state.granted.append(next)
    waiting.store(state.queue.count, ordering: .relaxed)
    return next
  }
}
