import Synchronization

/// Reads files for workers, each on a thread of its own for as long as that takes: a disk, and all
/// the more a file system at the other end of a network, may keep a reader waiting for ever, and a
/// worker never waits.
///
/// Of each path one reading at a time is under way, so that a file system that hangs costs one
/// thread a path and no more.
package final class FileReader: Sendable {
  private final class Reading: Sendable {
    private struct State {
      var outcome: Result<[UInt8], SystemError>?
      var waiters: [RemoteWaiter] = []
    }

    private let state = Mutex(State())

    /// What came of it; until then the waiter is woken when something has.
    func outcome(orWake waiter: RemoteWaiter) -> Result<[UInt8], SystemError>? {
      state.withLock { state in
        if state.outcome == nil, !state.waiters.contains(waiter) { state.waiters.append(waiter) }
        return state.outcome
      }
    }

    func end(_ outcome: Result<[UInt8], SystemError>) {
      let waiters = state.withLock { state in
        state.outcome = outcome
        defer { state.waiters = [] }
        return state.waiters
      }
      for waiter in waiters { waiter.signal() }
    }
  }

  private let readings = Mutex<[String: Reading]>([:])

  package init() {}

  /// The whole content of the file at `path`, as it is from now on: a reading that began earlier is
  /// waited for, and its content is not taken.
  ///
  /// - Parameters:
  ///   - bytesMax: of a file that has more nothing is had (`EFBIG`).
  ///   - waiter: the calling task's own.
  ///   - deadlineMs: on the waiter's loop's clock.
  /// - Throws: the kernel's refusal; `ETIMEDOUT` when the deadline passed.
  package func read(
    _ path: String, bytesMax: Int, waiter: Waiter, untilMs deadlineMs: Int64
  ) async throws(SystemError) -> [UInt8] {
    while true {
      let (reading, isNew) = reading(of: path)
      if isNew { try start(reading, path, bytesMax: bytesMax) }
      while true {
        if let outcome = reading.outcome(orWake: waiter.remote) {
          if isNew { return try outcome.get() }
          break
        }
        let isSignalled = await waiter.wait(untilMs: deadlineMs)
        if !isSignalled { throw SystemError.timedOut("read") }
      }
    }
  }

  private func reading(of path: String) -> (Reading, isNew: Bool) {
    readings.withLock { readings in
      if let underWay = readings[path] { return (underWay, false) }
      let reading = Reading()
      readings[path] = reading
      return (reading, true)
    }
  }

  private func start(
    _ reading: Reading, _ path: String, bytesMax: Int
  ) throws(SystemError) {
    do throws(SystemError) {
      let thread = try WorkerThread.start("tg-reader") { [self] in
        let outcome: Result<[UInt8], SystemError>
        do throws(SystemError) {
          outcome = .success(try Files.read(path, bytesMax: bytesMax))
        } catch {
          outcome = .failure(error)
        }
        end(reading, path, outcome)
      }
      thread.detach()
    } catch {
      end(reading, path, .failure(error))
      throw error
    }
  }

  /// Whoever waits is told when nobody finds the reading any more.
  private func end(
    _ reading: Reading, _ path: String, _ outcome: Result<[UInt8], SystemError>
  ) {
    readings.withLock { $0[path] = nil }
    reading.end(outcome)
  }
}
