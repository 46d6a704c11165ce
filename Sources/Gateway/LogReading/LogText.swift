import HTTP
import Wire

/// A request of the log as a line for a person.
package enum LogText {
  /// `10:20:30.123  401  GET         0.12 ms  api.example.com/orders  token_expired  → orders`
  package static func line(
    _ line: LogLine, _ text: Span<UInt8>, paint: Paint, hasDate: Bool = false
  ) -> String {
    func value(_ field: AccessLogField) -> String? {
      line.range(field).map { shown([UInt8](copying: text.extracting($0))) }
    }
    let status = line.integer(.status, in: text) ?? 0
    var parts: [String] = []
    let time = value(.time) ?? ""
    let clock = time.count >= 23 ? String(time.dropFirst(11).prefix(12)) : time
    parts.append(paint.dim(hasDate ? "\(time.prefix(10)) \(clock)" : clock))
    let shownStatus = status > 0 ? "\(status)" : "  -"
    switch status {
    case 500...: parts.append(paint.red(shownStatus))
    case 400...: parts.append(paint.yellow(shownStatus))
    case 200..<300: parts.append(paint.green(shownStatus))
    default: parts.append(shownStatus)
    }
    parts.append(Columns.left(value(.method) ?? "-", 8))
    let micros = line.micros(.durationMs, in: text)
    parts.append(Columns.right(micros.map { Numbers.duration(micros: $0) } ?? "-", 9))
    parts.append("\(value(.host) ?? "")\(value(.path) ?? "-")")
    if let reason = value(.reason) {
      parts.append(status >= 500 ? paint.red(reason) : paint.yellow(reason))
    }
    if let error = value(.exchangeError) { parts.append(paint.yellow("(\(error))")) }
    if let route = value(.route) { parts.append(paint.cyan("[\(route)]")) }
    let who = [LogLine.number(ofMore: 0), LogLine.number(ofMore: 1)].compactMap { number in
      line.range(number: number).map { shown([UInt8](copying: text.extracting($0))) }
    }
    let identity = value(.identity).map { [$0] } ?? []
    let caller = identity + (who.isEmpty ? value(.client).map { [$0] } ?? [] : who)
    if !caller.isEmpty { parts.append(paint.dim(caller.joined(separator: " "))) }
    if let exchange = value(.exchange), exchange != "none" { parts.append(exchange) }
    if let upstream = value(.upstream) { parts.append(paint.dim("→ \(upstream)")) }
    if let aborted = value(.aborted) { parts.append(paint.red("aborted by \(aborted)")) }
    return parts.joined(separator: "  ")
  }

  /// What the log says, fit for a terminal: it is escaped there, but whose file this is who knows.
  package static func shown(_ bytes: [UInt8]) -> String {
    var text = String(decoding: bytes, as: UTF8.self)
    if bytes.contains(UInt8(ascii: "\\")) {
      text = text.replacing("\\\"", with: "\"").replacing("\\/", with: "/")
    }
    return printable(text)
  }

  /// The text without what a terminal would obey.
  static func printable(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    var clean = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { clean.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
    return String(clean)
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }

  /// `2026-11-25 10:20:30`
  static func date(_ epochMs: Int64) -> String {
    var bytes: [UInt8] = []
    RFC3339.append(epochMs: epochMs, to: &bytes)
    let text = String(decoding: bytes, as: UTF8.self)
    return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8))"
  }
}

/// Numbers as people read them.
package enum Numbers {
  /// `1,234,567`
  package static func grouped(_ number: UInt64) -> String {
    var text = ""
    for (index, digit) in String(number).reversed().enumerated() {
      if index > 0, index % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return String(text.reversed())
  }

  /// `1 request`, `1,234 requests`
  package static func counted(_ number: UInt64, _ thing: String) -> String {
    "\(grouped(number)) \(thing)\(number == 1 ? "" : "s")"
  }

  /// `12.3 %`
  package static func percent(_ part: UInt64, of whole: UInt64) -> String {
    guard whole > 0 else { return "-" }
    return "\(decimal(Double(part) * 100 / Double(whole), places: 1)) %"
  }

  /// `0.12 ms`, `12.3 ms`, `1.23 s`, `2 min 3 s`
  package static func duration(micros: Int64) -> String {
    let ms = Double(micros) / 1_000
    switch micros {
    case ..<10_000: return "\(decimal(ms, places: 2)) ms"
    case ..<100_000: return "\(decimal(ms, places: 1)) ms"
    case ..<1_000_000: return "\(micros / 1_000) ms"
    case ..<60_000_000: return "\(decimal(ms / 1_000, places: 2)) s"
    default: return span(ms: micros / 1_000)
    }
  }

  /// `5 s`, `59 min 59 s`, `3 h 2 min`, `2 d 5 h`, `40 d`, `7,973 years`
  package static func span(ms: Int64) -> String {
    let seconds = ms / 1_000
    func two(_ first: Int64, _ unit: String, _ second: Int64, _ smaller: String) -> String {
      second == 0 ? "\(first) \(unit)" : "\(first) \(unit) \(second) \(smaller)"
    }
    switch seconds {
    case ..<60: return "\(seconds) s"
    case ..<3_600: return two(seconds / 60, "min", seconds % 60, "s")
    case ..<86_400: return two(seconds / 3_600, "h", seconds / 60 % 60, "min")
    case ..<(14 * 86_400): return two(seconds / 86_400, "d", seconds / 3_600 % 24, "h")
    case ..<(730 * 86_400): return "\(seconds / 86_400) d"
    default: return "\(grouped(UInt64(seconds / (365 * 86_400)))) years"
    }
  }

  static func decimal(_ value: Double, places: Int) -> String {
    var factor = 1.0
    for _ in 0..<places { factor *= 10 }
    let scaled = Int64((value * factor).rounded())
    let whole = scaled / Int64(factor)
    let rest = String(scaled % Int64(factor))
    let zeros = String(repeating: "0", count: max(0, places - rest.count))
    return places == 0 ? "\(whole)" : "\(whole).\(zeros)\(rest)"
  }
}

/// Text in columns.
package enum Columns {
  package static func left(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(text.count >= width ? 1 : 0, width - text.count))
  }

  package static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(text.count >= width ? 1 : 0, width - text.count)) + text
  }
}
