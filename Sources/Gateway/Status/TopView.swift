package import Wire

/// What `/status` says, as a terminal shows it: `tollgate top`.
///
/// Rates are of the time between two looks; the first shows those of the gateway's own last sample.
package struct TopView {
  /// A terminal's size in characters.
  package struct Size {
    package let columns: Int
    package let rows: Int

    package init(columns: Int, rows: Int) {
      self.columns = columns
      self.rows = rows
    }
  }

  private struct Counts {
    var requests = 0.0
    var refused = 0.0
    var failed = 0.0
    var buckets: [Double] = []
  }

  private let paint: Paint
  private var routesBefore: [String: Counts] = [:]
  private var reasonsBefore: [String: Double] = [:]
  private var serversBefore: [String: Counts] = [:]
  private var beforeMs: Int64?
  private var columns = 160

  package init(paint: Paint) { self.paint = paint }

  /// The lines of one look.
  ///
  /// - Parameter nowMs: of a clock that does not jump.
  package mutating func lines(_ status: JSONNode, _ size: Size, nowMs: Int64) -> [String] {
    let seconds = beforeMs.map { Double(max(1, nowMs - $0)) / 1_000 }
    beforeMs = nowMs
    columns = size.columns
    var lines = head(status)
    lines.append("")
    lines += traffic(status, size)
    lines.append("")
    lines += routes(status, seconds)
    lines += reasons(status, seconds)
    lines += exchanges(status)
    lines += upstreams(status, seconds)
    let left = size.rows - lines.count - 2
    if left > 2 { lines += refusals(status, count: left - 1) }
    return lines.prefix(max(1, size.rows - 1)).map { Self.cut($0, size.columns) }
  }

  private func head(_ status: JSONNode) -> [String] {
    let isReady = status["ready"]?.bool == true
    let process = status["process"]
    var line = paint.bold("Tollgate \(Self.text(status["version"]))") + "  "
    line += isReady ? paint.green("ready") : paint.red("not ready")
    if let started = Self.epochMs(process?["startedAt"]), let now = Self.epochMs(status["now"]) {
      line += "  up \(Numbers.span(ms: max(0, now - started)))"
    }
    line += "  configuration \(Self.text(status["configuration"]?["digest"]))"
    let open = Self.number(process?["connections"]) ?? 0
    line += "  \(Self.grouped(open)) connections"
    if let bytes = Self.number(process?["residentBytes"]) {
      line += "  \(Self.whole(bytes / 1_048_576)) MiB"
    }
    let missing = (status["missing"]?.elements ?? []).map { paint.red("  \(Self.text($0))") }
    let isRefused = status["configuration"]?["lastReloadSuccessful"]?.bool == false
    let refused = paint.yellow("  the routes file was refused when it was last read: see its log")
    let count = Self.number(process?["droppedLogLines"]) ?? 0
    let lost = paint.yellow("  \(Self.grouped(count)) lines of the access log were lost")
    return [line] + missing + (isRefused ? [refused] : []) + (count > 0 ? [lost] : [])
  }

  private func traffic(_ status: JSONNode, _ size: Size) -> [String] {
    let history = status["traffic"]?["history"]?.elements ?? []
    let every = Self.number(status["traffic"]?["everySeconds"]) ?? 5
    let samples = history.compactMap(\.elements).filter { $0.count == 6 }
    guard let last = samples.last else { return ["No traffic has been measured yet."] }
    let requests = Self.number(last[1]) ?? 0
    func share(_ node: JSONNode) -> String {
      requests > 0 ? Self.percent((Self.number(node) ?? 0) / requests) : "-"
    }
    func within(_ node: JSONNode) -> String {
      Self.number(node).map { "≤ \(Self.duration(ms: $0))" } ?? "-"
    }
    let rates = samples.map { (Self.number($0[1]) ?? 0) / every }
    let line =
      "\(paint.bold(Self.rate(requests / every))) requests/s   refused \(share(last[2]))   "
      + "5xx \(share(last[3]))   half \(within(last[4]))   99 % \(within(last[5]))"
    return [line, paint.cyan(Self.spark(rates.suffix(max(10, size.columns - 2))))]
  }

  private mutating func routes(_ status: JSONNode, _ seconds: Double?) -> [String] {
    let bounds = (status["boundsMs"]?.elements ?? []).compactMap(Self.number)
    var now: [String: Counts] = [:]
    var rows: [(name: String, rate: Double, text: String)] = []
    for route in status["routes"]?.elements ?? [] {
      let name = route["name"].map(Self.text) ?? "(no route)"
      let counts = Counts(
        requests: Self.number(route["requests"]) ?? 0, refused: Self.number(route["refused"]) ?? 0,
        failed: Self.number(route["failed"]) ?? 0,
        buckets: (route["buckets"]?.elements ?? []).compactMap(Self.number))
      now[name] = counts
      let before = seconds == nil ? Counts() : routesBefore[name] ?? Counts()
      let time = seconds ?? 1
      var buckets = counts.buckets
      for index in before.buckets.indices where index < buckets.count {
        buckets[index] -= before.buckets[index]
      }
      let rate = (counts.requests - before.requests) / time
      let cells = [
        seconds == nil ? "-" : Self.rate(rate),
        seconds == nil ? "-" : Self.rate((counts.refused - before.refused) / time),
        seconds == nil ? "-" : Self.rate((counts.failed - before.failed) / time),
        Self.quantile(buckets, bounds, 0.5), Self.quantile(buckets, bounds, 0.99),
        Self.grouped(counts.requests),
      ]
      rows.append((name, rate, row(name, cells)))
    }
    routesBefore = now
    if rows.isEmpty { return [] }
    let head = row("ROUTE", ["req/s", "refused/s", "5xx/s", "half", "99 %", "requests"])
    let shown = rows.sorted { ($1.rate, $0.name) < ($0.rate, $1.name) }.prefix(10).map(\.text)
    return [paint.bold(head)] + shown + [""]
  }

  private mutating func reasons(_ status: JSONNode, _ seconds: Double?) -> [String] {
    var now: [String: Double] = [:]
    var lines: [String] = []
    for entry in (status["reasons"]?.elements ?? []) {
      let name = Self.text(entry["reason"])
      let count = Self.number(entry["count"]) ?? 0
      now[name] = count
      let rate = seconds.map { Self.rate((count - (reasonsBefore[name] ?? 0)) / $0) } ?? "-"
      if lines.count < 8 { lines.append(row(name, [rate, Self.grouped(count)])) }
    }
    reasonsBefore = now
    return lines.isEmpty
      ? [] : [paint.bold(row("REFUSED BECAUSE", ["req/s", "requests"]))] + lines + [""]
  }

  private func exchanges(_ status: JSONNode) -> [String] {
    let lines = (status["exchanges"]?.elements ?? []).prefix(6).map { exchange -> String in
      let outcomes = exchange["outcomes"]?.members ?? []
      let counts = outcomes.map { ($0.name.string, Self.number($0.node) ?? 0) }
      let all = counts.reduce(0) { $0 + $1.1 }
      let kept = counts.filter { ["hit", "refreshed"].contains($0.0) }.reduce(0) { $0 + $1.1 }
      let survival = Self.number(exchange["survivalSeconds"]).map {
        Numbers.span(ms: Self.whole($0 * 1_000))
      }
      let isOpen = exchange["breakerOpen"]?.bool == true
      let calls = Self.number(exchange["calls"]) ?? 0
      let row = self.row(
        Self.text(exchange["name"]),
        [
          all > 0 ? Self.percent(kept / all) : "-", Self.grouped(calls),
          Self.number(exchange["callMedianMs"]).map {
            "≤ \(Self.duration(ms: $0))"
          } ?? "-", Self.grouped(Self.number(exchange["tokens"]) ?? 0), survival ?? "-",
        ])
      return isOpen ? paint.red(row + "  breaker open") : row
    }
    let head = row("EXCHANGE", ["cached", "calls", "half", "tokens", "lasts"])
    return lines.isEmpty ? [] : [paint.bold(head)] + lines + [""]
  }

  private mutating func upstreams(_ status: JSONNode, _ seconds: Double?) -> [String] {
    var now: [String: Counts] = [:]
    var lines: [String] = []
    for upstream in status["upstreams"]?.elements ?? [] {
      for server in upstream["servers"]?.elements ?? [] {
        let (group, place) = (Self.text(upstream["name"]), Self.text(server["name"]))
        // A route may name its one server by its URL.
        let name = group.hasSuffix(place) ? place : "\(group) \(place)"
        let counts = Counts(
          requests: Self.number(server["requests"]) ?? 0,
          failed: Self.number(server["failures"]) ?? 0)
        now[name] = counts
        let before = serversBefore[name] ?? Counts()
        func rate(_ value: Double, _ earlier: Double) -> String {
          seconds.map { Self.rate((value - earlier) / $0) } ?? "-"
        }
        let state = Self.text(server["state"])
        let row = self.row(
          name,
          [
            state, rate(counts.requests, before.requests), rate(counts.failed, before.failed),
            Self.grouped(Self.number(server["connections"]) ?? 0),
          ])
        if lines.count < 10 { lines.append(state == "healthy" ? row : paint.red(row)) }
      }
    }
    serversBefore = now
    let head = row("SERVER", ["state", "req/s", "failed/s", "open"])
    return lines.isEmpty ? [] : [paint.bold(head)] + lines + [""]
  }

  private func refusals(_ status: JSONNode, count: Int) -> [String] {
    let entries = (status["refusals"]?.elements ?? []).prefix(count)
    if entries.isEmpty { return [] }
    return [paint.bold("LAST REFUSALS")]
      + entries.map { entry in
        let time = Self.text(entry["time"]).dropFirst(11).prefix(8)
        let target = "\(Self.text(entry["host"]))\(Self.text(entry["path"]))"
        return "\(time)  \(Self.text(entry["status"]))  \(Self.text(entry["reason"]))  "
          + "\(Self.text(entry["method"])) \(target)  \(Self.text(entry["client"]))"
      }
  }

  // Numbers and columns.

  /// A name and numbers behind it. Where the terminal has not the room, the name gives way first,
  /// then the space between, then the last columns.
  private func row(_ name: String, _ cells: [String]) -> String {
    let wide = cells.count * 12
    let isWide = columns >= wide + 24
    let width = min(36, max(16, columns - (isWide ? wide : cells.count * 10)))
    let shown = name.count > width - 2 ? "\(name.prefix(width - 3))…" : name
    return Columns.left(shown, width) + cells.map { Columns.right($0, isWide ? 12 : 10) }.joined()
  }

  private static func text(_ node: JSONNode?) -> String {
    if let text = node?.string { return LogText.shown(text.bytes) }
    return node?.number.map { $0.text.string } ?? ""
  }

  private static func number(_ node: JSONNode?) -> Double? { node?.number?.double }

  private static func number(_ node: JSONNode) -> Double? { node.number?.double }

  private static func epochMs(_ node: JSONNode?) -> Int64? {
    guard let bytes = node?.string?.bytes else { return nil }
    return RFC3339.parse(bytes.span)
  }

  private static func grouped(_ number: Double) -> String {
    Numbers.grouped(UInt64(max(0, whole(number))))
  }

  private static func duration(ms: Double) -> String { Numbers.duration(micros: whole(ms * 1_000)) }

  /// A whole number; who answers at the address may say what it likes.
  private static func whole(_ value: Double) -> Int64 { Int64(max(-1e15, min(value, 1e15))) }

  private static func rate(_ value: Double) -> String {
    value >= 100 ? grouped(value.rounded()) : Numbers.decimal(max(0, value), places: 1)
  }

  private static func percent(_ part: Double) -> String {
    "\(Numbers.decimal(part * 100, places: 1)) %"
  }

  private static func quantile(_ buckets: [Double], _ bounds: [Double], _ part: Double) -> String {
    let total = buckets.reduce(0, +)
    guard total > 0 else { return "-" }
    var seen = 0.0
    for (index, bound) in bounds.enumerated() where index < buckets.count {
      seen += buckets[index]
      if seen >= part * total { return "≤ \(duration(ms: bound))" }
    }
    return "longer"
  }

  /// A line of little columns.
  private static func spark(_ values: some Collection<Double>) -> String {
    let most = max(values.max() ?? 0, 1e-9)
    let blocks = Array("▁▂▃▄▅▆▇█")
    return String(values.map { blocks[min(7, Int($0 / most * 7.99))] })
  }

  /// As much of a line as the terminal has room for; colours take none.
  static func cut(_ line: String, _ columns: Int) -> String {
    var kept = ""
    var count = 0
    var isInCode = false
    for character in line {
      if character == "\u{1B}" { isInCode = true }
      if isInCode {
        kept.append(character)
        if character.isLetter { isInCode = false }
        continue
      }
      if count < columns { kept.append(character) }
      count += 1
    }
    return kept
  }
}
