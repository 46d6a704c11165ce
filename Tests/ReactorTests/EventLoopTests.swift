import Synchronization
import TestSupport
import Testing

@testable import Reactor

struct EventLoopTests {
  @Test func `keeps a signal that comes while nobody waits, once`() async throws {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      waiter.signal()
      waiter.signal()
      #expect(await waiter.wait(untilMs: stage.patience))
      // Two signals are one: the second wait finds none, and its deadline is already there.
      #expect(!(await waiter.wait(untilMs: stage.loop.nowMs)))
    }
  }

  @Test func `a task that pauses lets the others have their turn, and loses no signal`()
    async throws
  {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let hasRun = Mutex(false)
      let other = stage.makeWaiter()
      let (remote, loop, patience) = (waiter.remote, stage.loop, stage.patience)
      // Waits before the one that pauses does.
      let otherRemote = other.remote
      stage.loop.spawn {
        _ = stage
        remote.signal()
        _ = await other.wait(untilMs: patience)
        hasRun.withLock { $0 = true }
      }
      #expect(await waiter.wait(untilMs: patience))
      let turn = loop.turn
      otherRemote.signal()
      waiter.signal()
      await waiter.pause()
      #expect(stage.loop.turn > turn)
      // A task may need another turn to get to its own code.
      await waiter.pause()
      await waiter.pause()
      #expect(hasRun.withLock { $0 })
      #expect(await waiter.wait(untilMs: stage.loop.nowMs))
    }
  }

  @Test func `a signal goes before a deadline that has passed`() async throws {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      waiter.signal()
      #expect(await waiter.wait(untilMs: stage.loop.nowMs - 1_000))
    }
  }

  @Test func `ends a wait at its deadline and not before`() async throws {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let deadlineMs = stage.loop.nowMs + 30
      #expect(!(await waiter.wait(untilMs: deadlineMs)))
      #expect(stage.loop.nowMs >= deadlineMs)
      #expect(Clock.monotonicNs() / 1_000_000 >= deadlineMs)
    }
  }

  @Test func `a later deadline counts although an earlier one was set before`() async throws {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let earlyMs = stage.loop.nowMs + 20
      waiter.signal()
      _ = await waiter.wait(untilMs: earlyMs)  // returns at once
      let remote = waiter.remote
      stage.loop.spawn { @Sendable in remote.signal() }
      #expect(await waiter.wait(untilMs: earlyMs))  // armed, and signalled before it ends
      let lateMs = earlyMs + 20
      #expect(!(await waiter.wait(untilMs: lateMs)))
      #expect(stage.loop.nowMs >= lateMs)
    }
  }

  @Test func `an earlier deadline counts although a later one was set before`() async throws {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let remote = waiter.remote
      stage.loop.spawn { @Sendable in remote.signal() }
      #expect(await waiter.wait(untilMs: stage.loop.nowMs + 3_600_000))
      let earlyMs = stage.loop.nowMs + 20
      #expect(!(await waiter.wait(untilMs: earlyMs)))
      #expect(stage.loop.nowMs < earlyMs + 3_000_000)
    }
  }

  @Test func `who waits long, and a moment now and then, has few deadlines in the queue`()
    async throws
  {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let longMs = stage.patience
      let before = stage.loop.deadlineCount
      for _ in 0..<20 {
        waiter.park(untilMs: longMs) {}
        waiter.signal()
        // The signal is kept for the wait that follows.
        #expect(await waiter.wait(untilMs: stage.loop.nowMs + 1))
        #expect(!(await waiter.wait(untilMs: stage.loop.nowMs + 1)))
      }
      #expect(stage.loop.deadlineCount <= before + 2)
    }
  }

  @Test func `a time that is up is no signal, also where a later deadline has passed with it`()
    async throws
  {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let loop = stage.loop
      let (soonMs, laterMs) = (loop.nowMs + 20, loop.nowMs + 30)
      // The later one stays in the queue.
      waiter.park(untilMs: laterMs) {}
      waiter.signal()
      #expect(await waiter.wait(untilMs: laterMs))
      // A turn so long that both have passed at its end.
      loop.spawn { @Sendable in while Clock.monotonicNs() / 1_000_000 <= laterMs {} }
      #expect(!(await waiter.wait(untilMs: soonMs)))
    }
  }

  @Test func `many waits end in the order of their deadlines`() async throws {
    let order = Mutex<[Int]>([])
    try await Stage.run { stage in
      let startMs = stage.loop.nowMs
      let done = stage.makeWaiter()
      let doneRemote = done.remote
      let loop = stage.loop
      for number in [3, 1, 4, 0, 2] {
        loop.spawn { @Sendable in
          let waiter = Waiter(on: loop)
          _ = await waiter.wait(untilMs: startMs + 20 + Int64(number) * 15)
          let count = order.withLock { order in
            order.append(number)
            return order.count
          }
          if count == 5 { doneRemote.signal() }
        }
      }
      #expect(await done.wait(untilMs: stage.patience))
    }
    #expect(order.withLock { $0 } == [0, 1, 2, 3, 4])
  }

  @Test func `another thread's signal wakes a waiter`() async throws {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let remote = waiter.remote
      let thread = try WorkerThread.start("signaller") { remote.signal() }
      #expect(await waiter.wait(untilMs: stage.patience))
      thread.join()
    }
  }

  @Test func `no signal of many threads is lost`() async throws {
    let count = 200
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let remote = waiter.remote
      let sent = Mutex(0)
      let threads = try (0..<4).map { number in
        try WorkerThread.start("signaller-\(number)") {
          for _ in 0..<count {
            sent.withLock { $0 += 1 }
            remote.signal()
          }
        }
      }
      // Each look comes after a signal; the last signal comes after the last change.
      while sent.withLock({ $0 }) < 4 * count {
        guard await waiter.wait(untilMs: stage.patience) else {
          throw Impatience("a signal was lost")
        }
      }
      for thread in threads { thread.join() }
    }
  }

  @Test func `a stale name signals nobody, also when its slot is used again`() async throws {
    try await Stage.run { stage in
      let stale = stage.makeWaiter().remote
      let waiter = stage.makeWaiter()
      #expect(
        UInt32(truncatingIfNeeded: waiter.remote.token) == UInt32(truncatingIfNeeded: stale.token))
      stale.signal()
      let thread = try WorkerThread.start("signaller") { stale.signal() }
      thread.join()
      #expect(!(await waiter.wait(untilMs: stage.loop.nowMs + 20)))
    }
  }

  @Test func `a stale deadline ends nobody's wait`() async throws {
    try await Stage.run { stage in
      let deadlineMs = stage.loop.nowMs + 20
      do {
        let gone = stage.makeWaiter()
        let remote = gone.remote
        stage.loop.spawn { @Sendable in remote.signal() }
        _ = await gone.wait(untilMs: deadlineMs)
      }
      let waiter = stage.makeWaiter()
      let lateMs = deadlineMs + 30
      #expect(!(await waiter.wait(untilMs: lateMs)))
      #expect(stage.loop.nowMs >= lateMs)
    }
  }

  @Test func `a deadline and a signal in one turn are told apart`() async throws {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      let other = stage.makeWaiter()
      let remote = waiter.remote
      let deadlineMs = stage.loop.nowMs + 20
      let loop = stage.loop
      // Ends in the same turn as the wait below and signals before its task runs.
      loop.spawn { @Sendable in
        let first = Waiter(on: loop)
        _ = await first.wait(untilMs: deadlineMs - 1)
        _ = await first.wait(untilMs: deadlineMs)
        remote.signal()
      }
      let isSignalled = await waiter.wait(untilMs: deadlineMs)
      if !isSignalled {
        // The signal came behind the deadline: it is kept for this wait.
        #expect(await waiter.wait(untilMs: stage.patience))
      }
      #expect(!(await other.wait(untilMs: stage.loop.nowMs)))
      #expect(!(await waiter.wait(untilMs: stage.loop.nowMs)))
    }
  }

  @Test func `a wait without a task ends once, by a signal or at its deadline`() async throws {
    try await Stage.run { stage in
      let done = stage.makeWaiter()
      for reason in ["kept", "past", "signal", "deadline"] {
        let waiter = stage.makeWaiter()
        var wakes = 0
        if reason == "kept" { waiter.signal() }
        let untilMs =
          switch reason {
          case "past": stage.loop.nowMs
          case "deadline": stage.loop.nowMs + 20
          default: Int64.max
          }
        waiter.park(untilMs: untilMs) {
          wakes += 1
          done.signal()
        }
        if reason == "signal" {
          #expect(wakes == 0)
          waiter.signal()
        }
        #expect(await done.wait(untilMs: stage.patience), "\(reason)")
        if reason == "deadline" { #expect(stage.loop.nowMs >= untilMs) }
        waiter.signal()
        waiter.signal()
        #expect(wakes == 1, "\(reason)")
        // A signal is kept for whoever waits next.
        #expect(await waiter.wait(untilMs: stage.patience))
      }
    }
  }

  @Test func `every task of a loop stays on its thread`() async throws {
    try await Stage.run { stage in
      let home = CurrentThread.id
      let waiter = stage.makeWaiter()
      let remote = waiter.remote
      for _ in 0..<50 {
        let thread = try WorkerThread.start("signaller") { remote.signal() }
        #expect(await waiter.wait(untilMs: stage.patience))
        #expect(CurrentThread.id == home)
        thread.join()
      }
    }
  }

  @Test func `runs what was started from another thread before it ran`() async throws {
    let loop = try EventLoop()
    let count = Mutex(0)
    for _ in 0..<10 { loop.spawn { @Sendable in count.withLock { $0 += 1 } } }
    loop.spawn { @Sendable in loop.stop() }
    let thread = try WorkerThread.start("loop") { loop.run() }
    thread.join()
    #expect(count.withLock { $0 } == 10)
  }
}

