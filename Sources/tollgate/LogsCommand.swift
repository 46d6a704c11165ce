import Gateway
import Glibc
import Reactor
import Wire

/// `tollgate logs`: the access log for people: aligned, filtered, followed, summed up.
struct LogsCommand {
  private var paths: [String] = []
  private var filter = LogReader.Filter()
  private var follows = false
  private var sums = false
  private var isRaw = false
  private var colouring = Colouring.auto

  static func run(_ arguments: [String]) throws(Wrong) -> CommandLineTool.ExitStatus {
    Signals.unblock()
    var command = try LogsCommand(arguments)
    return try command.run()
  }

  private init(_ arguments: [String]) throws(Wrong) {
    var options = Options(arguments, of: .logs)
    while let item = try options.next() {
      switch item {
      case .option("--where"): filter.conditions.append(try Self.condition(try options.value()))
      case .option("--route"):
        filter.conditions.append(try Self.condition("route=\(try options.value())"))
      case .option("--since"): filter.sinceMs = try Self.moment(try options.value(), "--since")
      case .option("--until"): filter.untilMs = try Self.moment(try options.value(), "--until")
      case .option("--refused"): filter.isRefusedOnly = true
      case .option("--follow"): follows = true
      case .option("--summary"): sums = true
      case .option("--json"): isRaw = true
      case .option("--no-color"): colouring = .never
      case .option: colouring = Colouring(rawValue: try options.value()) ?? .auto
      case .argument(let text): paths.append(text)
      }
    }
    if follows, sums { throw Wrong(text: "--follow has no end that --summary could wait for") }
    if isRaw, sums { throw Wrong(text: "--summary is text: it has nothing for --json") }
    if follows, paths.count > 1 { throw Wrong(text: "--follow takes one file") }
  }

  private static func condition(_ text: String) throws(Wrong) -> LogCondition {
    do throws(LogCondition.Fault) {
      return try LogCondition(text)
    } catch {
      throw Wrong(text: "\"\(text)\": \(error.text)")
    }
  }

  /// `10m`: so long ago; or a date and time.
  private static func moment(_ text: String, _ option: String) throws(Wrong) -> Int64 {
    if let ms = RFC3339.parse(Array(text.utf8).span) { return ms }
    let units: [(String, Int64)] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)]
    for (unit, seconds) in units where text.hasSuffix(unit) {
      if let count = Int64(text.dropLast()), count >= 0, count < 1_000_000 {
        return Clock.wallMs() - count * seconds * 1_000
      }
    }
    if let ms = dayAndTime(text) { return ms }
    throw Wrong(
      text: "\(option) \"\(text)\": expected 10m, 2h or 3d, or a time: 2026-11-25T09:00:00Z, "
        + "2026-11-25, \"2026-11-25 09:00\", or 09:00 of today (all UTC, as they are shown)")
  }

  /// A date, a time of today or both, to the minute or the second, as they are shown.
  private static func dayAndTime(_ text: String) -> Int64? {
    var parts = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    if parts.count == 1, text.contains(":") {
      var today: [UInt8] = []
      RFC3339.append(epochMs: Clock.wallMs(), to: &today)
      parts.insert(String(decoding: today.prefix(10), as: UTF8.self), at: 0)
    } else if parts.count == 1 {
      parts.append("00:00")
    }
    guard parts.count == 2 else { return nil }
    let seconds = parts[1].utf8.count == 5 ? ":00" : ""
    return RFC3339.parse(Array("\(parts[0])T\(parts[1])\(seconds)Z".utf8).span)
  }

  private mutating func run() throws(Wrong) -> CommandLineTool.ExitStatus {
    if paths.isEmpty {
      guard let path = usualPath() else {
        throw Wrong(
          text: """
            which log? Name a file, or pipe one in. There is no routes file here, it names no file
            for its log, or it can't be read: tollgate check says why.
            """)
      }
      paths = [path]
    }
    var printer = LogPrinter(isRaw: isRaw, sums: sums, paint: colouring.paint)
    var reader = LogReader(filter)
    var status = CommandLineTool.ExitStatus.well
    for path in paths {
      do throws(SystemError) {
        if let trouble = try read(path, &reader, &printer) {
          Output.error("tollgate logs: \(path): \(trouble)")
          status = .badInput
        }
      } catch {
        if error.code == EPIPE { return .well }
        Output.error("tollgate logs: \(path): \(error)")
        status = .badInput
      }
      if printer.isOver { return status }
    }
    if let unknown = Self.unknownField(reader) { throw Wrong(text: unknown, status: .badInput) }
    printer.finish()
    guard reader.notUnderstoodCount > 0 else { return status }
    let lines = reader.notUnderstoodCount == 1 ? "line was" : "lines were"
    let count = Numbers.grouped(reader.notUnderstoodCount)
    guard reader.requestCount == 0 else {
      Output.error("tollgate logs: \(count) \(lines) not understood")
      return status
    }
    let all = reader.notUnderstoodCount == 1 ? "the one line was not" : "none of \(count) lines was"
    throw Wrong(
      text: "\(all) understood: this reads logs whose accessLog.format is json, otel or ecs",
      status: .badInput)
  }

  /// What to say of a field that no line had.
  private static func unknownField(_ reader: LogReader) -> String? {
    reader.unknownField.map { name, nearest in
      let hint = nearest.map { "did you mean \"\($0)\"?" }
      let fields = AccessLogField.allCases.filter { $0 != .claims }.map(\.name)
      return "no line has a field \"\(name)\"; "
        + (hint ?? "there are \(fields.joined(separator: ", ")), and the claims configured")
    }
  }

  /// Where there is no terminal there is a pipe; else the routes file says where its log is.
  private func usualPath() -> String? {
    if isatty(0) == 0 { return "-" }
    return RoutesArgument.path([]).flatMap(RoutesArgument.accessLog)
  }

  /// - Returns: what is wrong with the content.
  private func read(
    _ path: String, _ reader: inout LogReader, _ printer: inout LogPrinter
  ) throws(SystemError) -> String? {
    var hasLooked = false
    var hasBegun = false
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    var input = path == "-" ? InputFile.standardInput() : try InputFile.open(path)
    var opened = Files.fingerprint(path)?.identity
    var readCount: Int64 = 0
    while !printer.isOver {
      let count = try input.read(into: &buffer)
      if count > 0 {
        if !hasBegun, let packer = Self.packer(of: buffer.prefix(count)) {
          return "this is packed: \(packer) -dc\(path == "-" ? "" : " \(path)") | tollgate logs -"
        }
        hasBegun = true
        readCount += Int64(count)
        printer.take(&reader, buffer.span.extracting(0..<count))
        continue
      }
      guard follows, path != "-", !input.isPacked else { break }
      printer.flush()
      if !hasLooked, let unknown = Self.unknownField(reader) {
        Output.error("tollgate logs: \(unknown)")
      }
      hasLooked = true
      // A log that was moved away is read to its end before the new one is begun; one that was
      // copied and emptied (logrotate's copytruncate) begins anew.
      if let now = Files.fingerprint(path),
        now.identity != opened || now.byteCount < readCount
      {
        (opened, readCount) = (now.identity, 0)
        reader.finish { _, _, _ in }
        input = try InputFile.open(path)
        continue
      }
      usleep(200_000)
    }
    printer.finish(&reader)
    return input.finish() || printer.isOver ? nil : "gzip could not read all of it"
  }

  /// The program that has packed a file, by the bytes that it begins with.
  private static func packer(of bytes: ArraySlice<UInt8>) -> String? {
    let marks: [([UInt8], String)] = [
      ([0x1F, 0x8B], "gzip"), ([0x28, 0xB5, 0x2F, 0xFD], "zstd"), ([0xFD, 0x37, 0x7A, 0x58], "xz"),
      (Array("BZh".utf8), "bzip2"),
    ]
    return marks.first { bytes.starts(with: $0.0) }?.1
  }
}

