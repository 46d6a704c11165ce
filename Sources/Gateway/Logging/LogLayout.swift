import Reactor
import Wire

/// How the values of one request become a line.
final class LogLayout {
  /// Whose names and units the values have.
  enum Dialect {
    case own, otel, ecs
  }

  enum Arrangement {
    /// One flat JSON object.
    case object
    /// Values are noted first, and put together when all are there.
    case logfmt
    case combined
    case template([AccessLogSettings.TemplatePart])
  }

  let dialect: Dialect
  let arrangement: Arrangement
  /// By field, what it is called in an object; empty where lines are none.
  let names: [StaticString]
  /// By field: whether a line has it.
  private let wanted: UInt64
  /// How a request was authenticated and its token exchanged, as members of an object: by the one,
  /// then by the other. Empty where lines are none.
  private let outcomes: [[UInt8]]

  init(_ settings: AccessLogSettings) {
    switch settings.format {
    case .json: (dialect, arrangement, names) = (.own, .object, LogNames.own)
    case .otel: (dialect, arrangement, names) = (.otel, .object, LogNames.otel)
    case .ecs: (dialect, arrangement, names) = (.ecs, .object, LogNames.ecs)
    case .logfmt: (dialect, arrangement, names) = (.own, .logfmt, [])
    case .combined: (dialect, arrangement, names) = (.own, .combined, [])
    case .template(let parts): (dialect, arrangement, names) = (.own, .template(parts), [])
    }
    let fields: Set<AccessLogField>
    switch settings.format {
    case .json, .otel, .ecs, .logfmt: fields = settings.fields
    case .combined:
      fields = [.client, .time, .method, .path, .protocol, .status, .bytesOut, .userAgent]
    case .template(let parts):
      fields = Set(
        parts.map { part -> AccessLogField in
          switch part {
          case .field(let field): field
          case .claim: .claims
          case .text: .status
          }
        })
    }
    wanted = fields.reduce(0) { $0 | 1 << UInt64($1.rawValue) }
    let names = names
    func member(_ field: AccessLogField, _ word: StaticString) -> [UInt8] {
      guard fields.contains(field) else { return [] }
      var text: [UInt8] = []
      text.append(names[Int(field.rawValue)])
      text.append("\"")
      text.append(word)
      text.append("\"")
      return text
    }
    guard !names.isEmpty else {
      outcomes = []
      return
    }
    outcomes = AccessRecord.Authentication.allCases.flatMap { authentication in
      AccessRecord.Exchange.allCases.map { exchange in
        member(.auth, authentication.word) + member(.exchange, exchange.word)
      }
    }
  }

  @inline(__always)
  func wants(_ field: AccessLogField) -> Bool { wanted & (1 << UInt64(field.rawValue)) != 0 }

  /// How a request was authenticated and its token exchanged, as members of an object, which lines
  /// of this layout are.
  func outcome(_ authentication: AccessRecord.Authentication, _ exchange: AccessRecord.Exchange)
    -> [UInt8]
  {
    outcomes[authentication.rawValue * AccessRecord.Exchange.allCases.count + exchange.rawValue]
  }

  /// Appends claims as members of an object, each behind a comma.
  ///
  /// - Parameter claims: as `LoggedCaller` has them.
  func append(claims: [UInt8], to members: inout [UInt8]) {
    if claims.isEmpty { return }
    if dialect == .own {
      members.append(UInt8(ascii: ","))
      members += claims
      return
    }
    JSONMembers.each(of: claims.span) { name, value in
      members.append(",\"")
      members.append(LogNames.claimPrefix)
      members.append(copying: name)
      members.append("\":")
      members.append(copying: value)
    }
  }

  /// What stands in the log, in this layout, for lines that could not be written; nil where a
  /// reader of it would take it for a request.
  static func droppedLine(_ count: Int, in format: AccessLogSettings.Format) -> String? {
    switch format {
    case .json, .otel, .ecs: "{\"dropped_lines\":\(count)}"
    case .logfmt: "dropped_lines=\(count)"
    case .combined, .template: nil
    }
  }
}

/// The values of one request on their way into a line that is no JSON object: each as JSON text,
/// one behind the other.
struct NotedValues {
  private var text: [UInt8] = []
  private var marks: [(field: AccessLogField, start: Int)] = []

  mutating func clear() {
    text.removeAll(keepingCapacity: true)
    marks.removeAll(keepingCapacity: true)
  }

  /// What is appended to the text from now on is that field's value.
  mutating func begin(_ field: AccessLogField, at start: Int) {
    marks.append((field, start))
  }

  mutating func take(_ bytes: Span<UInt8>) { text.append(copying: bytes) }

  /// The values, in order; the claims' members among them.
  private func values(_ body: (AccessLogField, Span<UInt8>) -> Void) {
    for (index, mark) in marks.enumerated() {
      let end = index + 1 < marks.count ? marks[index + 1].start : text.count
      let text = text.span
      body(mark.field, text.extracting(mark.start..<end))
    }
  }

  private func value(of field: AccessLogField) -> Range<Int>? {
    for (index, mark) in marks.enumerated() where mark.field == field {
      return mark.start..<(index + 1 < marks.count ? marks[index + 1].start : text.count)
    }
    return nil
  }

