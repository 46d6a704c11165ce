import OAuth
import Wire

/// Which system called, for the service and for the log: where the gateway's own token stands for
/// it, nothing else would say.
struct ClientID {
  /// A field's value; empty where the token names no client. What is not visible ASCII is
  /// percent-encoded, and so is `%` itself, so that a value means one thing.
  let field: [UInt8]
  /// For the log: JSON text, empty where `accessLog.claims` has it there already.
  let json: [UInt8]

  /// The claims that name a client, the best one first (RFC 9068 §2.2; OpenID Connect's `azp`).
  private static let claims: [UTF8Text] = ["client_id", "azp", "sub"]
  private static let loggedBytesMax = 256

  init(of token: KnownToken) {
    let texts = Self.claims.lazy.compactMap { token.verified.claims[$0]?.string }
    let value = texts.first { !$0.isEmpty }?.bytes ?? []
    field = FieldEncoding.encode(value)
    var json: [UInt8] = []
    if !value.isEmpty, !Self.isLogged(Array(token.logged.claims)) {
      JSONWriter.appendString(Array(value.prefix(Self.loggedBytesMax)), to: &json)
    }
    self.json = json
  }

  /// A quote in a value is escaped, so these bytes can only be a member's name.
  private static func isLogged(_ json: [UInt8]) -> Bool {
    let member = Array("\"client_id\":".utf8)
    guard json.count >= member.count else { return false }
    return (0...(json.count - member.count)).contains { json[$0...].starts(with: member) }
  }
}
