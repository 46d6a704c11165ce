/// A request's head, understood: what the request line says, the fields, and what follows.
///
/// Every range counts from the first byte that the parser was handed, so the head has meaning only
/// beside those bytes. One object is parsed into again and again and keeps its arrays' room; it is
/// an object so that handing it on costs one reference and not one for each array.
package final class RequestHead {
  package internal(set) var method = Method.get
  /// The method's bytes, for `Method.other` above all.
  package internal(set) var methodRange = 0..<0
  /// The whole request target, as it was sent: visible ASCII without `#`.
  package internal(set) var target = 0..<0
  package internal(set) var targetForm = TargetForm.origin
  /// Of a target in absolute form, whatever the listener it came to speaks; else nil.
  package internal(set) var scheme: Scheme?
  /// The target's path, not normalised, from its `/` on. Empty in absolute form where the URI has
  /// none, which means `/`, and in asterisk form.
  package internal(set) var path = 0..<0
  /// What stands behind the first `?`; nil without one, empty when nothing follows it.
  package internal(set) var query: Range<Int>?
  /// The authority as it was written: in an absolute target, else in Host. Nil only in HTTP/1.0.
  package internal(set) var authorityRange: Range<Int>?
  /// The same in the form that compares by bytes; its host is empty where `authorityRange` is nil.
  package internal(set) var authority = Authority()
  /// 1 for HTTP/1.1, 0 for HTTP/1.0.
  package internal(set) var minorVersion: UInt8 = 1
  package internal(set) var section = FieldSection()
  /// The head's length: the leading empty line (if there was one) up to the empty line at its end.
  package internal(set) var byteCount = 0
  /// How the content ends: `none`, `length` or `chunked`; never `untilClose`.
  package internal(set) var framing = BodyFraming.none
  /// Whether the caller wants to use the connection again (RFC 9112 §9.3).
  package internal(set) var keepAlive = true
  /// Whether the caller waits for a 100 before it sends the content. Only in HTTP/1.1, and only
  /// where content is announced (RFC 9110 §10.1.1).
  package internal(set) var expectsContinue = false
  /// Whether HTTP/1.1's Upgrade is there and Connection names it (RFC 9110 §7.8).
  package internal(set) var upgradeRequested = false

  package init() {}

  /// The field lines, in the order received.
  package var fields: [FieldLine] { section.lines }
  /// The names that occur with their exact spelling.
  package var names: FieldNameSet { section.names }
  /// Those of them that occur more than once.
  package var repeatedNames: FieldNameSet { section.repeatedNames }
  /// The first field line of that exact name.
  package func first(_ name: FieldName) -> FieldLine? {
    section.names.contains(name) ? section.lines.first(name) : nil
  }

  /// Back to an empty head that keeps its arrays' room.
  func removeAll() {
    section.removeAll()
    authority.removeAll()
    authorityRange = nil
    scheme = nil
    query = nil
    path = 0..<0
    byteCount = 0
    framing = .none
    keepAlive = true
    expectsContinue = false
    upgradeRequested = false
  }
}

/// The form of a request target (RFC 9112 §3.2). The fourth, CONNECT's authority form, is refused
/// with its method.
package enum TargetForm: Equatable, Sendable {
  /// `/path?query`
  case origin
  /// `http://host/path?query`
  case absolute
  /// `*`, of OPTIONS; also an OPTIONS whose absolute target has neither path nor query (§3.2.4).
  case asterisk
}

/// The two schemes of HTTP (RFC 9110 §4.2).
package enum Scheme: Sendable {
  case http, https

  package var defaultPort: UInt16 { self == .http ? 80 : 443 }
}

/// How a message's content ends (RFC 9112 §6.3).
package enum BodyFraming: Equatable, Sendable {
  /// There is no content.
  case none
  /// Content-Length said so; may be 0, and is below 2^63.
  case length(UInt64)
  case chunked
  /// Responses only: the connection's end is the content's end.
  case untilClose
}