struct DeadlineQueueTests {
  @Test func `gives what is due in order, however it was put in`() {
    var random = SystemRandomNumberGenerator()
    for count in [0, 1, 2, 3, 7, 64, 500] {
      var queue = DeadlineQueue()
      let times = (0..<count).map { _ in Int64.random(in: -50...50, using: &random) }
      for (index, time) in times.enumerated() {
        queue.insert(.init(atMs: time, token: UInt64(index)))
        #expect(queue.firstMs == times[...index].min())
      }
      var taken: [(Int64, UInt64)] = []
      for now in Int64(-60)...60 {
        while let entry = queue.takeDue(nowMs: now) {
          #expect(entry.atMs == now)  // none is late by a step, none early
          taken.append((entry.atMs, entry.token))
        }
      }
      #expect(taken.map(\.0) == times.sorted())
      #expect(Set(taken.map(\.1)) == Set(0..<UInt64(count)))
      #expect(queue.firstMs == nil)
    }
  }

  @Test func `gives nothing before it is due`() {
    var queue = DeadlineQueue()
    queue.insert(.init(atMs: 10, token: 1))
    #expect(queue.takeDue(nowMs: 9) == nil)
    #expect(queue.firstMs == 10)
    #expect(queue.takeDue(nowMs: 10)?.token == 1)
    #expect(queue.takeDue(nowMs: .max) == nil)
  }
}