  /// Appends `name=value` for each.
  func appendLogfmt(to lines: inout [UInt8]) {
    let start = lines.count
    func pair(_ name: Span<UInt8>, _ value: Span<UInt8>) {
      if lines.count > start { lines.append(UInt8(ascii: " ")) }
      for index in name.indices {
        // A claim's name may hold anything.
        let byte = name[index]
        let isPlain = byte > 0x20 && byte != UInt8(ascii: "=") && byte != UInt8(ascii: "\"")
        lines.append(isPlain ? byte : UInt8(ascii: "_"))
      }
      lines.append(UInt8(ascii: "="))
      if Self.isBare(value) {
        lines.append(copying: value.extracting(1..<(value.count - 1)))
      } else {
        lines.append(copying: value)
      }
    }
    values { field, value in
      if field == .claims {
        JSONMembers.each(of: value) { name, value in pair(name, value) }
      } else {
        let name = Array(field.name.utf8)
        pair(name.span, value)
      }
    }
  }

  /// Whether the text of a quoted value can do without its quotes.
  private static func isBare(_ value: Span<UInt8>) -> Bool {
    guard value.count > 2, value[0] == UInt8(ascii: "\"") else { return false }
    for index in 1..<(value.count - 1) {
      let byte = value[index]
      if byte <= 0x20 || byte == UInt8(ascii: "=") || byte == UInt8(ascii: "\"")
        || byte == UInt8(ascii: "\\")
      {
        return false
      }
    }
    return true
  }

  /// Appends the parts of a template; what does not apply is `-`.
  func append(_ parts: [AccessLogSettings.TemplatePart], to lines: inout [UInt8]) {
    for part in parts {
      switch part {
      case .text(let bytes): lines += bytes
      case .field(let field): appendText(of: field, to: &lines)
      case .claim(let wanted):
        var isThere = false
        if let range = value(of: .claims) {
          let text = text.span
          JSONMembers.each(of: text.extracting(range)) { name, value in
            guard !isThere, Self.isSame(name, wanted.span) else { return }
            isThere = true
            Self.appendUnquoted(value, to: &lines)
          }
        }
        if !isThere { lines.append(UInt8(ascii: "-")) }
      }
    }
  }

  /// Apache's combined format: what names a person and where they came from is left out.
  func appendCombined(at time: [UInt8], to lines: inout [UInt8]) {
    appendText(of: .client, to: &lines)
    lines.append(" - - [")
    lines += time
    lines.append("] \"")
    if value(of: .method) != nil {
      appendText(of: .method, to: &lines)
      lines.append(UInt8(ascii: " "))
      appendText(of: .path, to: &lines)
      lines.append(UInt8(ascii: " "))
      appendText(of: .protocol, to: &lines)
    } else {
      lines.append(UInt8(ascii: "-"))
    }
    lines.append("\" ")
    appendText(of: .status, to: &lines)
    lines.append(UInt8(ascii: " "))
    appendText(of: .bytesOut, to: &lines)
    lines.append(" \"-\" \"")
    appendText(of: .userAgent, to: &lines)
    lines.append(UInt8(ascii: "\""))
  }

  private func appendText(of field: AccessLogField, to lines: inout [UInt8]) {
    guard let range = value(of: field) else { return lines.append(UInt8(ascii: "-")) }
    let text = text.span
    Self.appendUnquoted(text.extracting(range), to: &lines)
  }

  /// A string's quotes are taken away; what is escaped in it remains so.
  private static func appendUnquoted(_ value: Span<UInt8>, to lines: inout [UInt8]) {
    if value.count >= 2, value[0] == UInt8(ascii: "\"") {
      lines.append(copying: value.extracting(1..<(value.count - 1)))
    } else {
      lines.append(copying: value)
    }
  }

  private static func isSame(_ one: Span<UInt8>, _ other: Span<UInt8>) -> Bool {
    one.count == other.count && one.indices.allSatisfy { one[$0] == other[$0] }
  }
}

/// Walks over JSON text that this program has written: `"a":"b","c":"d"`.
enum JSONMembers {
  /// Each name without its quotes, as it is escaped, and each value with them.
  static func each(
    of text: Span<UInt8>, _ body: (_ name: Span<UInt8>, _ value: Span<UInt8>) -> Void
  ) {
    var index = 0
    while index < text.count {
      let nameEnd = stringEnd(in: text, from: index)
      let valueStart = nameEnd + 1
      guard valueStart < text.count else { return }
      let valueEnd = stringEnd(in: text, from: valueStart)
      body(text.extracting((index + 1)..<(nameEnd - 1)), text.extracting(valueStart..<valueEnd))
      index = valueEnd + 1
    }
  }

  /// Behind the closing quote of the string that begins at `start`.
  private static func stringEnd(in text: Span<UInt8>, from start: Int) -> Int {
    var index = start + 1
    while index < text.count {
      if text[index] == UInt8(ascii: "\\") {
        index += 2
      } else if text[index] == UInt8(ascii: "\"") {
        return index + 1
      } else {
        index += 1
      }
    }
    return text.count
  }
}
