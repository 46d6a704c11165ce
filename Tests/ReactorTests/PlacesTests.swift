import Synchronization
import TestSupport
import Testing

@testable import Reactor

/// A clock that stands still until it is told otherwise.
private final class Clockwork: Sendable {
  private let ms = Atomic<Int64>(0)

  var nowMs: Int64 { ms.load(ordering: .relaxed) }

  func advance(to nowMs: Int64) { ms.store(nowMs, ordering: .relaxed) }
}

/// Who waits for a place, and that none is lost: the limits of connections and of token calls.
struct PlacesTests {
  @Test func `hands out so many and no more`() async throws {
    try await Stage.run { stage in
      let places = Places(2, queueMax: 0)
      let waiter = stage.makeWaiter()
      #expect(await places.enter(waiter, untilMs: .max) == .taken)
      #expect(await places.enter(waiter, untilMs: .max) == .taken)
      #expect(await places.enter(waiter, untilMs: .max) == .refused)
      places.give()
      #expect(await places.enter(waiter, untilMs: .max) == .taken)
    }
  }

  @Test func `with fewer places who has one keeps it, and nobody gets more`() async throws {
    try await Stage.run { stage in
      let places = Places(4)
      let waiters = (0..<6).map { _ in stage.makeWaiter() }
      for waiter in waiters[..<4] { #expect(places.claim(waiter.remote) == .taken) }
      places.limit(to: 2)
      #expect(!places.hasRoom && places.taken == 4)
      #expect(places.claim(waiters[4].remote) == .queued)
      #expect(places.claim(waiters[5].remote) == .queued)
      places.give()
      places.give()
      #expect(places.taken == 2 && !places.takeGranted(waiters[4].remote))
      places.give()
      #expect(places.taken == 2 && places.takeGranted(waiters[4].remote))
      // With more again, who waits has them at once.
      places.limit(to: 9)
      #expect(places.taken == 3 && places.takeGranted(waiters[5].remote))
      #expect(places.hasRoom && !places.hasWaiting)
      places.limit(to: 0)
      for _ in 0..<3 { places.give() }
      #expect(places.hasRoom, "one there is always")
    }
  }

  @Test func `with a part of the places a part of the queue is long`() async throws {
    try await Stage.run { stage in
      let places = Places(10, newestFirstAt: 20)
      let waiters = (0..<4).map { _ in stage.makeWaiter() }
      places.limit(to: 1)
      #expect(places.claim(waiters[0].remote) == .taken)
      for waiter in waiters[1...] { #expect(places.claim(waiter.remote) == .queued) }
      places.give()
      #expect(places.takeGranted(waiters[3].remote), "who came last is next")
    }
  }

  @Test func `bounds the queue, and a place in it comes free again`() async throws {
    try await Stage.run { stage in
      let places = Places(1, queueMax: 1)
      let (one, other) = (stage.makeWaiter(), stage.makeWaiter())
      #expect(places.claim(one.remote) == .taken)
      #expect(places.claim(one.remote) == .queued)
      #expect(places.hasWaiting)
      #expect(places.claim(other.remote) == .refused)
      places.leave(one.remote)
      #expect(!places.hasWaiting)
      #expect(places.claim(other.remote) == .queued)
    }
  }

  @Test func `a place goes to who waits longest, and nobody overtakes`() async throws {
    try await Stage.run { stage in
      let places = Places(1)
      let waiters = (0..<4).map { _ in stage.makeWaiter() }
      #expect(places.claim(waiters[0].remote) == .taken)
      for waiter in waiters[1...] { #expect(places.claim(waiter.remote) == .queued) }
      for index in 1..<4 {
        places.give()
        // It is theirs before they wake: who comes now waits.
        let late = stage.makeWaiter()
        #expect(places.claim(late.remote) == .queued)
        places.leave(late.remote)
        for (number, waiter) in waiters.enumerated() {
          #expect(places.takeGranted(waiter.remote) == (number == index))
        }
      }
    }
  }

  @Test func `of a queue that is too long who came last is next, until it is short`() async throws {
    try await Stage.run { stage in
      let places = Places(1, newestFirstAt: 10)
      let waiters = (0..<12).map { _ in stage.makeWaiter() }
      #expect(places.claim(stage.makeWaiter().remote) == .taken)
      for waiter in waiters { #expect(places.claim(waiter.remote) == .queued) }
      // 12, 11 and 10 wait, then 9: short enough, and the others have their order.
      for index in [11, 10, 9, 0, 1, 2] {
        places.give()
        #expect(places.takeGranted(waiters[index].remote), "number \(index)")
      }
    }
  }

  @Test func `where it is full, who has waited long gives way to who comes`() async throws {
    let clock = Clockwork()
    try await Stage.run { stage in
      let places = Places(1, queueMax: 2, newestFirstAt: 2, nowMs: { clock.nowMs })
      let waiters = (0..<4).map { _ in stage.makeWaiter() }
      #expect(places.claim(stage.makeWaiter().remote) == .taken)
      #expect(places.claim(waiters[0].remote) == .queued)
      #expect(places.claim(waiters[1].remote) == .queued)
      clock.advance(to: 100)
      #expect(places.claim(waiters[2].remote) == .refused)
      clock.advance(to: 101)
      #expect(places.claim(waiters[2].remote) == .queued)
      #expect(await waiters[0].wait(untilMs: stage.patience))
      // Nobody takes what another was displaced from, and no place is lost.
      #expect(places.waitingCount == 2)
      #expect(!places.takeGranted(waiters[0].remote))
      places.give()
      #expect(places.takeGranted(waiters[2].remote))
      places.give()
      #expect(places.takeGranted(waiters[1].remote))
      places.give()
      #expect(places.claim(waiters[3].remote) == .taken)
    }
  }

  @Test func `who gave way is told that there is no place`() async throws {
    let clock = Clockwork()
    try await Stage.run { stage in
      let places = Places(1, queueMax: 1, newestFirstAt: 1, nowMs: { clock.nowMs })
      let (old, new) = (stage.makeWaiter(), stage.makeWaiter())
      #expect(places.claim(stage.makeWaiter().remote) == .taken)
      let (loop, remote) = (stage.loop, new.remote)
      // It comes when the old one waits.
      loop.spawn { @Sendable in
        let waiter = Waiter(on: loop)
        while places.waitingCount == 0 { await waiter.pause() }
        clock.advance(to: 200)
        _ = places.claim(remote)
      }
      #expect(await places.enter(old, untilMs: stage.patience) == .refused)
      #expect(places.waitingCount == 1)
      places.give()
      #expect(places.takeGranted(new.remote))
    }
  }

  @Test func `who had to give way just when it gave up may come again`() async throws {
    let clock = Clockwork()
    try await Stage.run { stage in
      let places = Places(1, queueMax: 1, newestFirstAt: 1, nowMs: { clock.nowMs })
      let (old, new) = (stage.makeWaiter(), stage.makeWaiter())
      #expect(places.claim(stage.makeWaiter().remote) == .taken)
      #expect(places.claim(old.remote) == .queued)
      clock.advance(to: 200)
      #expect(places.claim(new.remote) == .queued)
      places.leave(old.remote)
      places.leave(new.remote)
      #expect(await old.wait(untilMs: stage.patience))
      // It waits to the end of its time, and nobody tells it of what was.
      #expect(await places.enter(old, untilMs: stage.loop.nowMs + 1) == .timedOut)
    }
  }

  @Test func `a wake-up for another reason takes no place and loses none`() async throws {
    try await Stage.run { stage in
      let places = Places(1)
      let (one, other) = (stage.makeWaiter(), stage.makeWaiter())
      #expect(places.claim(stage.makeWaiter().remote) == .taken)
      #expect(places.claim(one.remote) == .queued)
      #expect(places.claim(other.remote) == .queued)
      // The first is woken by its socket, again and again, while it stands in the queue.
      for _ in 0..<3 {
        one.signal()
        #expect(await one.wait(untilMs: stage.patience))
        #expect(!places.takeGranted(one.remote))
      }
      for waiter in [one, other] {
        places.give()
        #expect(await waiter.wait(untilMs: stage.patience))
        #expect(places.takeGranted(waiter.remote))
      }
    }
  }

  @Test func `who gave up is passed over`() async throws {
    try await Stage.run { stage in
      let places = Places(1)
      let (gone, waiting) = (stage.makeWaiter(), stage.makeWaiter())
      #expect(places.claim(stage.makeWaiter().remote) == .taken)
      // Its time is up at once.
      #expect(await places.enter(gone, untilMs: stage.loop.nowMs) == .timedOut)
      #expect(places.claim(waiting.remote) == .queued)
      places.give()
      #expect(await waiting.wait(untilMs: stage.patience))
      #expect(places.takeGranted(waiting.remote))
    }
  }

  @Test func `who gives up just when a place came passes it on`() async throws {
    try await Stage.run { stage in
      let places = Places(1)
      let (gone, waiting) = (stage.makeWaiter(), stage.makeWaiter())
      #expect(places.claim(stage.makeWaiter().remote) == .taken)
      #expect(places.claim(gone.remote) == .queued)
      #expect(places.claim(waiting.remote) == .queued)
      places.give()
      places.leave(gone.remote)
      #expect(await waiting.wait(untilMs: stage.patience))
      #expect(places.takeGranted(waiting.remote))
      // And when nobody waits, it is free.
      places.give()
      #expect(places.claim(gone.remote) == .taken)
    }
  }

  @Test func `many threads never hold more than there are, and all get one`() async throws {
    let places = Places(3)
    let held = Mutex((now: 0, most: 0, total: 0, ended: 0))
    let threads = try (0..<4).map { number in
      let loop = try EventLoop()
      for _ in 0..<25 {
        loop.spawn { @Sendable in
          for _ in 0..<20 {
            let waiter = Waiter(on: loop)
            guard await places.enter(waiter, untilMs: loop.nowMs + Stage.patienceMs) == .taken
            else { break }
            held.withLock { held in
              held.now += 1
              held.most = max(held.most, held.now)
              held.total += 1
            }
            // Gives others the thread while the place is held.
            let remote = waiter.remote
            loop.spawn { @Sendable in remote.signal() }
            _ = await waiter.wait()
            held.withLock { $0.now -= 1 }
            places.give()
          }
          held.withLock { $0.ended += 1 }
        }
      }
      return (loop, try WorkerThread.start("places-\(number)") { loop.run() })
    }
    while held.withLock({ $0.ended < 100 }) { await Task.yield() }
    for (loop, thread) in threads {
      loop.stop()
      thread.join()
    }
    #expect(held.withLock { $0.most } == 3)
    #expect(held.withLock { $0.total } == 2_000)
  }
}
