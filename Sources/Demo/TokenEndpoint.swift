import Crypto
import HTTP
import Wire

/// The token endpoint of RFC 6749 §3.2, with three grants.
struct TokenEndpoint {
  enum Grant: String, CaseIterable {
    case clientCredentials = "client_credentials"
    case exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
    /// The test grant: a token in the name of `user`, for the asking. `flaw` spoils it on purpose.
    case person = "urn:tollgate:demo:person"

    var json: JSONValue { JSONText.text(rawValue) }
  }

  /// RFC 6749 §5.2.
  private struct Refusal: Error {
    let error: String
    let description: String
    var status = 400
  }

  private let provider: IdentityProvider

  init(_ provider: IdentityProvider) { self.provider = provider }

  func answer(_ request: SmallRequest) -> SmallAnswer {
    do throws(Refusal) {
      let form = try Form(request.content)
      guard let grant = try form.one("grant_type") else {
        throw Refusal(error: "invalid_request", description: "grant_type is missing")
      }
      switch Grant(rawValue: grant.string) {
      case .clientCredentials: return try clientCredentials(request, form)
      case .exchange: return try exchange(request, form)
      case .person: return try person(form)
      case nil:
        throw Refusal(error: "unsupported_grant_type", description: "unknown grant_type")
      }
    } catch {
      return refused(error)
    }
  }

  private func clientCredentials(
    _ request: SmallRequest, _ form: Form
  ) throws(Refusal) -> SmallAnswer {
    let client = try authenticate(request, form)
    return issued(
      try made { () throws(CryptoFault) in try provider.mint.makeSystem(client: client.id) },
      lifeSeconds: TokenMint.callerLifeSeconds)
  }

  private func person(_ form: Form) throws(Refusal) -> SmallAnswer {
    guard let user = try form.one("user"), IdentityProvider.isName(user.string) else {
      throw Refusal(error: "invalid_request", description: "user is missing or is no plain name")
    }
    var flaw: TokenMint.Flaw?
    if let wanted = try form.one("flaw") {
      flaw = TokenMint.Flaw(rawValue: wanted.string)
      if flaw == nil {
        throw Refusal(error: "invalid_request", description: "unknown flaw")
      }
    }
    let wanted = flaw
    return issued(
      try made { () throws(CryptoFault) in try provider.mint.makePerson(user, flaw: wanted) },
      lifeSeconds: TokenMint.callerLifeSeconds)
  }

  /// RFC 8693 §2.1, and what real token services do with a system's token: "Invalid token".
  private func exchange(_ request: SmallRequest, _ form: Form) throws(Refusal) -> SmallAnswer {
    var isSystem = false
    do throws(Refusal) {
      return try exchangeOrRefuse(request, form, isSystem: &isSystem)
    } catch {
      provider.journal.noteRefused(isSystem: isSystem)
      throw error
    }
  }

  private func exchangeOrRefuse(
    _ request: SmallRequest, _ form: Form, isSystem: inout Bool
  ) throws(Refusal) -> SmallAnswer {
    let client = try authenticate(request, form)
    guard client.exchanges else {
      throw Refusal(error: "unauthorized_client", description: "this client may not exchange")
    }
    guard let token = try form.one("subject_token"),
      try form.one("subject_token_type") == UTF8Text(Self.accessTokenType)
    else {
      throw Refusal(
        error: "invalid_request",
        description: "subject_token, or subject_token_type \(Self.accessTokenType), is missing")
    }
    let subject: CheckedToken
    do throws(CheckedToken.Flaw) {
      subject = try CheckedToken(
        token.bytes, keys: provider.keys, issuer: provider.mint.issuer,
        audience: TokenMint.gatewayAudience)
    } catch {
      throw Self.invalidToken
    }
    isSystem = subject.claims["userType"]?.string == "system"
    guard !isSystem, let name = subject.claims["sub"]?.string,
      let end = subject.claims["exp"]?.integer
    else { throw Self.invalidToken }
    guard let audience = try form.one("audience"), provider.audiences.contains(audience.string)
    else { throw Refusal(error: "invalid_target", description: "no such audience") }
    do throws(CryptoFault) {
      let made = try provider.mint.makeExchanged(
        subject: name, audience: audience, client: client.id, subjectExpiresAt: end)
      provider.journal.noteIssued(
        try Digests.sha256(made.token.span),
        ExchangeJournal.Grant(subject: name.bytes, audience: audience.bytes))
      return issued(made.token, lifeSeconds: made.lifeSeconds, isExchanged: true)
    } catch {
      throw Self.failed(error)
    }
  }

