import HTTP
import Reactor
import Wire

/// Which fields of a message are removed and which are set, as one worker does it.
final class FieldRewrite {
  /// Names that don't go on as they came, `_` and `-` being one letter: a name that is set replaces
  /// every field of that name.
  let dropped: [FieldNameKey]
  /// Lines that are the same for each request.
  private let constant: [UInt8]
  private let variable: [(name: [UInt8], template: FieldTemplate)]
  /// Of answers: what it says beside `private`, where only the caller may keep one.
  private let cacheControl: FieldTemplate?

  /// nil where nothing is changed.
  init?(_ changes: FieldChanges, _ claims: inout FieldClaim.Table) {
    if changes.isEmpty { return nil }
    var dropped: [FieldNameKey] = []
    var constant: [UInt8] = []
    var variable: [(name: [UInt8], template: FieldTemplate)] = []
    var cacheControl: FieldTemplate?
    for name in changes.removed + changes.assigned.map(\.name) {
      if let key = FieldNameKey(name.bytes), !dropped.contains(key) { dropped.append(key) }
    }
    for (name, value) in changes.assigned {
      if FieldNameKey(name.bytes)?.known == .cacheControl {
        cacheControl = FieldTemplate(value, &claims)
      } else if let text = value.constant {
        Self.append(name.bytes, text, to: &constant)
      } else {
        variable.append((name.bytes, FieldTemplate(value, &claims)))
      }
    }
    self.dropped = dropped
    self.constant = constant
    self.variable = variable
    self.cacheControl = cacheControl
  }

  /// Whether a field line goes on as far as its name decides.
  func keeps(_ line: FieldLine, in bytes: Span<UInt8>) -> Bool {
    for name in dropped where name.matchesFolded(line, in: bytes) { return false }
    return true
  }

  /// The lines that are set for a request, each with its CRLF.
  ///
  /// - Parameter isPrivate: whether no cache but the caller's own may keep the message.
  func lines(for request: Request, isPrivate: Bool = false) -> [UInt8] {
    if variable.isEmpty, cacheControl == nil { return constant }
    var lines = constant
    for (name, template) in variable {
      if let value = template.filled(for: request) { Self.append(name, value, to: &lines) }
    }
    if let value = cacheControl?.filled(for: request) {
      let kept = isPrivate ? Array(PrivateCaching.directives(of: value).dropFirst()) : value
      if !isPrivate || !kept.isEmpty { Self.append(Array("Cache-Control".utf8), kept, to: &lines) }
    }
    return lines
  }

  private static func append(_ name: [UInt8], _ value: [UInt8], to lines: inout [UInt8]) {
    lines += name
    lines.append(": ")
    lines += value
    lines.append("\r\n")
  }
}
