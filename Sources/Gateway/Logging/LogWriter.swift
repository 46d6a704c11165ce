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
    /// Batches that were written, emptied: their memory is used again.
    var spares: [[UInt8]] = []
    /// Not told of yet.
    var droppedLines = 0
    var droppedLinesTotal = 0
    var mustReopen = false
    var isEnding = false
    var hasEnded = false

    mutating func drop(_ count: Int) {
      droppedLines += count
      droppedLinesTotal += count
    }
  }

  /// Where lines go.
  package enum Target: Sendable, Hashable {
    /// Appended to; made where there is none.
    case file(String)
    case standardOutput
    case standardError
  }

  private static let sparesMax = 2

  private let target: Target
  private let queuedBytesMax: Int
  /// The line that says how many were dropped, without its end; nil: the operator is told.
  private let droppedLine: @Sendable (Int) -> String?
  private let state = Mutex(State())
  private let work = Semaphore()
  private let ended = Semaphore()
  /// Told of trouble with the file, at most once a minute.
  private let report: Report
  /// Asked for lines of its own about once a second, on its thread.
  private let idle: (@Sendable () -> [UInt8])?

  package init(
    _ target: Target, queuedBytesMax: Int, droppedLine: @escaping @Sendable (Int) -> String?,
    idle: (@Sendable () -> [UInt8])? = nil, report: @escaping Report
  ) {
    self.target = target
    self.queuedBytesMax = queuedBytesMax
    self.droppedLine = droppedLine
    self.idle = idle
    self.report = report
  }

  /// Of the access log.
  package convenience init(
    accessLog target: Target, format: AccessLogSettings.Format = .json,
    report: @escaping Report
  ) {
    self.init(
      target, queuedBytesMax: Limits.logQueuedBytesMax,
      droppedLine: { LogLayout.droppedLine($0, in: format) }, report: report)
  }

  /// How many lines could not be written since the start.
  package var droppedLinesTotal: Int { state.withLock { $0.droppedLinesTotal } }

  /// Opens the file and starts the thread.
  ///
  /// - Throws: when the file can't be opened or no thread be had.
  package func start() throws(SystemError) -> WorkerThread.Handle {
    let file: FileDescriptor?
    do throws(SystemError) {
      file = try open()
    } catch {
      throw SystemError(call: "\(error.call) the access log \(name)", code: error.code)
    }
    let opened = LogFile(file, standard: standardDescriptor)
    return try WorkerThread.start(threadName) { [self] in run(opened) }
  }

  /// Hands lines over; takes no time.
  package func write(_ lines: [UInt8]) {
    var batch = lines
    take(&batch)
  }

  /// Hands lines over; takes no time.
  ///
  /// - Parameter batch: has room for the next lines afterwards, where there is any to spare.
  func take(_ batch: inout [UInt8]) {
    state.withLock { state in
      if state.queuedBytes + batch.count > queuedBytesMax {
        state.drop(batch.count { $0 == UInt8(ascii: "\n") })
        batch.removeAll(keepingCapacity: true)
        return
      }
      state.queuedBytes += batch.count
      state.queue.append(batch)
      batch = state.spares.popLast() ?? []
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
    guard case .file(let path) = target else { return nil }
    return try Files.openAppending(path)
  }

  private var standardDescriptor: CInt {
    switch target {
    case .file, .standardOutput: 1
    case .standardError: 2
    }
  }

  private var threadName: String {
    switch target {
    case .file, .standardOutput: "tg-log"
    case .standardError: "tg-said"
    }
  }

  private var name: String {
    switch target {
    case .file(let path): path
    case .standardOutput: "-"
    case .standardError: "standard error"
    }
  }

  /// Whether it could be told that so many lines are not there.
  private func tell(of droppedLines: Int, _ file: LogFile) -> Bool {
    guard let line = droppedLine(droppedLines) else {
      let why = "whatever takes them is too slow"
      report(.warning("access log \(name): \(droppedLines) lines were dropped; \(why)"))
      return true
    }
    return (try? Files.write(Array("\(line)\n".utf8), to: file.raw)) != nil
  }

  /// Leaves the memory of the last few batches for others.
  private func spare(_ batches: inout [[UInt8]]) {
    let last = batches.indices.suffix(Self.sparesMax)
    for index in last { batches[index].removeAll(keepingCapacity: true) }
    let spares = Array(batches[last])
    if !spares.isEmpty { state.withLock { $0.spares = spares } }
  }

  private func run(_ opened: LogFile) {
    var file = opened
    var reportedAtMs = Int64.min
    func trouble(_ error: SystemError) {
      let nowMs = Clock.monotonicNs() / 1_000_000
      if reportedAtMs == .min || nowMs - reportedAtMs > 60_000 {
        reportedAtMs = nowMs
        report(.error("access log \(name): \(error); lines are dropped until it takes them again"))
      }
    }
    while true {
      var taken = state.withLock { state in
        defer {
          state.queue = []
          state.queuedBytes = 0
          state.mustReopen = false
        }
        return state
      }
      // Memory that two name is copied when one of them writes to it.
      taken.spares = []
      if taken.mustReopen {
        do throws(SystemError) {
          file = LogFile(try open(), standard: standardDescriptor)
        } catch {
          trouble(error)
        }
      }
      for (index, lines) in taken.queue.enumerated() {
        do throws(SystemError) {
          try Files.write(lines, to: file.raw)
        } catch {
          trouble(error)
          let lost = taken.queue[index...].reduce(0) { sum, lines in
            sum + lines.count { $0 == UInt8(ascii: "\n") }
          }
          state.withLock { $0.drop(lost) }
          break
        }
      }
      spare(&taken.queue)
      if taken.droppedLines > 0, !taken.queue.isEmpty {
        if tell(of: taken.droppedLines, file) {
          state.withLock { $0.droppedLines -= taken.droppedLines }
        }
      }
      if taken.isEnding, taken.queue.isEmpty {
        state.withLock { $0.hasEnded = true }
        ended.signal()
        return
      }
      if taken.queue.isEmpty {
        // Nobody is left to be told when this fails.
        if let lines = idle?(), !lines.isEmpty { try? Files.write(lines, to: file.raw) }
        // Without work for a while, no memory is kept for it.
        if !work.wait(milliseconds: 1_000) { state.withLock { $0.spares = [] } }
      }
    }
  }
}

/// The file that is being written, or one of the standard ones.
private final class LogFile: Sendable {
  private let file: FileDescriptor?
  private let standard: CInt

  init(_ file: consuming FileDescriptor?, standard: CInt) {
    self.file = file
    self.standard = standard
  }

  var raw: CInt {
    switch file {
    case .some(let file): file.raw
    case .none: standard
    }
  }
}
