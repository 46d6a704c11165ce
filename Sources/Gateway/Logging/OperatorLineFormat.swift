import Reactor
import Wire

/// How lines for the operator are written (`tollgate run --log-format`).
package enum OperatorLineFormat: String, CaseIterable, Sendable {
  /// `tollgate: warning: …`, as the operator's other tools write theirs; information says no level.
  case text
  /// An object a line: `time` (RFC 3339), `level`, `message`.
  case json

  /// What stands before each line of the gateway's own.
  static let prefix = "tollgate: "

  /// A line of the process that runs, which may tell what others have said: it stays one line, and
  /// nothing in it does anything to a terminal.
  func line(_ line: OperatorLine, atMs: Int64) -> [UInt8] {
    switch self {
    case .text:
      var bytes = Array((Self.prefix + Self.word(line.level)).utf8)
      // Quotes are the gateway's own in most of its sentences, and harmless.
      for (index, part) in line.text.split(separator: "\"", omittingEmptySubsequences: false)
        .enumerated()
      {
        if index > 0 { bytes.append(UInt8(ascii: "\"")) }
        JSONWriter.appendContent(Array(part.utf8).span, to: &bytes)
      }
      bytes.append(UInt8(ascii: "\n"))
      return bytes
    case .json: return object(line, atMs: atMs)
    }
  }

  /// What the command line says itself: as it is, several lines too.
  func own(_ line: OperatorLine, atMs: Int64) -> [UInt8] {
    let isPrefixed = line.text.hasPrefix(Self.prefix)
    let word = Self.word(line.level)
    func bare(_ whole: String) -> String {
      guard whole.hasPrefix(Self.prefix) else { return whole }
      let text = whole.dropFirst(Self.prefix.count)
      return String(text.hasPrefix(word) ? text.dropFirst(word.count) : text)
    }
    switch self {
    case .text:
      let text = bare(line.text)
      return Array((isPrefixed ? Self.prefix + word + text : text).utf8) + [0x0A]
    case .json: return object(OperatorLine(line.level, bare(line.message)), atMs: atMs)
    }
  }

  private static func word(_ level: OperatorLine.Level) -> String {
    level == .info ? "" : "\(level.rawValue): "
  }

  private func object(_ line: OperatorLine, atMs: Int64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append("{\"time\":\"")
    RFC3339.append(epochMs: atMs, to: &bytes)
    bytes.append("\",\"level\":\"")
    bytes += line.level.rawValue.utf8
    bytes.append("\",\"message\":")
    JSONWriter.appendString(line.text, to: &bytes)
    bytes.append("}\n")
    return bytes
  }
}
