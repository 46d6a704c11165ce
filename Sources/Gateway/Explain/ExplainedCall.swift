import Wire

/// A request that is asked about: what a client would send, the token apart.
package struct ExplainedCall: Sendable {
  /// Why it is none.
  package struct Fault: Error, Equatable {
    package let text: String
  }

  let method: String
  /// Whether the URL says https; nil where it says nothing.
  let isSecure: Bool?
  /// As the URL has it: what `Host` says, where no field does.
  let authority: String
  /// Path and query, as the URL has them.
  let target: String
  /// Fields in their order, names as they were given.
  let fields: [(name: String, value: String)]
  /// The caller's token, as it would stand behind `Bearer`; nil: none.
  let token: [UInt8]?
  /// The listener's name; nil: the one that fits best.
  let listener: String?
  /// Whether issuers are asked for their keys and metadata.
  let isLive: Bool

  /// - Parameters:
  ///   - url: http or https; or a path, for a request without a known host.
  ///   - fields: `Name: value`, each.
  ///   - token: the text of a file: white space around it and `Bearer` before it are dropped.
  /// - Throws: what is wrong with one of them.
  package init(
    method: String, url: String, fields: [String] = [], token: [UInt8]? = nil,
    listener: String? = nil, isLive: Bool = false
  ) throws(Fault) {
    guard Self.isVisible(method), !method.isEmpty else {
      throw Fault(text: "\"\(LogText.printable(method))\" is not a method")
    }
    guard Self.isVisible(url), !url.isEmpty else {
      throw Fault(text: "a URL holds neither blanks nor control characters: escape them (%20)")
    }
    self.method = method
    let whole = String(url.prefix { $0 != "#" })
    if whole.hasPrefix("/") {
      (isSecure, authority, target) = (nil, "localhost", whole)
    } else {
      let parts = whole.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
      let scheme = parts[0].lowercased()
      guard parts.count == 2, scheme == "http" || scheme == "https" else {
        throw Fault(text: "expected http://…, https://… or a path that begins with /")
      }
      let host = parts[1].prefix { $0 != "/" && $0 != "?" }
      guard !host.isEmpty else { throw Fault(text: "the URL names no host") }
      guard !host.contains("@") else { throw Fault(text: "a user and password in the URL") }
      let rest = parts[1].dropFirst(host.count)
      (isSecure, authority) = (scheme == "https", String(host))
      target = rest.hasPrefix("/") ? String(rest) : "/\(rest)"
    }
    var pairs: [(name: String, value: String)] = []
    for field in fields { pairs.append(try Self.field(field)) }
    self.fields = pairs
    self.token = try token.map(Self.bare)
    self.listener = listener
    self.isLive = isLive
  }

  private static func field(_ text: String) throws(Fault) -> (name: String, value: String) {
    guard let colon = text.firstIndex(of: ":"), colon > text.startIndex,
      isVisible(String(text[..<colon]))
    else { throw Fault(text: "a header is \"Name: value\"") }
    guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
      throw Fault(text: "a header holds no control characters")
    }
    let value = text[text.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
    return (String(text[..<colon]), String(value))
  }

  /// A file has a line feed at its end, and may have been copied from a header.
  private static func bare(_ token: [UInt8]) throws(Fault) -> [UInt8] {
    func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
    var token = token[...]
    while let first = token.first, isBlank(first) { token.removeFirst() }
    while let last = token.last, isBlank(last) { token.removeLast() }
    let scheme = UTF8Text("bearer ")
    if UTF8Text(Array(token.prefix(7))).equalsIgnoringASCIICase(scheme) {
      token = token.dropFirst(7)
      while token.first == 0x20 { token.removeFirst() }
    }
    guard !token.isEmpty else { throw Fault(text: "the token is empty") }
    guard token.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw Fault(text: "the token's text holds more than one token: blanks, or what is not ASCII")
    }
    return Array(token)
  }

  private static func isVisible(_ text: String) -> Bool {
    text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }
  }

  /// The request's head as a client sends it (RFC 9112 §3.2.1).
  ///
  /// - Parameters:
  ///   - token: the one that stands in it.
  ///   - place: where.
  func head(token: [UInt8]?, in place: TokenPlace) -> [UInt8] {
    var target = Array(self.target.utf8)
    var lines: [[UInt8]] = []
    if !fields.contains(where: { $0.name.lowercased() == "host" }) {
      lines.append(Array("Host: \(authority)".utf8))
    }
    for (name, value) in fields { lines.append(Array("\(name): \(value)".utf8)) }
    if let token {
      switch place {
      case .header: lines.append(Array("Authorization: Bearer ".utf8) + token)
      case .cookie(let name): lines.append(Array("Cookie: ".utf8) + name.bytes + [0x3D] + token)
      case .query(let name):
        target.append(target.contains(UInt8(ascii: "?")) ? UInt8(ascii: "&") : UInt8(ascii: "?"))
        target += FormEncoding.encode(name.bytes) + [0x3D] + token
      }
    }
    var head = Array("\(method) ".utf8) + target + Array(" HTTP/1.1\r\n".utf8)
    for line in lines { head += line + [0x0D, 0x0A] }
    return head + [0x0D, 0x0A]
  }
}
