import Crypto
import JOSE
import OAuth
import Reactor
import Wire

/// What the access log tells of a caller, as JSON text: one piece of memory, as a worker holds
/// thousands of them.
struct LoggedCaller {
  /// All of it as members of a line in a layout: most are written many times in one.
  private var members: (layout: LogLayout, text: [UInt8])?
  /// The issuer's name, the token's id, the claims, the identity and the rule that decided it, one
  /// behind the other.
  private let text: [UInt8]
  private let issuerEnd: Int
  private let tokenIDEnd: Int
  private let claimsEnd: Int
  private let identityEnd: Int

  init(_ token: VerifiedToken, claims: [LoggedClaim], digester: Digester) {
    var text: [UInt8] = []
    JSONWriter.appendString(token.issuerName, to: &text)
    issuerEnd = text.count
    if let tokenID = token.tokenID {
      let shown = Array(tokenID.bytes.prefix(Limits.loggedTokenIDBytesMax))
      JSONWriter.appendString(shown, to: &text)
    }
    tokenIDEnd = text.count
    text += LoggedClaims.json(claims, of: token, digester)
    claimsEnd = text.count
    JSONWriter.appendString(token.identity.kind.rawValue, to: &text)
    identityEnd = text.count
    if let rule = token.identity.rule { JSONWriter.appendString(rule, to: &text) }
    self.text = text
  }

  var issuer: ArraySlice<UInt8> { text[..<issuerEnd] }
  /// Empty where the token has none.
  var tokenID: ArraySlice<UInt8> { text[issuerEnd..<tokenIDEnd] }
  /// The members, without braces; empty where the token has none of the claims.
  var claims: ArraySlice<UInt8> { text[tokenIDEnd..<claimsEnd] }
  var identity: ArraySlice<UInt8> { text[claimsEnd..<identityEnd] }
  /// Empty where no rule did.
  var identityRule: ArraySlice<UInt8> { text[identityEnd...] }

  /// What a line in the layout, which is an object, has of it: each member behind a comma.
  mutating func members(in layout: LogLayout) -> [UInt8] {
    if let members, members.layout === layout { return members.text }
    var text: [UInt8] = []
    func append(_ field: AccessLogField, _ value: ArraySlice<UInt8>) {
      guard layout.wants(field), !value.isEmpty else { return }
      text.append(layout.names[Int(field.rawValue)])
      text += value
    }
    append(.issuer, issuer)
    append(.jti, tokenID)
    if layout.wants(.claims) { layout.append(claims: Array(claims), to: &text) }
    append(.identity, identity)
    append(.identityRule, identityRule)
    members = (layout, text)
    return text
  }
}

/// The claims that the routes file wants in the access log.
enum LoggedClaims {
  /// Values longer than this are cut.
  private static let valueBytesMax = 256

  /// The members, without braces: `"client_id":"a","sub":"5f2c…"`; empty where the token has none.
  static func json(
    _ claims: [LoggedClaim], of token: VerifiedToken, _ digester: Digester
  ) -> [UInt8] {
    var json: [UInt8] = []
    for logged in claims {
      guard let node = logged.claim.value(in: token.claims), let value = node.claimText else {
        continue
      }
      if !json.isEmpty { json.append(UInt8(ascii: ",")) }
      JSONWriter.appendString(logged.claim.text, to: &json)
      json.append(UInt8(ascii: ":"))
      if logged.isHashed {
        let digest = digester.digest(token.issuer.bytes + [0] + value)
        JSONWriter.appendString(String(digest.description.prefix(16)), to: &json)
      } else {
        JSONWriter.appendString(Array(value.prefix(valueBytesMax)), to: &json)
      }
    }
    return json
  }
}
