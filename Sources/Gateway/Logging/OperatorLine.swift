/// What is said to the operator, and how much it matters. A literal is information.
package struct OperatorLine: Sendable, Hashable, ExpressibleByStringInterpolation {
  package enum Level: String, Sendable {
    /// As it should be.
    case info
    /// It goes on; somebody should look at it.
    case warning
    /// Something does not work until somebody does something.
    case error
  }

  package let level: Level
  package let text: String
  /// The text where the level is told beside it.
  let message: String

  /// - Parameter message: the text without its level, where it says that.
  package init(_ level: Level, _ text: String, message: String? = nil) {
    self.level = level
    self.text = text
    self.message = message ?? text
  }

  package init(stringLiteral text: String) { self.init(.info, text) }

  package static func info(_ text: String) -> OperatorLine { OperatorLine(.info, text) }
  package static func warning(_ text: String) -> OperatorLine { OperatorLine(.warning, text) }
  package static func error(_ text: String) -> OperatorLine { OperatorLine(.error, text) }
}

/// Takes a line for the operator, from any thread, in no time.
package typealias Report = @Sendable (OperatorLine) -> Void
