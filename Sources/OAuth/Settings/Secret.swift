/// Something that no log, error, metric or page may show.
package struct Secret: Sendable {
  /// Where the operator keeps it.
  package enum Origin: Hashable, Sendable {
    case environment(name: String)
    case file(FileReference)
    /// In the routes file itself, which earns a warning.
    case literal
  }

  package let origin: Origin
  /// The secret itself. Compare it in constant time, and hand it only to what must have it.
  package let revealed: [UInt8]

  package init(_ revealed: [UInt8], origin: Origin) {
    self.revealed = revealed
    self.origin = origin
  }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "‹redacted›" }
  package var debugDescription: String { description }
  /// `dump` and string interpolation of what holds a secret show no more than its description.
  package var customMirror: Mirror { Mirror(self, children: []) }
}
