import Wire

/// The request for one exchange and one target: all that does not depend on the caller is written
/// once, when the route is loaded. It holds the gateway's secret.
///
/// Each grant has a form of its own:
/// - RFC 8693 §2.1: the caller's token is `subject_token`;
/// - Entra's on-behalf-of, which is RFC 7523 §2.1 with one parameter of its own: the caller's token
///   is `assertion`, and what is wanted is told by `scope` alone;
/// - RFC 6749 §4.4: no caller's token at all.
package struct TokenExchange: Sendable, CustomStringConvertible, CustomReflectable {
  package static let contentType = "application/x-www-form-urlencoded"

  /// The form up to where the caller's token comes, or all of it where none does.
  private let head: [UInt8]
  /// The form behind it.
  private let tail: [UInt8]
  /// The value of `Authorization`, of clients that show themselves there.
  package let authorization: Secret?

  /// The parameters keep this order: grant, the client where it stands in the form, what is asked
  /// for (each audience and resource a parameter of its own, the scopes one), the caller's token
  /// and its type, who acts, and what the operator added.
  package init(_ settings: ExchangeSettings, target: ExchangeTarget) {
    var head = Form()
    let grant: UTF8Text =
      switch settings.grant {
      case .tokenExchange: "urn:ietf:params:oauth:grant-type:token-exchange"
      case .onBehalfOf: "urn:ietf:params:oauth:grant-type:jwt-bearer"
      case .clientCredentials: "client_credentials"
      }
    head.append("grant_type", grant)
    switch settings.client.method {
    case .basic(let secret):
      authorization = Self.basic(id: settings.client.id, secret: secret)
    case .post(let secret):
      head.append("client_id", settings.client.id)
      head.append("client_secret", UTF8Text(secret.revealed))
      authorization = nil
    case .privateKey:
      // The assertion says it too; RFC 7521 §4.2 allows the id beside it and Entra wants it.
      head.append("client_id", settings.client.id)
      head.append("client_assertion_type", ClientAssertion.type)
      authorization = nil
    case .certificate, .none:
      head.append("client_id", settings.client.id)
      authorization = nil
    }
    for resource in target.resources { head.append("resource", resource) }
    for audience in target.audiences { head.append("audience", audience) }
    if !target.scopes.isEmpty {
      let words = target.scopes.map(\.bytes).joined(separator: [UInt8(ascii: " ")])
      head.append("scope", UTF8Text(Array(words)))
    }
    var tail = Form()
    switch settings.grant {
    case .tokenExchange:
      if let type = settings.requestedTokenType { head.append("requested_token_type", type) }
      head.append("subject_token", "")  // its value is put here for each caller
      tail.append("subject_token_type", settings.subjectTokenType)
      if let actor = settings.actorToken {
        tail.append("actor_token", UTF8Text(actor.revealed))
        // RFC 8693 §2.1: never without an actor_token.
        tail.append("actor_token_type", settings.actorTokenType)
      }
    case .onBehalfOf:
      head.append("requested_token_use", "on_behalf_of")
      head.append("assertion", "")
    case .clientCredentials: break
    }
    for parameter in settings.parameters { tail.append(parameter.name, parameter.value) }
    self.head = head.bytes
    self.tail = tail.bytes.isEmpty ? [] : [UInt8(ascii: "&")] + tail.bytes
  }

  /// The form: it holds secrets, and must not be logged.
  ///
  /// - Parameters:
  ///   - subjectToken: the caller's; nil where the grant has none.
  ///   - assertion: the client's, where it shows itself by one.
  package func makeBody(
    subjectToken: [UInt8]?, assertion: [UInt8]? = nil
  ) -> [UInt8] {
    var body: [UInt8] = []
    body.reserveCapacity(
      head.count + (subjectToken?.count ?? 0) + tail.count + (assertion?.count ?? 0) + 32)
    body.append(contentsOf: head)
    if let subjectToken { FormEncoding.append(subjectToken.span, to: &body) }
    body.append(contentsOf: tail)
    if let assertion { FormEncoding.append("client_assertion", assertion, to: &body) }
    return body
  }

  package var description: String { "‹redacted›" }
  package var customMirror: Mirror { Mirror(self, children: []) }

  private static func basic(id: UTF8Text, secret: Secret) -> Secret {
    Secret(
      Array("Basic ".utf8) + credentials(id: id, secret: secret), origin: secret.origin)
  }

  /// RFC 6749 §2.3.1: both are form-encoded before they are joined, so a colon in the id is none.
  static func credentials(id: UTF8Text, secret: Secret) -> [UInt8] {
    var credentials = FormEncoding.encode(id.bytes)
    credentials.append(UInt8(ascii: ":"))
    credentials.append(contentsOf: FormEncoding.encode(secret.revealed))
    return Base64.encode(credentials)
  }
}

/// A form while it is put together.
private struct Form {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ name: UTF8Text, _ value: UTF8Text) {
    FormEncoding.append(name.bytes.span, value.bytes.span, to: &bytes)
  }
}