  /// The client by HTTP Basic or by the form (RFC 6749 §2.3.1), never both.
  private func authenticate(
    _ request: SmallRequest, _ form: Form
  ) throws(Refusal) -> DemoClient {
    let fields = request.values(of: "authorization")
    let idInForm = try form.one("client_id")
    let secretInForm = try form.one("client_secret")
    var found: DemoClient?
    if fields.isEmpty, let idInForm, let secretInForm {
      found = provider.client(idInForm.bytes, secret: secretInForm.bytes)
    } else if fields.count == 1, secretInForm == nil, let pair = Self.basic(fields[0]) {
      found = provider.client(pair.id, secret: pair.secret)
    }
    guard let found else {
      throw Refusal(
        error: "invalid_client", description: "the client is unknown or its secret wrong",
        status: 401)
    }
    return found
  }

  private static func basic(_ value: [UInt8]) -> (id: [UInt8], secret: [UInt8])? {
    let scheme = Array("basic ".utf8)
    guard value.count > scheme.count,
      value.prefix(scheme.count).map(ByteClass.lowercased) == scheme,
      let pair = Base64.decode(Array(value.dropFirst(scheme.count))),
      let colon = pair.firstIndex(of: UInt8(ascii: ":")),
      let id = FormEncoding.decode(Array(pair[..<colon]).span),
      let secret = FormEncoding.decode(Array(pair[(colon + 1)...]).span)
    else { return nil }
    return (id, secret)
  }

  private func made(_ body: () throws(CryptoFault) -> [UInt8]) throws(Refusal) -> [UInt8] {
    do throws(CryptoFault) { return try body() } catch { throw Self.failed(error) }
  }

  private static func failed(_ fault: CryptoFault) -> Refusal {
    Refusal(error: "server_error", description: "\(fault)", status: 500)
  }

  /// RFC 6749 §5.1; RFC 8693 §2.2.1 of an exchanged one.
  private func issued(
    _ token: [UInt8], lifeSeconds: Int64, isExchanged: Bool = false
  ) -> SmallAnswer {
    var members: [(String, JSONValue)] = [
      ("access_token", .string(UTF8Text(token))), ("token_type", JSONText.text("Bearer")),
      ("expires_in", JSONText.integer(lifeSeconds)),
    ]
    if isExchanged { members.append(("issued_token_type", JSONText.text(Self.accessTokenType))) }
    return SmallAnswer(
      200, JSONText.indented(JSONText.object(members)), type: IdentityProvider.json,
      fields: IdentityProvider.noStore)
  }

  private func refused(_ refusal: Refusal) -> SmallAnswer {
    var fields = IdentityProvider.noStore
    if refusal.status == 401 { fields += Array("WWW-Authenticate: Basic realm=\"demo\"\r\n".utf8) }
    let body = JSONText.object([
      ("error", JSONText.text(refusal.error)),
      ("error_description", JSONText.text(refusal.description)),
    ])
    return SmallAnswer(
      refusal.status, JSONText.indented(body), type: IdentityProvider.json, fields: fields)
  }

  static let accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
  private static let invalidToken = Refusal(
    error: "invalid_request", description: "Invalid token")

  /// The request's parameters; one that comes twice is an error (RFC 6749 §3.2).
  private struct Form {
    private let pairs: [(name: [UInt8], value: [UInt8])]

    init(_ content: [UInt8]) throws(Refusal) {
      guard let pairs = FormEncoding.parse(content.span, pairsMax: 64) else {
        throw Refusal(error: "invalid_request", description: "the content is no form")
      }
      self.pairs = pairs
    }

    func one(_ name: String) throws(Refusal) -> UTF8Text? {
      let values = pairs.filter { $0.name.elementsEqual(name.utf8) }
      guard values.count <= 1 else {
        throw Refusal(error: "invalid_request", description: "\(name) comes twice")
      }
      return values.first.map { UTF8Text($0.value) }
    }
  }
}
