import Synchronization
import TestSupport
import Testing

@testable import Reactor

/// How a worker knows that it is behind.
struct StandingWaitTests {
  @Test func `a wait that stands for two windows is told, the shortest of the last`() {
    var wait = StandingWait(nowMs: 0)
    wait.note(50)
    #expect(!wait.isDue(nowMs: 99))
    #expect(wait.isDue(nowMs: 100))
    wait.endWindow(nowMs: 100)
    #expect(wait.ms == 0)
    wait.note(70)
    wait.note(30)
    wait.note(90)
    wait.endWindow(nowMs: 210)
    #expect(wait.ms == 30)
  }

  @Test func `one long wait, after a stop, is none that stands`() {
    var wait = StandingWait(nowMs: 0)
    for window in 1...20 {
      // Every second window has a wait of five seconds and nothing else.
      wait.note(window.isMultiple(of: 2) ? 5_000 : 0)
      wait.endWindow(nowMs: Int64(window) * 100)
      #expect(wait.ms == 0)
    }
  }

  @Test func `a crowd that is served in between is no overload`() {
    var wait = StandingWait(nowMs: 0)
    for window in 1...20 {
      for _ in 0..<9 { wait.note(400) }
      wait.note(StandingWait.targetMs)
      wait.endWindow(nowMs: Int64(window) * 100)
      #expect(wait.ms == 0)
    }
  }

  @Test func `a window in which nothing ran is none`() {
    var wait = StandingWait(nowMs: 0)
    for _ in 0..<2 {
      wait.note(80)
      wait.endWindow(nowMs: 100)
    }
    #expect(wait.ms == 80)
    wait.endWindow(nowMs: 60_000)
    #expect(wait.ms == 0)
  }

  /// Jobs that spin, one after the other, as a worker's requests would.
  @Test(arguments: [1, 400])
  func `a loop that has too much to do says so, and that it has caught up`(tasks: Int)
    async throws
  {
    try await Stage.run { stage in
      let loop = stage.loop
      let told = Mutex<[Int64]>([])
      loop.watchWait { ms in told.withLock { $0.append(ms) } }
      let ending = Ending()
      for _ in 0..<tasks {
        let waiter = stage.makeWaiter()
        loop.spawn {
          _ = stage
          while !ending.isNow {
            let endNs = Clock.monotonicNs() + 8_000_000 / Int64(tasks)
            while Clock.monotonicNs() < endNs {}
            await waiter.pause()
          }
        }
      }
      let (waiter, patience) = (stage.makeWaiter(), stage.patience)
      while told.withLock({ $0.max() ?? 0 }) <= StandingWait.targetMs, loop.nowMs < patience {
        _ = await waiter.wait(untilMs: loop.nowMs + 20)
      }
      ending.end()
      #expect(told.withLock { $0.max() ?? 0 } > StandingWait.targetMs)
      while told.withLock({ $0.last != 0 }), loop.nowMs < patience {
        _ = await waiter.wait(untilMs: loop.nowMs + 20)
      }
      #expect(told.withLock { $0.last } == 0)
    }
  }

  /// More sockets than the loop takes at once, each ready again as soon as it was served.
  @Test func `who waits behind more than the loop takes at once is not forgotten`() async throws {
    try await Stage.run { stage in
      let loop = stage.loop
      let told = Mutex<Int64>(0)
      loop.watchWait { ms in told.withLock { $0 = max($0, ms) } }
      var pairs: [(Socket, Socket)] = []
      var buffers: [Buffer] = []
      let waiter = stage.makeWaiter()
      for _ in 0..<600 {
        pairs.append(try Socket.pair(on: loop))
        buffers.append(Buffer(capacity: 64))
      }
      for (one, other) in pairs {
        other.waiter = waiter
        buffers[0].append("x")
        _ = one.write(from: buffers[0])
      }
      let patience = stage.patience
      // A look at 256 of them takes less than the target, all of them three times as long.
      while told.withLock({ $0 }) == 0, loop.nowMs < patience {
        let endNs = Clock.monotonicNs() + 4_000_000
        while Clock.monotonicNs() < endNs {}
        for (index, (one, other)) in pairs.enumerated() where other.canRead {
          if case .bytes = other.read(into: buffers[index]) {
            _ = one.write(from: buffers[index])
            buffers[index].removeAll()
          }
        }
        await waiter.pause()
      }
      #expect(told.withLock { $0 } > StandingWait.targetMs)
    }
  }
}

private final class Ending: Sendable {
  private let flag = Atomic<Bool>(false)

  var isNow: Bool { flag.load(ordering: .relaxed) }

  func end() { flag.store(true, ordering: .relaxed) }
}
