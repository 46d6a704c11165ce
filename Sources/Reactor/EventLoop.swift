import CLinux
import Glibc
import Synchronization

/// One worker's thread: its jobs, its sockets' events, its deadlines.
///
/// The loop is the worker actor's serial executor *and* the task executor of every task that it
/// starts. With the actor alone each resumed continuation took a detour through the global pool
/// (two futex calls and an eventfd write a request); with both, none leaves this thread.
///
/// One turn: run the jobs that are ready, hand out what other threads sent, ask epoll once (without
/// waiting while jobs are left), mark the sockets that changed and wake their tasks, end what is
/// due. Sockets are registered once, edge-triggered, for everything.
///
/// `@unchecked Sendable` holds because all state but `inbox` and `owner` is touched only on the
/// loop's own thread: by `run`, and by code that the worker actor isolates to it. Other threads
/// reach `enqueue`, `spawn` and `signalRemotely`, which lock the inbox.
package final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
  /// The time of this turn on the monotonic clock, in milliseconds.
  package private(set) var nowMs: Int64
  /// Counts the turns: while it stays the same, nobody else was looked at.
  package private(set) var turn: UInt64 = 0
  /// How long the turn before this one took, in milliseconds; 0 where nothing was left to do in it.
  package private(set) var lastTurnMs: Int64 = 0
  /// For whom the process's last descriptors are.
  let descriptors: DescriptorShares

  private let epoll: FileDescriptor
  private let doorbell: FileDescriptor
  /// Takes its turn behind the sockets that are ready: see `noteWait`.
  private let marker: FileDescriptor
  private let owner = Atomic<UInt>(0)
  private let inbox = Mutex(Inbox())

  private var ready: [UnownedJob] = []
  private var running: [UnownedJob] = []
  private var sockets = SlotTable<Socket>()
  private var waiters = SlotTable<Waiter>()
  private var deadlines = DeadlineQueue()
  /// Waiters of tasks that let others have their turn first.
  private var paused: [UInt64] = []
  private var isStopped = false

  private var standingWait: StandingWait
  /// Told at the end of each of its windows in which the loop ran.
  private var onStandingWait: ((Int64) -> Void)?
  /// When the loop went to sleep; nil where it didn't.
  private var sleepsSinceMs: Int64?
  /// Since when the marker waits; nil where it doesn't.
  private var markedMs: Int64?

  /// What other threads sent. `isRung` keeps a second ring from costing a system call.
  private struct Inbox {
    var jobs: [UnownedJob] = []
    var signals: [UInt64] = []
    var isStopping = false
    var isRung = false
  }

  private static let doorbellToken = UInt64.max
  private static let markerToken = UInt64.max - 1
  /// Events taken in one call; more wait for the next turn.
  private static let eventsMax = 256

  /// - Throws: when the kernel has no descriptor left.
  package init(descriptors: DescriptorShares = .ofProcess()) throws(SystemError) {
    self.descriptors = descriptors
    let epoll = FileDescriptor(
      adopting: try SystemError.check("epoll_create1") { clinux_epoll_create() })
    let doorbell = FileDescriptor(
      adopting: try SystemError.check("eventfd") { clinux_eventfd() })
    let marker = FileDescriptor(adopting: try SystemError.check("eventfd") { clinux_eventfd() })
    let (epollRaw, doorbellRaw, markerRaw) = (epoll.raw, doorbell.raw, marker.raw)
    _ = try SystemError.check("epoll_ctl") {
      clinux_epoll_add_reading(epollRaw, doorbellRaw, Self.doorbellToken)
    }
    _ = try SystemError.check("epoll_ctl") {
      clinux_epoll_add_reading(epollRaw, markerRaw, Self.markerToken)
    }
    self.epoll = epoll
    self.doorbell = doorbell
    self.marker = marker
    let nowMs = Clock.monotonicNs() / 1_000_000
    self.nowMs = nowMs
    standingWait = StandingWait(nowMs: nowMs)
  }

  /// Runs the loop on the calling thread until `stop`.
  package func run() {
    owner.store(UInt(pthread_self()), ordering: .relaxed)
    // The system gives a thread's number to another when it has ended.
    defer { owner.store(0, ordering: .relaxed) }
    nowMs = Clock.monotonicNs() / 1_000_000
    unsafe withUnsafeTemporaryAllocation(of: epoll_event.self, capacity: Self.eventsMax) { events in
      while !isStopped {
        runReadyJobs()
        guard let list = events.baseAddress else { return }
        let count = unsafe epoll_wait(epoll.raw, list, CInt(Self.eventsMax), timeout())
        let beganMs = nowMs
        nowMs = Clock.monotonicNs() / 1_000_000
        turn &+= 1
        noteWait(sinceMs: beganMs, isFull: count == CInt(Self.eventsMax))
        // -1 is EINTR: the signal thread has the signal, here it is a turn without events.
        var index = 0
        while index < count {
          unsafe handle(list[index])
          index += 1
        }
        endWhatIsDue()
        wakePaused()
      }
    }
  }

  /// Ends `run` after its present turn; from any thread. Jobs that are left never run.
  package func stop() {
    ring { $0.isStopping = true }
  }

  private func runReadyJobs() {
    if ready.isEmpty { return }
    swap(&ready, &running)
    let serial = unsafe asUnownedSerialExecutor()
    let task = unsafe asUnownedTaskExecutor()
    var index = 0
    while index < running.count {
      unsafe running[index].runSynchronously(isolatedTo: serial, taskExecutor: task)
      index += 1
    }
    running.removeAll(keepingCapacity: true)
  }

  /// Milliseconds epoll may sleep: none while jobs are left, else to the first deadline.
  private func timeout() -> CInt {
    sleepsSinceMs = nil
    if !ready.isEmpty || !paused.isEmpty { return 0 }
    guard let firstMs = deadlines.firstMs else {
      sleepsSinceMs = nowMs
      return -1
    }
    let now = Clock.monotonicNs() / 1_000_000
    sleepsSinceMs = now
    // One more than the difference: the deadline's millisecond must have passed.
    return CInt(clamping: max(0, firstMs &- now &+ 1))
  }

  /// Has `tell` called on the loop's thread about every 100 ms in which the loop runs, with how
  /// long what is ready waits there (`StandingWait.ms`).
  package func watchWait(_ tell: @escaping (_ standingMs: Int64) -> Void) {
    onStandingWait = tell
  }

  /// Notes how long what the loop has just found has waited, by what it knows anyway: nobody where
  /// it slept, else about as long as the last turn took. Where there is more than it takes at once
  /// that is too little; then a marker of our own waits its turn behind all others, and tells.
  private func noteWait(sinceMs beganMs: Int64, isFull: Bool) {
    let lookedMs = sleepsSinceMs ?? nowMs
    lastTurnMs = lookedMs - beganMs
    if markedMs == nil {
      if isFull {
        var one: UInt64 = 1
        if unsafe write(marker.raw, &one, 8) == 8 { markedMs = nowMs }
      } else {
        // Whose sleep lasted found nothing ready; the clock's next tick alone is no sleep.
        standingWait.note(nowMs - lookedMs > 1 ? 0 : lookedMs - beganMs)
      }
    }
    guard standingWait.isDue(nowMs: nowMs) else { return }
    if let markedMs, standingWait.isUnknown { standingWait.note(nowMs - markedMs) }
    standingWait.endWindow(nowMs: nowMs)
    onStandingWait?(standingWait.ms)
  }

  private func takeMarker() {
    var count: UInt64 = 0
    _ = unsafe read(marker.raw, &count, 8)
    if let markedMs { standingWait.note(nowMs - markedMs) }
    markedMs = nil
  }

  private func handle(_ event: epoll_event) {
    var event = unsafe event
    let token = unsafe clinux_event_token(&event)
    if token == Self.doorbellToken {
      takeInbox()
    } else if token == Self.markerToken {
      takeMarker()
    } else if let socket = sockets[token] {
      unsafe socket.mark(event.events)
    }
  }

  private func takeInbox() {
    var count: UInt64 = 0
    _ = unsafe read(doorbell.raw, &count, 8)
    let taken = inbox.withLock { inbox in
      defer { inbox = Inbox(isStopping: inbox.isStopping) }
      return inbox
    }
    ready.append(contentsOf: taken.jobs)
    for token in taken.signals { waiters[token]?.signal() }
    isStopped = taken.isStopping
  }

  private func endWhatIsDue() {
    while let entry = deadlines.takeDue(nowMs: nowMs) {
      waiters[entry.token]?.takeEntry(atMs: entry.atMs, nowMs: nowMs)
    }
  }

  /// How many entries the queue of deadlines has, those that were overtaken included.
  var deadlineCount: Int { deadlines.count }

  private func wakePaused() {
    if paused.isEmpty { return }
    for token in paused { waiters[token]?.signal() }
    paused.removeAll(keepingCapacity: true)
  }

  /// Starts a task on this loop; the only place in the product that does (see the type's text).
  package func spawn(
    @_inheritActorContext _ body: sending @escaping @isolated(any) () async -> Void
  ) {
    Task(executorPreference: self) { await body() }
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if isOnOwnThread {
      ready.append(job)
    } else {
      ring { $0.jobs.append(job) }
    }
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    unsafe UnownedSerialExecutor(ordinary: self)
  }

  package func checkIsolated() {
    precondition(isOnOwnThread, "a worker's state was touched from another thread")
  }

  package func isIsolatingCurrentContext() -> Bool? { isOnOwnThread }

  private var isOnOwnThread: Bool {
    owner.load(ordering: .relaxed) == UInt(pthread_self())
  }

  private func ring(_ change: (inout Inbox) -> Void) {
    let mustRing = inbox.withLock { inbox in
      change(&inbox)
      defer { inbox.isRung = true }
      return !inbox.isRung
    }
    guard mustRing else { return }
    var one: UInt64 = 1
    // Only a full counter could refuse it, and then the loop is awake anyway.
    _ = unsafe write(doorbell.raw, &one, 8)
  }

  func register(_ socket: Socket, isShared: Bool) throws(SystemError) -> UInt64 {
    let token = sockets.insert(socket)
    let (epollRaw, raw) = (epoll.raw, socket.raw)
    do throws(SystemError) {
      _ = try SystemError.check("epoll_ctl") {
        isShared
          ? clinux_epoll_add_shared(epollRaw, raw, token) : clinux_epoll_add(epollRaw, raw, token)
      }
    } catch {
      sockets.remove(token)
      throw error
    }
    return token
  }

  func unregister(_ socket: Socket, _ token: UInt64) {
    _ = clinux_epoll_remove(epoll.raw, socket.raw)
    sockets.remove(token)
  }

  func register(_ waiter: Waiter) -> UInt64 { waiters.insert(waiter) }

  func unregisterWaiter(_ token: UInt64) { waiters.remove(token) }

  /// Signals the waiter behind all that the next look at the sockets wakes.
  func signalNextTurn(_ token: UInt64) { paused.append(token) }

  func arm(_ token: UInt64, atMs: Int64) {
    deadlines.insert(DeadlineQueue.Entry(atMs: atMs, token: token))
  }

  func signalRemotely(_ token: UInt64) {
    if isOnOwnThread {
      waiters[token]?.signal()
    } else {
      ring { $0.signals.append(token) }
    }
  }
}

