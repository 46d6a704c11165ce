import Gateway
import Glibc
import Reactor
import Wire

/// `tollgate logs`: the access log for people: aligned, filtered, followed, summed up.
struct LogsCommand {
  static let usage = """
    Usage: tollgate logs [FILE…] [OPTION…]

    Shows an access log (formats json, otel and ecs; files that end in .gz too). Without FILE it is
    standard input, or, at a terminal, the log that the routes file here names. "-" is standard
    input as well.

      --where FIELD=VALUE   only lines whose field has that value; also FIELD!=VALUE, and
                            FIELD>NUMBER, >=, <, <=. VALUE may end in *, a status may be 4xx, and
                            an empty VALUE means that the field is absent. Several must all hold
      --route NAME          the same as --where route=NAME
      --refused             only requests that were turned away
      --since TIME          not older than: 10m, 2h, 3d ago, or 2026-11-25T09:00:00Z
      --until TIME          older than
      --follow, -f          go on with what is written from now on, also after a rotation
      --summary             counts, percentiles, refusals, slowest, callers
      --json                the lines as they are in the file
      --color WHEN          auto (default), always or never

    Exit status: 0 well, 1 a file could not be read, 2 usage.

    """

  private var paths: [String] = []
  private var filter = LogReader.Filter()
  private var follows = false
  private var sums = false
  private var isRaw = false
  private var colouring = Colouring.auto

  static func run(_ arguments: [String]) -> CommandLineTool.ExitStatus {
    Signals.unblock()
    do throws(Wrong) {
      var command = try LogsCommand(arguments)
      return command.run()
    } catch {
      Output.error("tollgate logs: \(error.text)\nSee tollgate logs --help.")
      return .usage
    }
  }

  private init(_ arguments: [String]) throws(Wrong) {
    var options = Options(arguments, valued: Self.valued)
    while let argument = options.next() {
      switch argument {
      case "--where": filter.conditions.append(try Self.condition(try options.value(of: argument)))
      case "--route":
        filter.conditions.append(try Self.condition("route=\(try options.value(of: argument))"))
      case "--since": filter.sinceMs = try Self.moment(try options.value(of: argument), argument)
      case "--until": filter.untilMs = try Self.moment(try options.value(of: argument), argument)
      case "--refused": filter.isRefusedOnly = true
      case "--follow", "-f": follows = true
      case "--summary": sums = true
      case "--json": isRaw = true
      case "--no-color": colouring = .never
      case "--color": colouring = try Colouring(option: try options.value(of: argument))
      case "-": paths.append(argument)
      default:
        if argument.hasPrefix("-") { throw Wrong(text: "unknown option \"\(argument)\"") }
        paths.append(argument)
      }
    }
    if follows, sums { throw Wrong(text: "--follow has no end that --summary could wait for") }
    if follows, paths.count > 1 { throw Wrong(text: "--follow takes one file") }
  }

  private static let valued = ["--where", "--route", "--since", "--until", "--color"]

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
    throw Wrong(
      text: "\(option) \"\(text)\": expected 10m, 2h or 3d, or a time like 2026-11-25T09:00:00Z")
  }

  private mutating func run() -> CommandLineTool.ExitStatus {
    if paths.isEmpty {
      guard let path = usualPath() else {
        Output.error(
          """
          tollgate logs: which log? Name a file, or pipe one in. There is no routes file here, it
          names no log, or it can't be loaded: tollgate check says why.
          See tollgate logs --help.
          """)
        return .usage
      }
      paths = [path]
    }
    var printer = LogPrinter(isRaw: isRaw, sums: sums, paint: colouring.paint)
    var status = CommandLineTool.ExitStatus.well
    for path in paths {
      do throws(SystemError) {
        try read(path, &printer)
      } catch {
        if error.code == EPIPE { return .well }
        Output.error("tollgate logs: \(path): \(error)")
        status = .badInput
      }
      if printer.isOver { return status }
    }
    printer.finish()
    return status
  }

  /// Where there is no terminal there is a pipe; else the routes file says where its log is.
  private func usualPath() -> String? {
    if isatty(0) == 0 { return "-" }
    return RoutesArgument.path([]).flatMap { path in
      RoutesArgument.load(path).configuration?.accessLog?.output.path
    }
  }

  private func read(_ path: String, _ printer: inout LogPrinter) throws(SystemError) {
    var reader = LogReader(filter)
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    var input = path == "-" ? InputFile.standardInput() : try InputFile.open(path)
    var opened = Files.fingerprint(path)?.identity
    while !printer.isOver {
      let count = try input.read(into: &buffer)
      if count > 0 {
        printer.take(&reader, buffer.span.extracting(0..<count))
        continue
      }
      guard follows, path != "-" else { break }
      printer.flush()
      // A log that was moved away is read to its end before the new one is begun.
      if let now = Files.fingerprint(path)?.identity, now != opened {
        opened = now
        reader.finish { _, _, _ in }
        input = try InputFile.open(path)
        continue
      }
      usleep(200_000)
    }
    printer.finish(&reader)
    if !input.finish(), !printer.isOver {
      throw SystemError(call: "gzip could not read all of it", code: EIO)
    }
  }
}

/// Writes what was wanted of a log.
private struct LogPrinter {
  private let isRaw: Bool
  private let paint: Paint
  private var summary: LogSummary?
  private var output: [UInt8] = []
  private var day = ""
  private var notUnderstood: UInt64 = 0
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
    case .notUnderstood: notUnderstood += 1
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
    guard notUnderstood > 0 else { return }
    let lines = notUnderstood == 1 ? "line was" : "lines were"
    Output.error("tollgate logs: \(Numbers.grouped(notUnderstood)) \(lines) not understood")
  }
}
