import OAuth
import Testing
import Wire

@testable import Gateway

struct SampleFilesTests {
  private static let smallest = """
    {
      "issuers": { "corp": { "issuer": "https://login.example.com", "audiences": ["https://api.example.com"] } },
      "exchanges": { "corp": { "tokenService": "corp", "client": { "id": "gateway", "secret": { "env": "GATEWAY_SECRET" } } } },
      "listeners": [ { "address": "0.0.0.0:8443", "tls": { "certificates": [ { "chain": "api.pem", "key": "api.key" } ] } } ],
      "routes": [
        { "match": { "path": "/orders/*" }, "exchange": { "audience": "orders" }, "forward": { "to": "http://orders:8080" } }
      ]
    }
    """

  @Test func `loads the smallest file that works`() throws {
    let loaded = load(Self.smallest, environment: ["GATEWAY_SECRET": "s3cret"])
    #expect(loaded.problems == [])
    #expect(loaded.warnings == [])
    let configuration = try #require(loaded.configuration)
    let route = try #require(configuration.routes.first)
    #expect(route.name == "/orders/*")
    #expect(route.match.path.segments == [.literal("orders"), .rest])
    guard case .checked(let authentication, let admission, .exchanged(0, let target)) = route.access
    else { throw Unexpected() }
    #expect(authentication.issuers == [0])
    #expect(admission == .init(person: .admit, system: .reject, unknown: .admit))
    #expect(target == .init(audiences: ["orders"], resources: [], scopes: []))
    guard case .forward(let forward) = route.action else { throw Unexpected() }
    let upstream = configuration.upstreams[forward.upstream]
    #expect(upstream.name == "http://orders:8080")
    #expect(upstream.servers.map(\.target.authority) == ["orders:8080"])
    let certificate = try #require(configuration.listeners.first?.tls?.certificates.first)
    #expect(certificate.chain.path == "api.pem")
    #expect(certificate.key.place.key == "listeners[0].tls.certificates[0].key")
    guard case .basic(let secret) = configuration.exchanges[0].client.method
    else { throw Unexpected() }
    #expect(secret.revealed == Array("s3cret".utf8))
    #expect(secret.origin == .environment(name: "GATEWAY_SECRET"))
  }

  @Test func `fills in every default`() throws {
    let configuration = try configuration(Self.smallest, environment: ["GATEWAY_SECRET": "x"])
    #expect(configuration.workers == .automatic)
    #expect(configuration.trustedProxies.isEmpty)
    #expect(
      configuration.limits
        == LimitSettings(
          requestLineBytesMax: 8192, headersBytesMax: 32768, headerCountMax: 100,
          bodyBytesMax: 10_485_760, headerTimeoutMs: 10_000, bodyTimeoutMs: 30_000,
          idleTimeoutMs: 75_000, tlsHandshakeTimeoutMs: 10_000, connectionsMax: 50_000,
          http2StreamsMax: 128))
    #expect(configuration.shutdown == ShutdownSettings(delayMs: 0, graceMs: 30_000))
    #expect(configuration.listeners[0].name == "0.0.0.0:8443")
    let tls = try #require(configuration.listeners[0].tls)
    #expect(tls.minVersion == .v1_2)
    #expect(tls.clients == nil)

