import Wire

/// What a token service answered, as bytes: nothing of it is believed yet.
package struct TokenAnswer: Sendable, CustomStringConvertible, CustomReflectable {
  /// Longer answers are not read: a token that goes on in a header has no more than some KiB.
  package static let bytesMax = 128 << 10

  package let status: Int
  /// `Content-Type`, where there was one.
  package let contentType: [UInt8]?
  /// `Retry-After`, where there was one.
  package let retryAfter: [UInt8]?
  package let body: [UInt8]

  package init(status: Int, contentType: [UInt8]?, retryAfter: [UInt8]?, body: [UInt8]) {
    self.status = status
    self.contentType = contentType
    self.retryAfter = retryAfter
    self.body = body
  }

  package var description: String { "‹redacted›" }
  package var customMirror: Mirror { Mirror(self, children: []) }

  static let parser = JSONParser(.strict, bytesMax: bytesMax, depthMax: 16, nodesMax: 4_096)

  /// RFC 9110 §10.2.3: seconds, or a date; between 1 s and a day.
  func retryAfterSeconds(nowMs: Int64) -> Int64? {
    guard let retryAfter else { return nil }
    let now = nowMs / 1_000
    if let seconds = Decimal.parse(retryAfter.span) {
      return max(1, Int64(clamping: min(seconds, 86_400)))
    }
    guard let date = HTTPDate.parse(retryAfter.span, now: now) else { return nil }
    return min(max(1, date - now), 86_400)
  }

  /// RFC 6749 §5.1 says `application/json`. Other kinds of JSON, and none said at all, pass too; a
  /// page of HTML does not, whatever it holds.
  var isJSON: Bool {
    guard let contentType else { return true }
    let end = contentType.firstIndex { $0 == UInt8(ascii: ";") || ByteClass.isBlank($0) }
    let type = UTF8Text(contentType[..<(end ?? contentType.endIndex)].map(ByteClass.lowercased))
    return type == "application/json"
      || type.hasPrefix("application/") && type.hasSuffix("+json")
  }
}
