package import Reactor

/// What a running gateway says to its operator: lines on standard error.
///
/// Whoever has something to say may be a worker, or the thread that takes the signals, and whoever
/// collects the lines may stand still. So a thread of its own writes them; what does not fit its
/// queue is dropped and counted.
package final class OperatorLog: Sendable {
  private let writer = LogWriter(
    .standardError, queuedBytesMax: Limits.saidBytesMax,
    droppedLine: { "tollgate: \($0) lines were dropped here: standard error was not read" },
    report: { _ in })
  private let thread: WorkerThread.Handle

  /// - Throws: when no thread can be had.
  package init() throws(SystemError) {
    thread = try writer.start()
  }

  /// Says a line, or several; takes no time.
  package func say(_ text: String) { writer.write(Array("\(text)\n".utf8)) }

  /// Waits until all is written; where nobody reads it, not for long.
  package func end() {
    if writer.end(withinMs: Limits.logEndMs) { thread.join() }
  }
}
