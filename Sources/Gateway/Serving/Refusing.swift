import HTTP
import Reactor
import Wire

/// Answers a request that is turned away, in one place: a problem (RFC 9457), and for tokens a
/// challenge (RFC 6750 §3).
enum Refusing {
  /// Puts the refusal into the caller's buffer and notes it.
  ///
  /// - Parameter realm: of the challenge; nil for the request's host.
  static func write(_ refusal: Refusal, to request: Request, realm: String?, closes: Bool) {
    var fields: [UInt8] = []
    fields.reserveCapacity(fieldsBytesUsual)
    fields.append("Content-Type: application/problem+json\r\nCache-Control: no-store\r\n")
    appendChallenge(refusal, realm: realm, host: request.host, to: &fields)
    if let seconds = refusal.retryAfter {
      fields.append("Retry-After: ")
      Decimal.append(UInt64(clamping: seconds), to: &fields)
      fields.append("\r\n")
    }
    if !refusal.allow.isEmpty || refusal.reason == .methodNotAllowed {
      fields.append("Allow: ")
      fields += refusal.allow
      fields.append("\r\n")
    }
    if let cors = request.cors { fields += cors.answerFields }
    AnswerWriter.writeOwn(
      refusal.reason.status, fields: fields, content: problem(refusal, id: request.id),
      isHead: request.connection.head.byteCount > 0 && request.method == .head, closes: closes,
      to: request.connection)
  }

  private static func problem(_ refusal: Refusal, id: [UInt8]) -> [UInt8] {
    let status = refusal.reason.status
    var json: [UInt8] = []
    json.reserveCapacity(problemBytesUsual)
    json.append("{\"type\":\"about:blank\",\"title\":\"")
    json.append(StatusPhrase.of(status))
    json.append("\",\"status\":")
    Decimal.append(UInt64(clamping: status), to: &json)
    json.append(",\"detail\":")
    appendString(refusal.detail.utf8.span, to: &json)
    json.append(",\"reason\":")
    appendString(refusal.reason.word.utf8.span, to: &json)
    json.append(",\"requestId\":")
    appendString(id.span, to: &json)
    json.append("}\n")
    return json
  }

  // Floods are answered by refusals: most of what these say is copied in one piece.

  private static let fieldsBytesUsual = 256
  private static let problemBytesUsual = 384

  private static func appendString(_ text: Span<UInt8>, to json: inout [UInt8]) {
    guard Buffer.isPlain(text) else { return JSONWriter.appendString(text, to: &json) }
    json.append("\"")
    json.append(copying: text)
    json.append("\"")
  }

  private static func appendChallenge(
    _ refusal: Refusal, realm: String?, host: [UInt8], to fields: inout [UInt8]
  ) {
    let challenge = refusal.reason.challenge
    if challenge == .none { return }
    fields.append("WWW-Authenticate: Bearer realm=\"")
    if let realm {
      appendQuoted(realm.utf8.span, to: &fields)
    } else {
      appendQuoted(host.span, to: &fields)
    }
    fields.append("\"")
    if case .code(let code) = challenge {
      fields.append(", error=\"")
      fields += Array(code.utf8)
      fields.append("\", error_description=\"")
      appendQuoted(refusal.detail.utf8.span, to: &fields)
      fields.append("\"")
    }
    if !refusal.scope.isEmpty {
      fields.append(", scope=\"")
      appendQuoted(refusal.scope.utf8.span, to: &fields)
      fields.append("\"")
    }
    if !refusal.claims.isEmpty {
      fields.append(", claims=\"")
      appendQuoted(refusal.claims.span, to: &fields)
      fields.append("\"")
    }
    fields.append("\r\n")
  }

  /// RFC 9110 §5.6.4, and nothing but visible ASCII and spaces.
  private static func appendQuoted(_ text: Span<UInt8>, to fields: inout [UInt8]) {
    if Buffer.isPlain(text) { return fields.append(copying: text) }
    for index in text.indices {
      let byte = text[index]
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        fields.append(UInt8(ascii: "\\"))
        fields.append(byte)
      case 0x20...0x7E: fields.append(byte)
      default: fields.append(UInt8(ascii: "?"))
      }
    }
  }
}
