import Glibc
package import Reactor

/// A worker's thread in a test: an actor whose executor is an event loop.
package actor Stage {
  package nonisolated let loop: EventLoop
  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  private init(_ loop: EventLoop) { self.loop = loop }

  /// How long a test waits for what must come: no test depends on its length.
  package static let patienceMs: Int64 = 20_000

  /// When a wait that begins now is given up.
  package nonisolated var patience: Int64 { loop.nowMs + Self.patienceMs }

  /// A waiter of this loop.
  package func makeWaiter() -> Waiter { Waiter(on: loop) }

  /// Runs `body` on a thread of its own, with a loop of its own, and ends both.
  package static func run<Result: Sendable>(
    _ body: @escaping @Sendable (isolated Stage) async throws -> Result
  ) async throws -> Result {
    // As the product does: OpenSSL writes without a flag against it.
    signal(SIGPIPE, SIG_IGN)
    let loop = try EventLoop()
    let stage = Stage(loop)
    let thread = try WorkerThread.start("stage") { loop.run() }
    defer {
      loop.stop()
      thread.join()
    }
    return try await withCheckedThrowingContinuation { continuation in
      loop.spawn {
        do {
          continuation.resume(returning: try await stage.perform(body))
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
  }

  private func perform<Result: Sendable>(
    _ body: @Sendable (isolated Stage) async throws -> Result
  ) async throws -> Result {
    try await body(self)
  }

  /// Lets every job that is ready now run, and looks once for events.
  package func turn() async {
    let waiter = makeWaiter()
    waiter.remote.signal()
    // The signal is kept, so the first wait returns at once; the second is woken by a job that
    // stands behind all others.
    _ = await waiter.wait()
    let remote = waiter.remote
    loop.spawn { remote.signal() }
    _ = await waiter.wait()
  }
}

/// Something that must come did not.
package struct Impatience: Error {
  package let text: String

  package init(_ text: String) { self.text = text }
}
