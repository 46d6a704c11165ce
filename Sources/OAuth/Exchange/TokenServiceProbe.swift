import Wire

/// A question that tells a token endpoint from anything else, and that costs nobody anything.
///
/// It is a token request of a grant that no service knows, by nobody (RFC 6749 §4.5: a grant may
/// have any URI as its name). Whoever speaks OAuth must refuse it with an `error` of §5.2; which
/// one makes no difference: `unsupported_grant_type`, or `invalid_client` where the client is
/// looked at first, or `invalid_request`. No secret, assertion, client id or caller's token goes
/// with it: nothing can be issued for it, nothing is used up, and no service counts it as
/// somebody's failed attempt, for which it might lock a client out.
package enum TokenServiceProbe {
  /// The content of the request, a form.
  package static let form = "grant_type=urn%3Atollgate%3Acheck"

  package struct Verdict: Equatable, Sendable {
    package let isWell: Bool
    /// What it did, and where that is wrong, what may be the matter.
    package let text: String
  }

  /// What the answer says of who gave it.
  package static func judge(_ answer: TokenAnswer) -> Verdict {
    let status = answer.status
    switch status {
    case 429: return wrong("asks for patience (429): try again later")
    case 400..<500:
      if let code = errorCode(answer.body) {
        return Verdict(isWell: true, text: "refuses as a token endpoint does (\(status), \(code))")
      }
      return wrong("answered \(status) without an OAuth error: no token endpoint is there")
    case 500..<600: return wrong("answered \(status)")
    case 300..<400:
      return wrong("redirects (\(status)), which is never followed: is that the right URL?")
    default:
      return wrong("answered \(status) to what every token endpoint refuses: it is none")
    }
  }

  private static func wrong(_ text: String) -> Verdict { Verdict(isWell: false, text: text) }

  /// `error`, where it looks like a code of OAuth's and not like what web frameworks write there
  /// ("Not Found").
  private static func errorCode(_ body: [UInt8]) -> String? {
    let root: JSONNode
    do throws(JSONFault) { root = try TokenAnswer.parser.parse(body) } catch { return nil }
    guard let code = root["error"]?.string, (1...60).contains(code.bytes.count),
      code.bytes.allSatisfy({ 0x61...0x7A ~= $0 || ByteClass.isDigit($0) || $0 == 0x5F })
    else { return nil }
    return code.string
  }
}
