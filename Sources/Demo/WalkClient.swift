import Crypto
import Gateway
import HTTP
import Reactor
import Wire

/// Why a step could not be taken to its end.
struct WalkFault: Error, CustomStringConvertible {
  let text: String

  var description: String { text }
}

/// What the gateway answered: a service's echo, or a refusal.
struct WalkReply {
  let status: Int
  let body: JSONNode?

  /// Of a refusal.
  var reason: String { body?["reason"]?.string?.string ?? "" }

  /// The name of the request's line in the access log.
  var requestID: UTF8Text? {
    body?["requestId"]?.string ?? body?["headers"]?["x-request-id"]?.string
  }

  /// Of the token that the service got.
  var claims: JSONNode? { body?["token"]?["claims"] }

  /// SHA-256 of that token.
  var tokenDigest: [UInt8]? {
    body?["token"]?["sha256"]?.string.flatMap { Hex.decode($0.bytes.span) }
  }

  /// "403 system_identity"
  var summary: String { reason.isEmpty ? "\(status)" : "\(status) \(reason)" }
}

/// The walk's connections, made with the product's own client: TLS that trusts the demo's
/// certificate and no other.
final class WalkClient {
  private let gateway: UpstreamPool
  private let provider: UpstreamPool
  private let loop: EventLoop

  private static let timeoutMs: Int64 = 10_000
  private static let answerBytesMax = 1 << 20

  init(_ system: DemoSystem, on loop: EventLoop) throws(WalkFault) {
    self.loop = loop
    let tls: TLSClientContext
    do {
      tls = try TLSClientContext(
        authorities: try Files.read(system.certificatePath, bytesMax: 1 << 20))
    } catch {
      throw WalkFault(text: "the gateway's certificate can't be used: \(error)")
    }
    let buffers = BufferPool()
    func pool(_ address: SocketAddress, _ tls: TLSClientContext?) -> UpstreamPool {
      UpstreamPool(
        Origin(host: address.host, port: address.port, isEncrypted: tls != nil),
        settings: UpstreamPool.Settings(
          connectTimeoutMs: 5_000, idleTimeoutMs: 30_000, idleMax: 16, resolveEveryMs: 60_000,
          headBytesMax: 32 << 10),
        tls: tls, resolver: Resolver(), buffers: buffers, count: ConnectionCount(max: 64, queue: 0),
        loop: loop)
    }
    guard let address = system.gateway.addresses.first else {
      throw WalkFault(text: "the gateway listens nowhere")
    }
    gateway = pool(address, tls)
    provider = pool(system.providerAddress, nil)
  }

  /// Asks the gateway.
  func ask(_ path: String, token: [UInt8]?) async throws(WalkFault) -> WalkReply {
    var fields: [UInt8] = []
    if let token { fields = Array("Authorization: Bearer ".utf8) + token + Self.lineEnd }
    let answer = try await call(gateway, "the gateway", .get, path, fields, [])
    return WalkReply(status: answer.status, body: Self.parse(answer.content))
  }

  /// A person's token, by the test grant.
  func person(
    _ name: String, flaw: TokenMint.Flaw? = nil
  ) async throws(WalkFault) -> [UInt8] {
    var form: [UInt8] = []
    FormEncoding.append("grant_type", Array(TokenEndpoint.Grant.person.rawValue.utf8), to: &form)
    FormEncoding.append("user", Array(name.utf8), to: &form)
    if let flaw { FormEncoding.append("flaw", Array(flaw.rawValue.utf8), to: &form) }
    return try await token(form, client: nil)
  }

  /// A system's token, by the client-credentials grant.
  func system() async throws(WalkFault) -> [UInt8] {
    var form: [UInt8] = []
    let grant = TokenEndpoint.Grant.clientCredentials.rawValue
    FormEncoding.append("grant_type", Array(grant.utf8), to: &form)
    return try await token(
      form, client: (DemoClient.systemID.bytes, Array(DemoClient.systemSecret.utf8)))
  }

  /// Asks the token service itself for an exchange.
  func exchange(
    _ token: [UInt8], audience: String, client: (id: [UInt8], secret: [UInt8])
  ) async throws(WalkFault) -> WalkReply {
    var form: [UInt8] = []
    func add(_ name: String, _ value: String) {
      FormEncoding.append(name, Array(value.utf8), to: &form)
    }
    add("grant_type", TokenEndpoint.Grant.exchange.rawValue)
    add("audience", audience)
    add("subject_token_type", TokenEndpoint.accessTokenType)
    FormEncoding.append("subject_token", token, to: &form)
    return try await post(form, client: client)
  }

  private func token(
    _ form: [UInt8], client: (id: [UInt8], secret: [UInt8])?
  ) async throws(WalkFault) -> [UInt8] {
    let reply = try await post(form, client: client)
    guard reply.status == 200, let token = reply.body?["access_token"]?.string else {
      throw WalkFault(text: "the identity provider gave no token: \(reply.status)")
    }
    return token.bytes
  }

  private func post(
    _ form: [UInt8], client: (id: [UInt8], secret: [UInt8])?
  ) async throws(WalkFault) -> WalkReply {
    var fields = Array("Content-Type: application/x-www-form-urlencoded\r\n".utf8)
    if let client {
      let pair =
        FormEncoding.encode(client.id) + [UInt8(ascii: ":")] + FormEncoding.encode(client.secret)
      fields += Array("Authorization: Basic ".utf8) + Base64.encode(pair) + Self.lineEnd
    }
    let answer = try await call(provider, "the identity provider", .post, "/token", fields, form)
    return WalkReply(status: answer.status, body: Self.parse(answer.content))
  }

  private func call(
    _ pool: UpstreamPool, _ name: String, _ method: Call.Method, _ target: String,
    _ fields: [UInt8], _ content: [UInt8]
  ) async throws(WalkFault) -> CallAnswer {
    let call = Call(
      method, target: target, authority: "\(pool.origin.host):\(pool.origin.port)",
      fields: fields, content: content, answerBytesMax: Self.answerBytesMax)
    do throws(CallFault) {
      return try await pool.call(
        call, waiter: Waiter(on: loop), untilMs: loop.nowMs + Self.timeoutMs)
    } catch {
      throw WalkFault(text: "\(name) \(error.text)")
    }
  }

  private static let lineEnd: [UInt8] = [13, 10]

  private static func parse(_ content: [UInt8]) -> JSONNode? {
    try? JSONParser(.strict, bytesMax: answerBytesMax).parse(content)
  }
}
