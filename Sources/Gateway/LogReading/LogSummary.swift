import HTTP
import Reactor
import Wire

/// What many lines of an access log say together, in constant memory.
package struct LogSummary {
  package private(set) var requests: UInt64 = 0
  package private(set) var notUnderstood: UInt64 = 0
  /// Lines that the gateway says it could not write.
  package private(set) var dropped: UInt64 = 0
  private var firstMs = Int64.max
  private var lastMs = Int64.min
  private var classes = [UInt64](repeating: 0, count: 6)
  private var reasons = Counts(max: 256)
  private var exchanges = Counts(max: 64)
  private var routes = ByteTable()
  private var perRoute: [Part] = []
  private var all = Part()
  private var slowest: [Slow] = []
  private var tunnels = Lasting()
  private var longAnswers = Lasting()
  private var callers = TopCallers()

  private static let routesMax = 1_000
  private static let shown = 10

  private struct Part {
    var requests: UInt64 = 0
    var refused: UInt64 = 0
    var failed: UInt64 = 0
    /// Of those whose line says it; no tunnels, and long answers by when they began.
    var latency = DurationHistogram()
  }

  /// What is no latency.
  private struct Lasting {
    var count: UInt64 = 0
    var maxMicros: Int64 = 0

    mutating func add(_ micros: Int64) {
      count += 1
      maxMicros = max(maxMicros, micros)
    }
  }

  private struct Slow {
    let micros: Int64
    let line: [UInt8]
  }

  private struct Counts {
    let max: Int
    var table = ByteTable()
    var counts: [UInt64] = []

    mutating func add(_ key: Span<UInt8>) {
      guard let number = table.number(of: key, max: max) else { return }
      if number == counts.count { counts.append(0) }
      counts[number] += 1
    }

    var sorted: [(name: [UInt8], count: UInt64)] {
      zip(table.keys, counts).map { ($0, $1) }.sorted { $0.count > $1.count }
    }
  }

  package init() {}

  package mutating func addNotUnderstood() { notUnderstood += 1 }

  package mutating func addDropped(_ count: UInt64) { dropped &+= count }

  /// - Parameter known: the names of the claims asked for: `client_id`, then `sub`.
  package mutating func add(_ line: LogLine, _ text: Span<UInt8>) {
    requests += 1
    if let ms = line.epochMs(in: text) {
      firstMs = min(firstMs, ms)
      lastMs = max(lastMs, ms)
    }
    let status = line.integer(.status, in: text) ?? 0
    classes[min(max(status / 100, 0), 5)] += 1
    let isRefused = line.range(.reason) != nil
    if let reason = line.range(.reason) { reasons.add(text.extracting(reason)) }
    if let exchange = line.range(.exchange) { exchanges.add(text.extracting(exchange)) }
    let micros = latency(line, text, status)
    add(to: &all, status, isRefused, micros)
    let none = Array("(no route)".utf8)
    let number =
      if let route = line.range(.route) {
        routes.number(of: text.extracting(route), max: Self.routesMax)
      } else {
        routes.number(of: none.span, max: Self.routesMax)
      }
    if let number {
      if number == perRoute.count { perRoute.append(Part()) }
      add(to: &perRoute[number], status, isRefused, micros)
    }
    if let micros { noteSlow(micros, text) }
    if let caller = caller(line, text) { callers.add(caller.span, isRefused: isRefused) }
  }

  /// How long the service took, as far as the line tells: `LongAnswers` says what that is not.
  private mutating func latency(
    _ line: LogLine, _ text: Span<UInt8>, _ status: Int
  ) -> Int64? {
    guard let micros = line.micros(.durationMs, in: text) else { return nil }
    if status == LongAnswers.tunnelStatus {
      tunnels.add(micros)
      return nil
    }
    guard micros > LongAnswers.afterMicros,
      let firstByte = line.micros(.firstByteMs, in: text)
    else { return micros }
    let before = [.authMs, .exchangeMs, .connectMs].reduce(firstByte) { sum, part in
      sum + (line.micros(part, in: text) ?? 0)
    }
    guard LongAnswers.isLong(micros, beforeMicros: before) else { return micros }
    longAnswers.add(micros)
    return before
  }

  private func add(to part: inout Part, _ status: Int, _ isRefused: Bool, _ micros: Int64?) {
    part.requests += 1
    if isRefused { part.refused += 1 }
    if status >= 500 { part.failed += 1 }
    if let micros { part.latency.add(micros) }
  }

  private mutating func noteSlow(_ micros: Int64, _ text: Span<UInt8>) {
    if slowest.count == Self.shown, let least = slowest.last, least.micros >= micros { return }
    let place = slowest.firstIndex { $0.micros < micros } ?? slowest.count
    slowest.insert(Slow(micros: micros, line: [UInt8](copying: text)), at: place)
    if slowest.count > Self.shown { slowest.removeLast() }
  }

  /// Whom the line names: the person's digest and the client, else the address.
  private func caller(_ line: LogLine, _ text: Span<UInt8>) -> [UInt8]? {
    let client = line.range(number: LogLine.number(ofMore: 0))
    let subject = line.range(number: LogLine.number(ofMore: 1))
    var name: [UInt8] = []
    if let client { name.append(copying: text.extracting(client)) }
    if let subject {
      if !name.isEmpty { name.append(UInt8(ascii: " ")) }
      name.append(copying: text.extracting(subject))
    }
    if name.isEmpty, let address = line.range(.client) {
      name.append(copying: text.extracting(address))
    }
    return name.isEmpty ? nil : name
  }

  /// What it comes to, as lines for a person.
  package func text(_ paint: Paint) -> String {
    var lines: [String] = []
    lines.append(headline(paint))
    if requests == 0 { return lines.joined(separator: "\n") + "\n" }
    let statuses = (1...5).filter { classes[$0] > 0 }.map {
      "\($0)xx \(Numbers.grouped(classes[$0])) (\(Numbers.percent(classes[$0], of: requests)))"
    }
    lines += ["", paint.bold("Status") + "   " + statuses.joined(separator: "   ")]
    if !reasons.counts.isEmpty {
      lines += ["", paint.bold("Refused") + "  \(share(all.refused))"]
      lines += reasons.sorted.prefix(40).map { row(LogText.shown($0.name), $0.count) }
    }
    if !exchanges.counts.isEmpty {
      lines += ["", paint.bold("Exchange")]
      lines += exchanges.sorted.map { row(LogText.shown($0.name), $0.count) }
    }
    let order = perRoute.indices.sorted { perRoute[$0].requests > perRoute[$1].requests }
    let shown = order.prefix(50).map { (LogText.shown(routes.keys[$0]), perRoute[$0]) }
    let width = Self.width(of: shown.map(\.0))
    lines += ["", routeHead(paint, width), routeRow("all", all, width)]
    lines += shown.map { routeRow($0, $1, width) }
    if order.count > 50 { lines.append("  … and \(order.count - 50) more routes") }
    lines += lasting.map { "  " + paint.dim($0) }
    if !slowest.isEmpty { lines += ["", paint.bold("Slowest")] }
    var taken = LogLine(more: ["client_id", "sub"])
    for slow in slowest {
      let text = slow.line.span
      guard taken.parse(text) else { continue }
      lines.append("  " + LogText.line(taken, text, paint: paint, hasDate: true))
    }
    let note = callers.isExact ? "" : "  (the most frequent ones; counts may be a little low)"
    lines += ["", paint.bold("Callers") + note]
    let most = callers.top(Self.shown).map { (LogText.shown($0.caller), $0) }
    let callerWidth = Self.width(of: most.map(\.0))
    for (name, entry) in most {
      let refused = entry.refused > 0 ? ", \(Numbers.grouped(entry.refused)) refused" : ""
      lines.append(row(name, entry.requests, callerWidth) + refused)
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// What the table above has no times of.
  private var lasting: [String] {
    var lines: [String] = []
    func longest(_ lasting: Lasting) -> String {
      Numbers.duration(micros: lasting.maxMicros)
    }
    if tunnels.count > 0 {
      lines.append(
        "\(Numbers.counted(tunnels.count, "tunnel")) (the longest open for \(longest(tunnels))): "
          + "not counted in these times")
    }
    if longAnswers.count > 0 {
      lines.append(
        "\(Numbers.counted(longAnswers.count, "answer")) went on for over 10 s, as streams do "
          + "(the longest for \(longest(longAnswers))): counted by the time until they began")
    }
    return lines
  }

  private func headline(_ paint: Paint) -> String {
    var line = paint.bold(Numbers.counted(requests, "request"))
    if firstMs <= lastMs {
      let (first, last) = (LogText.date(firstMs), LogText.date(lastMs))
      line += first == last ? ", \(first) UTC" : ", \(first) to \(last) UTC"
      if first != last { line += " (\(Numbers.span(ms: lastMs - firstMs)))" }
    }
    if notUnderstood > 0 {
      line += paint.yellow(
        "; \(Numbers.grouped(notUnderstood)) "
          + (notUnderstood == 1 ? "line was not understood" : "lines were not understood"))
    }
    if dropped > 0 {
      line += paint.yellow("; \(Numbers.grouped(dropped)) lines were dropped by the gateway")
    }
    return line
  }

  private func share(_ count: UInt64) -> String {
    "\(Numbers.grouped(count)) (\(Numbers.percent(count, of: requests)))"
  }

  /// How wide a column of names is; one that is longer than the widest stands out of it.
  private static func width(of names: [String]) -> Int {
    names.reduce(34) { max($0, min(64, $1.count + 1)) }
  }

  private func row(_ name: String, _ count: UInt64, _ width: Int = 34) -> String {
    "  " + Columns.left(name, width) + Columns.right(Numbers.grouped(count), 13)
      + Columns.right(Numbers.percent(count, of: requests), 9)
  }

  private func routeHead(_ paint: Paint, _ width: Int) -> String {
    paint.bold(Columns.left("Routes", width + 2))
      + ["requests", "refused", "5xx", "p50", "p90", "p99", "max"].enumerated().map {
        Columns.right($0.element, $0.offset == 0 ? 13 : 10)
      }.joined()
  }

  private func routeRow(_ name: String, _ part: Part, _ width: Int) -> String {
    let counts = [part.refused, part.failed].map { Columns.right(Numbers.grouped($0), 10) }
    let latency = part.latency
    let times = [
      latency.quantile(0.5), latency.quantile(0.9), latency.quantile(0.99), latency.maxMicros,
    ].map { Columns.right(latency.count > 0 ? Numbers.duration(micros: $0) : "-", 10) }
    return "  " + Columns.left(name, width) + Columns.right(Numbers.grouped(part.requests), 13)
      + counts.joined() + times.joined()
  }
}
