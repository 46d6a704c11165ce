import OAuth
import Wire

/// Which system called, in a field for the service and in the log: there the gateway's own token
/// stands for it, and nothing else would say.
enum ClientID {
  /// The claims that name a client, the best one first (RFC 9068 §2.2; OpenID Connect's `azp`).
  private static let claims: [UTF8Text] = ["client_id", "azp", "sub"]

  /// The verified client id; nil where none of the claims is a text.
  private static func value(of token: VerifiedToken) -> [UInt8]? {
    for name in claims {
      if let text = token.claims[name]?.string, !text.isEmpty { return text.bytes }
    }
    return nil
  }

  /// A whole line for the service; empty where the token names no client. What is not visible ASCII
  /// is percent-encoded, and so is `%` itself, so that a value means one thing.
  static func line(_ field: [UInt8], _ token: KnownToken) -> [UInt8] {
    guard let value = value(of: token.verified) else { return [] }
    var line = field
    line.append(contentsOf: Array(": ".utf8))
    for byte in value {
      if (0x21...0x7E).contains(byte), byte != UInt8(ascii: "%") {
        line.append(byte)
      } else {
        line.append(UInt8(ascii: "%"))
        line.append(hexadecimal[Int(byte >> 4)])
        line.append(hexadecimal[Int(byte & 15)])
      }
    }
    line.append(contentsOf: [13, 10])
    return line
  }

  /// For the log: JSON text, empty where `accessLog.claims` has it there already.
  static func json(_ token: KnownToken) -> [UInt8] {
    guard !isLogged(token), let value = value(of: token.verified) else { return [] }
    var json: [UInt8] = []
    JSONWriter.appendString(Array(value.prefix(256)), to: &json)
    return json
  }

  /// A quote in a value is escaped, so these bytes can only be a member's name.
  private static func isLogged(_ token: KnownToken) -> Bool {
    let member = Array("\"client_id\":".utf8)
    let logged = token.claimsJSON
    guard logged.count >= member.count else { return false }
    return (0...(logged.count - member.count)).contains { logged[$0...].starts(with: member) }
  }

  private static let hexadecimal = Array("0123456789ABCDEF".utf8)
}