/// Writes what was wanted of a log.
private struct LogPrinter {
  private let isRaw: Bool
  private let paint: Paint
  private var summary: LogSummary?
  private var output: [UInt8] = []
  private var day = ""
  /// Nobody reads what is written any more.
  private(set) var isOver = false

  init(isRaw: Bool, sums: Bool, paint: Paint) {
    self.isRaw = isRaw
    self.paint = paint
    summary = sums ? LogSummary() : nil
  }

  mutating func take(_ reader: inout LogReader, _ piece: Span<UInt8>) {
    reader.read(piece) { event, line, text in note(event, line, text) }
  }

  mutating func finish(_ reader: inout LogReader) {
    reader.finish { event, line, text in note(event, line, text) }
  }

  private mutating func note(_ event: LogReader.Event, _ line: LogLine, _ text: Span<UInt8>) {
    if summary != nil {
      switch event {
      case .request: summary?.add(line, text)
      case .notUnderstood: summary?.addNotUnderstood()
      case .dropped(let count): summary?.addDropped(count)
      }
      return
    }
    switch event {
    case .request:
      if isRaw {
        output.append(copying: text)
        output.append(UInt8(ascii: "\n"))
      } else {
        showDay(line, text)
        output += "\(LogText.line(line, text, paint: paint))\n".utf8
      }
    case .notUnderstood: break
    case .dropped(let count):
      if !isRaw { output += "\(paint.yellow("… \(count) lines were dropped here"))\n".utf8 }
    }
    if output.count > 64 << 10 { flush() }
  }

  /// Lines have the time of day; a line of its own says which day it is.
  private mutating func showDay(_ line: LogLine, _ text: Span<UInt8>) {
    guard let range = line.range(.time), range.count >= 10 else { return }
    var now: [UInt8] = []
    now.append(copying: text.extracting(range.prefix(10)))
    let name = LogText.shown(now)
    if name == day { return }
    day = name
    output += "\(paint.dim("── \(day) UTC ──"))\n".utf8
  }

  mutating func flush() {
    if output.isEmpty || isOver { return }
    do throws(SystemError) {
      try Files.write(output, to: 1)
    } catch {
      isOver = true
    }
    output.removeAll(keepingCapacity: true)
  }

  mutating func finish() {
    if let summary { output += summary.text(paint).utf8 }
    flush()
  }
}
