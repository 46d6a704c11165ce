package import Gateway
import Reactor
import Synchronization

/// `tollgate demo --once`: a caller on a loop of its own that walks through the demo and checks
/// what it sees.
package final class Walk: Sendable {
  private let loop: EventLoop
  private let thread: WorkerThread.Handle
  private let result: Result

  private final class Result: Sendable {
    let holds = Mutex<Bool?>(nil)
    let isThere = Semaphore()
  }

  /// Begins.
  ///
  /// - Parameter print: takes a line, or several, for people; from the walk's thread.
  package init(
    _ system: DemoSystem, paint: Paint, print: @escaping @Sendable (String) -> Void
  ) throws(DemoSystem.Failure) {
    let result = Result()
    let loop: EventLoop
    do throws(SystemError) {
      loop = try EventLoop()
      let walker = Walker(loop: loop, system: system, report: WalkReport(paint, print))
      loop.spawn {
        let holds = await walker.walk()
        result.holds.withLock { $0 = holds }
        result.isThere.signal()
      }
      thread = try WorkerThread.start("tg-walk") { loop.run() }
    } catch {
      throw DemoSystem.Failure(description: "\(error)")
    }
    self.loop = loop
    self.result = result
  }

  /// Whether all of it held; nil while the walk is under way.
  package var outcome: Bool? { result.holds.withLock { $0 } }

  /// Waits for the outcome, at most so long.
  package func waitForOutcome(milliseconds: Int64) -> Bool? {
    result.isThere.wait(milliseconds: milliseconds)
    return outcome
  }

  /// Ends the walk's thread; to be called once.
  package func stop() {
    loop.stop()
    thread.join()
  }
}
