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
    fields.append("Content-Type: application/problem+json\r\nCache-Control: no-store\r\n")
    appendChallenge(refusal, realm: realm, host: request.host, to: &fields)
    if let seconds = refusal.retryAfter {
      fields.append("Retry-After: ")
      JSONWriter.appendInteger(max(0, seconds), to: &fields)
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
    json.append("{\"type\":\"about:blank\",\"title\":\"")
    json.append(StatusPhrase.of(status))
    json.append("\",\"status\":")
    JSONWriter.appendInteger(status, to: &json)
    json.append(",\"detail\":")
    JSONWriter.appendString(refusal.detail, to: &json)
    json.append(",\"reason\":")
    JSONWriter.appendString(refusal.reason.word, to: &json)
    json.append(",\"requestId\":")
    JSONWriter.appendString(id, to: &json)
    json.append("}\n")
    return json
  }

  private static func appendChallenge(
    _ refusal: Refusal, realm: String?, host: [UInt8], to fields: inout [UInt8]
  ) {
    let challenge = refusal.reason.challenge
    if challenge == .none { return }
    fields.append("WWW-Authenticate: Bearer realm=\"")
    appendQuoted(realm.map { Array($0.utf8) } ?? host, to: &fields)
    fields.append("\"")
    if case .code(let code) = challenge {
      fields.append(", error=\"")
      fields += Array(code.utf8)
      fields.append("\", error_description=\"")
      appendQuoted(Array(refusal.detail.utf8), to: &fields)
      fields.append("\"")
    }
    if !refusal.scope.isEmpty {
      fields.append(", scope=\"")
      appendQuoted(Array(refusal.scope.utf8), to: &fields)
      fields.append("\"")
    }
    if !refusal.claims.isEmpty {
      fields.append(", claims=\"")
      appendQuoted(refusal.claims, to: &fields)
      fields.append("\"")
    }
    fields.append("\r\n")
  }

  /// RFC 9110 §5.6.4, and nothing but visible ASCII and spaces.
  private static func appendQuoted(_ text: [UInt8], to fields: inout [UInt8]) {
    for byte in text {
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
