import Crypto
import HTTP
import Wire

/// The demo's identity provider and token service: discovery, keys, tokens, exchange.
///
/// It gives tokens in anybody's name without a password, so it may be reached from this machine
/// only: it is bound to 127.0.0.1 and answers to no other host's name, or a page somewhere that
/// points its own name at this address (DNS rebinding) would have tokens too.
package final class IdentityProvider: Sendable {
  package let journal = ExchangeJournal()
  let mint: TokenMint
  let keys: [UTF8Text: PublicKey]
  private let clients: [DemoClient]

  /// The services that a token may be exchanged for.
  let audiences: [String]

  init(issuer: String, audiences: [String], clients: [DemoClient]) throws(CryptoFault) {
    mint = try TokenMint(issuer: issuer)
    keys = try mint.makePublicKeys()
    self.audiences = audiences
    self.clients = clients
  }

  func client(_ id: [UInt8], secret: [UInt8]) -> DemoClient? {
    clients.first { client in
      client.id.bytes == id && constantTimeEqual(client.secret.span, secret.span)
    }
  }

  func answer(_ request: SmallRequest) -> SmallAnswer {
    let host = String(decoding: request.host, as: UTF8.self)
    guard ["127.0.0.1", "localhost", ""].contains(host) else {
      return SmallAnswer(421, Array("Ask 127.0.0.1.\n".utf8))
    }
    let method = String(decoding: request.method, as: UTF8.self)
    let path = String(decoding: request.path, as: UTF8.self)
    switch (method, path) {
    case ("GET", "/"): return SmallAnswer(200, Array(help.utf8))
    case ("GET", "/.well-known/openid-configuration"):
      return SmallAnswer(200, JSONText.indented(discovery), type: Self.json)
    case ("GET", "/jwks"): return SmallAnswer(200, mint.keySet, type: Self.json)
    case ("GET", "/counts"): return SmallAnswer(200, JSONText.indented(counts), type: Self.json)
    case ("POST", "/token"): return TokenEndpoint(self).answer(request)
    case ("GET", _) where path.hasPrefix("/tokens/"): return shortcut(String(path.dropFirst(8)))
    default: return SmallAnswer(404, Array(help.utf8))
    }
  }

  static let json = "application/json"
  static let noStore = Array("Cache-Control: no-store\r\n".utf8)

  /// A token by itself, for a shell's `$(…)`.
  private func shortcut(_ name: String) -> SmallAnswer {
    do throws(CryptoFault) {
      let token: [UInt8] =
        if name == "system" {
          try mint.makeSystem(client: DemoClient.systemID)
        } else if let flaw = TokenMint.Flaw(rawValue: name) {
          try mint.makePerson("ann", flaw: flaw)
        } else if Self.isName(name) {
          try mint.makePerson(UTF8Text(name))
        } else {
          []
        }
      if token.isEmpty { return SmallAnswer(404, Array(help.utf8)) }
      return SmallAnswer(200, token, fields: Self.noStore)
    } catch {
      return SmallAnswer(500, Array("\(error)\n".utf8))
    }
  }

  static func isName(_ name: String) -> Bool {
    (1...64).contains(name.utf8.count)
      && name.utf8.allSatisfy { ByteClass.isUnreserved($0) || $0 == UInt8(ascii: "@") }
  }

  /// OpenID Connect Discovery 1.0 §3.
  private var discovery: JSONValue {
    let issuer = mint.issuer
    return JSONText.object([
      ("issuer", JSONText.text(issuer)),
      ("token_endpoint", JSONText.text(issuer + "/token")),
      ("jwks_uri", JSONText.text(issuer + "/jwks")),
      ("grant_types_supported", JSONText.array(TokenEndpoint.Grant.allCases.map(\.json))),
      (
        "token_endpoint_auth_methods_supported",
        JSONText.array(
          ["client_secret_basic", "client_secret_post"].map { JSONText.text($0) })
      ),
      ("response_types_supported", JSONText.array([])),
      ("subject_types_supported", JSONText.array([JSONText.text("public")])),
      (
        "id_token_signing_alg_values_supported",
        JSONText.array(["RS256", "ES256"].map { JSONText.text($0) })
      ),
    ])
  }

  private var counts: JSONValue {
    let counts = journal.counts
    return JSONText.object([
      ("exchanges", JSONText.integer(counts.exchanges)),
      ("issued", JSONText.integer(counts.issued)),
      ("refused", JSONText.integer(counts.refused)),
      ("refusedSystems", JSONText.integer(counts.refusedSystems)),
    ])
  }

  private var help: String {
    """
    The identity provider and token service of `tollgate demo`. Nothing here is secret or lasts.

      GET  /.well-known/openid-configuration, /jwks
      GET  /tokens/NAME    a token of the person NAME, nothing else, for a shell's $(...)
      GET  /tokens/system  a system's token; and: \
    \(TokenMint.Flaw.allCases.map(\.rawValue).joined(separator: ", "))
      GET  /counts         what the token service did so far
      POST /token          grant_type \(TokenEndpoint.Grant.person.rawValue)
                           (user, flaw: no password), client_credentials,
                           \(TokenEndpoint.Grant.exchange.rawValue)

    """
  }
}

/// Somebody who may ask for tokens. Prints without the secret.
struct DemoClient: Sendable, CustomStringConvertible {
  let id: UTF8Text
  let secret: [UInt8]
  /// Whether it may exchange others' tokens.
  let exchanges: Bool

  static let gatewayID: UTF8Text = "gateway"
  static let systemID: UTF8Text = "nightly-report"
  /// In the demo's help: what it opens is worth nothing.
  static let systemSecret = "demo"

  var description: String { "client \(id)" }
}
