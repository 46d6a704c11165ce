import Wire

/// The request of RFC 8693 §2.1 for one exchange and one target: all that does not depend on the
/// caller is written once, when the route is loaded. It holds the gateway's secret.
package struct TokenExchange: Sendable, CustomStringConvertible, CustomReflectable {
  package static let contentType = "application/x-www-form-urlencoded"

  /// The form up to where the caller's token comes.
  private let head: [UInt8]
  /// The form behind it.
  private let tail: [UInt8]
  /// The value of `Authorization`, of clients that show themselves there.
  package let authorization: Secret?

  /// The parameters keep this order: grant, the client where it stands in the form, what is asked
  /// for (each audience and resource a parameter of its own, the scopes one), the caller's token
  /// and its type, and what the operator added.
  package init(_ settings: ExchangeSettings, target: ExchangeTarget) {
    var head: [UInt8] = []
    switch settings.grant {
    case .tokenExchange:
      append("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", to: &head)
    }
    switch settings.client.method {
    case .basic(let secret):
      authorization = Self.basic(id: settings.client.id, secret: secret)
    case .post(let secret):
      append("client_id", settings.client.id, to: &head)
      append("client_secret", UTF8Text(secret.revealed), to: &head)
      authorization = nil
    }
    for resource in target.resources { append("resource", resource, to: &head) }
    for audience in target.audiences { append("audience", audience, to: &head) }
    if !target.scopes.isEmpty {
      let words = target.scopes.map(\.bytes).joined(separator: [UInt8(ascii: " ")])
      append("scope", UTF8Text(Array(words)), to: &head)
    }
    if let type = settings.requestedTokenType { append("requested_token_type", type, to: &head) }
    append("subject_token", "", to: &head)  // its value is put here for each caller
    self.head = head

    var tail: [UInt8] = [UInt8(ascii: "&")]
    var more: [UInt8] = []
    append("subject_token_type", settings.subjectTokenType, to: &more)
    for parameter in settings.parameters {
      FormEncoding.append(parameter.name.bytes.span, parameter.value.bytes.span, to: &more)
    }
    tail.append(contentsOf: more)
    self.tail = tail

    func append(_ name: String, _ value: UTF8Text, to form: inout [UInt8]) {
      FormEncoding.append(name, value.bytes, to: &form)
    }
  }

  /// The form for this caller: it holds the token, and must not be logged.
  package func makeBody(subjectToken: Span<UInt8>) -> [UInt8] {
    var body: [UInt8] = []
    body.reserveCapacity(head.count + subjectToken.count + tail.count)
    body.append(contentsOf: head)
    FormEncoding.append(subjectToken, to: &body)
    body.append(contentsOf: tail)
    return body
  }

  package var description: String { "‹redacted›" }
  package var customMirror: Mirror { Mirror(self, children: []) }

  /// RFC 6749 §2.3.1: both are form-encoded before they are joined, so a colon in the id is none.
  private static func basic(id: UTF8Text, secret: Secret) -> Secret {
    var credentials = FormEncoding.encode(id.bytes)
    credentials.append(UInt8(ascii: ":"))
    credentials.append(contentsOf: FormEncoding.encode(secret.revealed))
    return Secret(
      Array("Basic ".utf8) + Base64.encode(credentials), origin: secret.origin)
  }
}