    let issuer = configuration.issuers[0]
    #expect(issuer.keys == .discovery)
    #expect(
      issuer.discovery?.description
        == "https://login.example.com/.well-known/openid-configuration")
    #expect(issuer.jwksRefreshMs == 300_000)
    #expect(issuer.timeoutMs == 5_000)
    #expect(issuer.audiences == .list(["https://api.example.com"]))
    #expect(issuer.audienceClaim.text == "aud")
    #expect(issuer.algorithms.count == 10)
    #expect(issuer.types == nil)
    #expect(issuer.clockSkewMs == 30_000)
    #expect(issuer.maxAgeMs == nil)
    let auto: [IdentityRule] = [.preset(.rfc9068), .preset(.tetrapak)]
    #expect(issuer.identities == IdentityRules(system: auto, person: auto))

    let exchange = configuration.exchanges[0]
    #expect(exchange.tokenService == .issuer(index: 0, name: "corp"))
    #expect(exchange.grant == .tokenExchange)
    #expect(exchange.subjectTokenType == "urn:ietf:params:oauth:token-type:access_token")
    #expect(exchange.requestedTokenType == nil)
    #expect(exchange.parameters == [])
    #expect(exchange.timeoutMs == 5_000)
    #expect(exchange.retries == 1)
    #expect(exchange.concurrency == 64)
    #expect(
      exchange.cache
        == .init(
          sizeBytes: 256 << 20, maxLifeMs: 3_600_000, marginMs: 10_000, deniedMs: 10_000,
          refreshAhead: 0.2))
    #expect(exchange.breaker == .init(failures: 5, cooldownMs: 5_000))
    #expect(
      exchange.subjectErrors == [
        .init(error: "invalid_grant", description: nil),
        .init(error: "invalid_token", description: nil),
        .init(error: "invalid_request", description: "Invalid token"),
      ])
    #expect(exchange.verify == .init(audience: .requested, subject: .same))

    let upstream = configuration.upstreams[0]
    #expect(upstream.balance == .leastRequests)
    #expect(
      upstream.connections
        == .init(
          connectTimeoutMs: 2_000, idleMax: 64, idleTimeoutMs: 60_000, max: 1024, queueMax: 1024,
          resolveEveryMs: 30_000))
    #expect(upstream.outlier == .init(failures: 5, ejectForMs: 10_000, maxEjected: 0.5))
    #expect(upstream.healthCheck == nil)
    #expect(upstream.tls.ca == nil)
    #expect(upstream.tls.identity == nil)

    let route = configuration.routes[0]
    #expect(route.match.listeners == nil)
    #expect(route.match.host == .any)
    #expect(route.match.methods == nil)
    #expect(route.match.headers == [])
    guard case .checked(let authentication, _, _) = route.access else { throw Unexpected() }
    #expect(authentication.issuers == [0])
    #expect(authentication.claims == [])
    #expect(authentication.places == [.header])
    #expect(authentication.realm == nil)
    #expect(route.limits == RouteLimits(bodyBytesMax: 10_485_760, bodyTimeoutMs: 30_000))
    #expect(
      route.pathRules
        == PathRules(
          encodedSlash: .reject, parameters: .reject, emptySegments: .merge, ignoreCase: false))
    guard case .forward(let forward) = route.action else { throw Unexpected() }
    #expect(forward.host == .upstream)
    #expect(forward.timeoutMs == 30_000)
    #expect(forward.idleTimeoutMs == 60_000)
    #expect(forward.retries == 1)
    #expect(forward.via)

    let log = try #require(configuration.accessLog)
    #expect(log.output == .standardOutput)
    #expect(log.fields == Set(AccessLogField.allCases))
    #expect(
      log.claims == [
        LoggedClaim(claim: ClaimName(member: "client_id"), isHashed: false),
        LoggedClaim(claim: ClaimName(member: "sub"), isHashed: true),
      ])
    let admin = try #require(configuration.admin)
    #expect(admin.address.description == "127.0.0.1:9901")
    #expect(admin.probes == nil)
    #expect(admin.hosts == [])
  }

  /// Every key that is built, written out with its default, says the same as nothing.
  @Test func `takes every default written out`() throws {
    let written = """
      {
        "$schema": "./routes.schema.json",
        "include": [],
        "workers": "auto",
        "listeners": [{
          "address": "0.0.0.0:8443",
          "tls": {
            "certificates": [{ "chain": "api.pem", "key": "api.key" }],
            "minVersion": "1.2", "clientAuth": "none",
          },
          "http2": false, "proxyProtocol": false, "trusted": false,
        }],
        "trustedProxies": [],
        "limits": {
          "requestLine": "8KiB", "headers": "32KiB", "headerCount": 100, "body": "10MiB",
          "headerTimeout": "10s", "bodyTimeout": "30s", "idleTimeout": "75s",
          "tlsHandshakeTimeout": "10s", "connections": 50000, "http2Streams": 128,
        },
        "shutdown": { "delay": "0s", "grace": "30s" },
        "issuers": { "corp": {
          "issuer": "https://login.example.com", "discovery": null, "jwks": null,
          "jwksRefresh": "5m", "tls": {}, "timeout": "5s", "audiences": ["api"],
          "audienceClaim": "aud",
          "algorithms": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"],
          "types": null, "clockSkew": "30s", "maxAge": null,
          "identities": { "system": ["auto"], "person": ["auto"] },
        } },
        "exchanges": { "corp": {
          "tokenService": "corp", "grant": "token-exchange",
          "client": {
            "id": "gateway", "secret": { "env": "SECRET" }, "method": "client_secret_basic",
            "algorithm": null, "assertionAudience": null,
          },
          "subjectTokenType": "urn:ietf:params:oauth:token-type:access_token",
          "requestedTokenType": null,
          "actorToken": null, "actorTokenType": "urn:ietf:params:oauth:token-type:access_token",
          "parameters": {}, "tls": {}, "timeout": "5s", "retries": 1, "concurrency": 64,
          "cache": { "size": "256MiB", "maxLife": "1h", "margin": "10s", "refreshAhead": 0.2, "denied": "10s" },
          "breaker": { "failures": 5, "cooldown": "5s" },
          "subjectErrors": ["invalid_grant", "invalid_token", { "error": "invalid_request", "description": "Invalid token" }],
          "verify": { "audience": "requested", "subject": "same", "signature": false },
        } },
        "upstreams": { "orders": {
          "servers": ["http://10.0.0.1:8080"], "balance": "least-requests", "http2": false,
          "tls": { "ca": null, "serverName": null, "certificate": null, "key": null },
          "healthCheck": null,
          "outlier": { "failures": 5, "ejectFor": "10s", "maxEjected": 0.5 },
          "connectTimeout": "2s", "idleConnections": 64, "idleTimeout": "60s",
          "maxConnections": 1024, "queue": 1024, "resolveEvery": "30s",
        } },
        "defaults": {},
        "routes": [{
          "match": { "listeners": null, "host": null, "path": "/orders/*", "methods": null, "headers": {} },
          "authenticate": {
            "issuers": null, "scope": [], "anyScope": [], "claims": {}, "from": ["header"], "realm": null,
          },
          "admit": { "person": "exchange", "system": "reject", "unknown": "exchange" },
          "exchange": { "audience": [], "resource": [], "scope": [] },
          "forward": {
            "to": "orders", "path": { "stripPrefix": "", "addPrefix": "" }, "host": "upstream",
            "headers": { "set": {}, "remove": [] }, "responseHeaders": { "set": {}, "remove": [] },
            "timeout": "30s", "idleTimeout": "60s", "retries": 1, "via": true, "upgrade": [],
          },
          "cors": null, "limits": {},
          "pathRules": { "encodedSlash": "reject", "parameters": "reject", "emptySegments": "merge", "ignoreCase": false },
        }],
        "accessLog": { "path": "-", "format": "json", "fields": null, "claims": ["client_id", { "hash": "sub" }], "sample": {} },
        "admin": { "address": "127.0.0.1:9901", "probes": null, "hosts": [] },
        "tracing": null,
        "sharedCache": null,
      }
      """
    _ = try configuration(written, environment: ["SECRET": "x"])
  }

  @Test func `loads a file for measuring`() throws {
    let text = """
      {
        "workers": 1,
        "listeners": [
          { "name": "plain", "address": "127.0.0.1:8100" },
          { "name": "tls", "address": "127.0.0.1:8101", "tls": { "certificates": [ { "chain": "/f/server.crt", "key": "/f/server.key" } ] } },
          { "name": "verify", "address": "127.0.0.1:8102", "tls": { "certificates": [ { "chain": "/f/server.crt", "key": "/f/server.key" } ] } },
          { "name": "exchange", "address": "127.0.0.1:8103", "tls": { "certificates": [ { "chain": "/f/server.crt", "key": "/f/server.key" } ] } },
          { "name": "exchangeclear", "address": "127.0.0.1:8104" }
        ],
        "issuers": { "t": { "issuer": "https://issuer.example", "audiences": ["https://gateway.example"], "jwks": "http://127.0.0.1:8200/jwks" } },
        "exchanges": { "t": { "tokenService": "http://127.0.0.1:8200/token", "client": { "id": "gateway", "secret": "secret" }, "verify": { "audience": "any", "subject": "any" } } },
        "upstreams": { "u": { "servers": ["http://127.0.0.1:8300"], "idleConnections": 512 } },
        "routes": [
          { "match": { "listeners": ["plain", "tls"], "path": "/*" }, "authenticate": "none", "exchange": "strip", "forward": { "to": "u" } },
          { "match": { "listeners": ["verify"], "path": "/*" }, "exchange": "strip", "forward": { "to": "u" } },
          { "match": { "listeners": ["exchange", "exchangeclear"], "path": "/*" }, "exchange": { "audience": "downstream" }, "forward": { "to": "u" } }
        ],
        "accessLog": "off",
        "admin": "off"
      }
      """
    let loaded = load(text)
    #expect(loaded.problems == [])
    #expect(loaded.warnings.map(\.key) == ["exchanges.t.client.secret"])
    let configuration = try #require(loaded.configuration)
    #expect(configuration.workers == .fixed(1))
    #expect(configuration.accessLog == nil)
    #expect(configuration.admin == nil)
    #expect(configuration.routes.map(\.match.listeners) == [[0, 1], [2], [3, 4]])
    guard case .open = configuration.routes[0].access else { throw Unexpected() }
    guard case .checked(_, _, .stripped) = configuration.routes[1].access
    else { throw Unexpected() }
    #expect(configuration.exchanges[0].verify == .init(audience: .any, subject: .any))
    #expect(configuration.upstreams[0].connections.idleMax == 512)
  }

  private struct Unexpected: Error {}
}
