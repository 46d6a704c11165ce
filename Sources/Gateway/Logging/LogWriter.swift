package import Reactor
import Synchronization

/// Writes log lines on a thread of its own, so that a slow disk never holds a worker up.
///
/// Workers hand over whole batches of lines. When more than `queuedBytesMax` wait, batches are
/// dropped and their lines counted, and the count is written as a line when there is room again.
package final class LogWriter: Sendable {
  private struct State {
    var queue: [[UInt8]] = []
    var queuedBytes = 0
    var droppedLines = 0
    var mustReopen = false
    var isEnding = false
    var hasEnded = false
  }

  /// Four seconds of 10,000 lines of 400 bytes: a short stall costs nothing, a long one not memory.
  private static let queuedBytesMax = 16 << 20

  /// A file's path, or "-" for standard output.
  private let path: String
  private let state = Mutex(State())
  private let work = Semaphore()
  private let ended = Semaphore()
  /// Told of trouble with the file, at most once a minute.
  private let report: @Sendable (String) -> Void

  package init(path: String, report: @escaping @Sendable (String) -> Void) {
    self.path = path
    self.report = report
  }

  /// Opens the file and starts the thread.
  ///
  /// - Throws: when the file can't be opened or no thread be had.
  package func start() throws(SystemError) -> WorkerThread.Handle {
    let file: FileDescriptor?
    do throws(SystemError) {
      file = try open()
    } catch {
      throw SystemError(call: "\(error.call) the access log \(path)", code: error.code)
    }
    let raw = LogFile(file)
    return try WorkerThread.start("tg-log") { [self] in run(raw) }
  }

  /// Hands lines over; takes no time.
  package func write(_ lines: [UInt8]) {
    state.withLock { state in
      if state.queuedBytes + lines.count > Self.queuedBytesMax {
        state.droppedLines += lines.count { $0 == UInt8(ascii: "\n") }
        return
      }
      state.queuedBytes += lines.count
      state.queue.append(lines)
    }
    work.signal()
  }

  /// Opens the file anew before the next line (after a rotation).
  package func reopen() {
    state.withLock { $0.mustReopen = true }
    work.signal()
  }

  /// Has the thread end when all that was handed over is written, and does not wait for it.
  package func endSoon() {
    state.withLock { $0.isEnding = true }
    work.signal()
  }

  /// Ends the thread when all that was handed over is written.
  ///
  /// - Returns: whether it has ended within the time. Where nobody reads what it writes it never
  ///   does, and must not be waited for.
  package func end(withinMs: Int64) -> Bool {
    endSoon()
    ended.wait(milliseconds: withinMs)
    return state.withLock { $0.hasEnded }
  }

  private func open() throws(SystemError) -> FileDescriptor? {
    if path == "-" { return nil }
    return try Files.openAppending(path)
  }

  private func run(_ opened: LogFile) {
    var file = opened
    var reportedAtMs = Int64.min
    func trouble(_ error: SystemError) {
      let nowMs = Clock.monotonicNs() / 1_000_000
      if reportedAtMs == .min || nowMs - reportedAtMs > 60_000 {
        reportedAtMs = nowMs
        report("access log \(path): \(error)")
      }
    }
    while true {
      let taken = state.withLock { state in
        defer {
          state.queue = []
          state.queuedBytes = 0
          state.mustReopen = false
        }
        return state
      }
      if taken.mustReopen {
        do throws(SystemError) { file = LogFile(try open()) } catch { trouble(error) }
      }
      for (index, lines) in taken.queue.enumerated() {
        do throws(SystemError) {
          try Files.write(lines, to: file.raw)
        } catch {
          trouble(error)
          let lost = taken.queue[index...].reduce(0) { sum, lines in
            sum + lines.count { $0 == UInt8(ascii: "\n") }
          }
          state.withLock { $0.droppedLines += lost }
          break
        }
      }
      if taken.droppedLines > 0, !taken.queue.isEmpty {
        let line = "{\"dropped_lines\":\(taken.droppedLines)}\n"
        if (try? Files.write(Array(line.utf8), to: file.raw)) != nil {
          state.withLock { $0.droppedLines -= taken.droppedLines }
        }
      }
      if taken.isEnding, taken.queue.isEmpty {
        state.withLock { $0.hasEnded = true }
        ended.signal()
        return
      }
      if taken.queue.isEmpty { work.wait(milliseconds: 1_000) }
    }
  }
}

/// The file that is being written, or standard output.
private final class LogFile: Sendable {
  private let file: FileDescriptor?

  init(_ file: consuming FileDescriptor?) { self.file = file }

  var raw: CInt {
    switch file {
    case .some(let file): file.raw
    case .none: 1
    }
  }
}
