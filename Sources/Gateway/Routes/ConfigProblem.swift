package import Wire

/// An operator's mistake, or what deserves a second look, as ROUTES.md shows it:
///
///     routes.json:31:21: routes[2].exchange.audiance: unknown key; did you mean "audience"?
///         31 |       "exchange": { "audiance": "orders" },
///            |                     ^~~~~~~~~~
package struct ConfigProblem: Sendable, Equatable, CustomStringConvertible {
  package enum Severity: Sendable {
    case error
    /// The configuration holds all the same.
    case warning
  }

  package let severity: Severity
  /// As the operator named it.
  package let file: String
  /// nil where the whole file is at fault: it can't be read.
  package let location: SourceLocation?
  /// The path of the key; "" for the whole file.
  package let key: String
  package let message: String
  /// What was probably meant.
  package let suggestion: String?
  /// The line and its underline; secrets are not shown.
  package let excerpt: SourceExcerpt?

  package var description: String { text(levelled: true) }

  /// For the operator's log, which has a place of its own for the level.
  package var line: OperatorLine {
    switch severity {
    case .error: .error(description)
    case .warning: OperatorLine(.warning, description, message: text(levelled: false))
    }
  }

  private func text(levelled: Bool) -> String {
    var place = file
    if let location { place += ":\(location.line):\(location.column)" }
    var text = "\(place): \(levelled && severity == .warning ? "warning: " : "")"
    if !key.isEmpty { text += "\(key): " }
    text += message
    if let suggestion { text += "; did you mean \"\(suggestion)\"?" }
    text = ShownText.plain(text)
    guard let excerpt, let location else { return text }
    let number = String(location.line)
    let margin = String(repeating: " ", count: number.count)
    text += "\n    \(number) |\(excerpt.line.isEmpty ? "" : " ")\(excerpt.line)"
    text += "\n    \(margin) | \(excerpt.underline)"
    return text
  }
}

/// A line of a file and what stands below it to point at a part of it.
package struct SourceExcerpt: Sendable, Equatable {
  package let line: String
  package let underline: String
}
