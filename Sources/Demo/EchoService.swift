import Crypto
import HTTP
import Wire

/// A service behind the gateway: it takes only tokens that the identity provider issued for it, and
/// shows as JSON what it received.
///
/// Of the token it shows the claims and the SHA-256, not the token: a caller never sees what the
/// gateway got for a service.
struct EchoService: Sendable {
  /// Its name, and the audience of its tokens.
  let name: String
  let issuer: String
  let keys: [UTF8Text: PublicKey]

  func answer(_ request: SmallRequest) -> SmallAnswer {
    let token = bearerToken(of: request)
    let problem = token.map(flaw) ?? "no bearer token"
    var members: [(String, JSONValue)] = [
      ("service", JSONText.text(name)),
      ("method", .string(UTF8Text(request.method))), ("path", .string(UTF8Text(request.path))),
    ]
    if !request.query.isEmpty { members.append(("query", .string(UTF8Text(request.query)))) }
    if !request.content.isEmpty {
      members.append(("contentBytes", JSONText.integer(request.content.count)))
    }
    members.append(("headers", headers(of: request)))
    if let token { members.append(("token", shown(token))) }
    members.append(("accepted", .bool(problem == nil)))
    if let problem { members.append(("problem", JSONText.text(problem))) }
    return SmallAnswer(
      problem == nil ? 200 : 401, JSONText.indented(JSONText.object(members)),
      type: "application/json", fields: Array("Cache-Control: no-store\r\n".utf8))
  }

  private func bearerToken(of request: SmallRequest) -> [UInt8]? {
    let fields = request.values(of: "authorization")
    let scheme = Array("bearer ".utf8)
    guard fields.count == 1, fields[0].prefix(scheme.count).map(ByteClass.lowercased) == scheme
    else { return nil }
    return Array(fields[0].dropFirst(scheme.count))
  }

  /// Why this service does not take the token; nil when it does.
  private func flaw(of token: [UInt8]) -> String? {
    do throws(CheckedToken.Flaw) {
      _ = try CheckedToken(token, keys: keys, issuer: issuer, audience: name)
      return nil
    } catch {
      return "the token is \(error.text)"
    }
  }

  /// Names in lower case; a field that came several times has a list of values.
  private func headers(of request: SmallRequest) -> JSONValue {
    var names: [String] = []
    var values: [String: [JSONValue]] = [:]
    for field in request.fields {
      let name = String(decoding: field.name.map(ByteClass.lowercased), as: UTF8.self)
      if values[name] == nil { names.append(name) }
      let value = name == "authorization" ? withoutCredentials(field.value) : field.value
      values[name, default: []].append(.string(UTF8Text(value)))
    }
    return JSONText.object(
      names.map { name in
        let all = values[name] ?? []
        return (name, all.count == 1 ? all[0] : JSONText.array(all))
      })
  }

  /// "Bearer (see token)".
  private func withoutCredentials(_ value: [UInt8]) -> [UInt8] {
    Array(value.prefix { $0 != UInt8(ascii: " ") }) + Array(" (see token)".utf8)
  }

  private func shown(_ token: [UInt8]) -> JSONValue {
    let digest = (try? Digests.sha256(token.span)) ?? []
    return JSONText.object([
      ("claims", CheckedToken.unverifiedClaims(token)?.value ?? .null),
      ("sha256", .string(UTF8Text(Hex.encode(digest.span)))),
    ])
  }
}