/// Objects by slot and generation, unowned: an object takes its slot back before it goes.
///
/// A token names one object for ever; after `remove` it names nothing, also when the slot is used
/// again, so a late event or deadline never reaches a stranger.
private struct SlotTable<Object: AnyObject> {
  @safe private struct Slot {
    var generation: UInt32 = 0
    var object: Unmanaged<Object>?
  }

  private var slots: [Slot] = []
  private var free: [UInt32] = []

  subscript(token: UInt64) -> Object? {
    let index = Int(UInt32(truncatingIfNeeded: token))
    guard index < slots.count, slots[index].generation == UInt32(token >> 32) else {
      return nil
    }
    return unsafe slots[index].object?.takeUnretainedValue()
  }

  mutating func insert(_ object: Object) -> UInt64 {
    let index: Int
    if let reused = free.popLast() {
      index = Int(reused)
    } else {
      index = slots.count
      slots.append(Slot())
    }
    unsafe slots[index].object = Unmanaged.passUnretained(object)
    return UInt64(slots[index].generation) << 32 | UInt64(index)
  }

  mutating func remove(_ token: UInt64) {
    let index = Int(UInt32(truncatingIfNeeded: token))
    guard index < slots.count, slots[index].generation == UInt32(token >> 32) else {
      return
    }
    unsafe slots[index].object = nil
    slots[index].generation &+= 1
    free.append(UInt32(index))
  }
}
