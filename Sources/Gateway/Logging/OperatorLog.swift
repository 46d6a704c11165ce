package import Reactor
import Synchronization

/// What a running gateway says to its operator: lines on standard error.
///
/// Whoever has something to say may be a worker, or the thread that takes the signals, and whoever
/// collects the lines may stand still. So a thread of its own writes them; what does not fit its
/// queue is dropped and counted.
package final class OperatorLog: Sendable {
  private let format: OperatorLineFormat
  private let writer: LogWriter
  private let thread: WorkerThread.Handle
  private let repeated: Repeated

  /// What is left out, shared with the writer's thread.
  private final class Repeated: Sendable {
    let repetitions = Mutex(Repetitions())

    func over(atMs nowMs: Int64, in format: OperatorLineFormat) -> [UInt8] {
      let lines = repetitions.withLock { $0.takeOver(nowMs: nowMs) }
      return lines.flatMap { format.line($0, atMs: Clock.wallMs()) }
    }
  }

  /// - Throws: when no thread can be had.
  package init(format: OperatorLineFormat = .text) throws(SystemError) {
    self.format = format
    let repeated = Repeated()
    self.repeated = repeated
    writer = LogWriter(
      .standardError, queuedBytesMax: Limits.saidBytesMax,
      droppedLine: { count in
        let line = format.line(
          .warning("\(count) lines were dropped here: standard error was not read"),
          atMs: Clock.wallMs())
        return String(decoding: line.dropLast(), as: UTF8.self)
      },
      idle: { repeated.over(atMs: Clock.monotonicNs() / 1_000_000, in: format) },
      report: { _ in })
    thread = try writer.start()
  }

  /// Says what the running gateway reports; takes no time. What repeats is left out and counted.
  package func report(_ line: OperatorLine) {
    let nowMs = Clock.monotonicNs() / 1_000_000
    guard repeated.repetitions.withLock({ $0.take(line, nowMs: nowMs) }) else { return }
    writer.write(format.line(line, atMs: Clock.wallMs()))
  }

  /// Says what the command line itself has to say, as it is; takes no time.
  package func say(_ line: OperatorLine) { writer.write(format.own(line, atMs: Clock.wallMs())) }

  /// Says a line of information, or several lines that are one.
  package func say(_ text: String) { say(.info(text)) }

  /// Waits until all is written; where nobody reads it, not for long.
  package func end() {
    let over = repeated.over(atMs: .max, in: format)
    if !over.isEmpty { writer.write(over) }
    if writer.end(withinMs: Limits.logEndMs) { thread.join() }
  }
}
