import Crypto
import OAuth
import Testing
import Wire

@testable import Gateway

struct SettingsTests {
  private struct Unexpected: Error {}

  private func read(
    _ changes: [(String, String?)], environment: [String: String] = [:],
    sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) throws -> Configuration {
    try configuration(
      file(changes), environment: environment.merging(["SECRET": "x"]) { one, _ in one },
      sourceLocation: sourceLocation)
  }

  @Test func `reads the server's own keys`() throws {
    let configuration = try read([
      ("workers", "3"),
      ("trustedProxies", #"["10.0.0.0/8", "2001:db8::1"]"#),
      ("limits", #"{ "body": "0B", "headers": "16KiB", "idleTimeout": "250ms" }"#),
      ("shutdown", #"{ "delay": "5s", "grace": "1h" }"#),
      (
        "listeners",
        """
        [
          { "name": "a", "address": "[::]:8443", "tls": {
            "certificates": [{ "chain": "/c", "key": "k" }, { "chain": "d", "key": "l" }],
            "minVersion": "1.3", "clientAuth": "request", "clientCA": "ca.pem" } },
          { "address": "LOCALHOST.:0" },
          { "address": "127.0.0.1:0", "tls": { "certificates": [{ "chain": "c", "key": "k" }],
            "clientAuth": "require", "clientCA": "/ca.pem" } },
          { "address": "127.0.0.1:0" },
        ]
        """
      ),
      (
        "accessLog",
        """
        { "path": "log/access.log", "fields": ["status", "time", "status"],
          "claims": "/a/b" }
        """
      ),
      ("admin", #"{ "address": "[::1]:1", "probes": "0.0.0.0:2", "hosts": "Admin.Example." }"#),
    ])
    #expect(configuration.workers == .fixed(3))
    #expect(configuration.trustedProxies.contains(try #require(IPAddress("10.9.9.9"))))
    #expect(configuration.trustedProxies.contains(try #require(IPAddress("2001:db8::1"))))
    #expect(!configuration.trustedProxies.contains(try #require(IPAddress("2001:db8::2"))))
    #expect(configuration.limits.bodyBytesMax == 0)
    #expect(configuration.limits.headersBytesMax == 16384)
    #expect(configuration.limits.idleTimeoutMs == 250)
    #expect(configuration.shutdown == ShutdownSettings(delayMs: 5_000, graceMs: 3_600_000))
    #expect(configuration.listeners.map(\.name).prefix(2) == ["a", "localhost:0"])
    #expect(configuration.listeners[0].address.description == "[::]:8443")
    #expect(configuration.listeners[0].tls?.certificates.map(\.chain.path) == ["/c", "d"])
    #expect(configuration.listeners[0].tls?.minVersion == .v1_3)
    let clients = configuration.listeners.map { $0.tls?.clients }
    #expect(clients.map { $0?.authority.path } == ["ca.pem", nil, "/ca.pem", nil])
    #expect(clients.map { $0?.isRequired } == [false, nil, true, nil])
    let log = try #require(configuration.accessLog)
    guard case .file(let path) = log.output else { throw Unexpected() }
    #expect(path.path == "log/access.log")
    #expect(log.fields == [.status, .time])
    #expect(log.claims.map(\.claim.text) == ["/a/b"])
    let admin = try #require(configuration.admin)
    #expect(admin.address.description == "[::1]:1")
    #expect(admin.probes?.description == "0.0.0.0:2")
    #expect(admin.hosts == ["admin.example"])
  }

  @Test func `reads an issuer`() throws {
    let configuration = try read([
      (
        "issuers",
        """
        { "corp": {
          "issuer": "https://kc.example/realms/a/", "discovery": "http://localhost:1/d",
          "jwks": "keys/corp.json", "jwksRefresh": "1h", "tls": { "ca": "ca.pem" },
          "timeout": "1s", "audiences": "any", "audienceClaim": "/x/y",
          "algorithms": ["Ed25519", "ES256"], "types": ["application/AT+JWT", "x/y"],
          "clockSkew": "0s", "maxAge": "24h",
          "identities": {
            "system": ["auto", "kubernetes",
              { "claim": "userType", "equals": "System", "ignoreCase": true },
              { "all": [{ "claim": "uid", "absent": true }, "okta"] }],
            "person": { "claim": "a", "prefix": "b" },
          },
        } }
        """.replacing("\"person\": {", with: "\"person\": [{")
          .replacing("\"prefix\": \"b\" }", with: "\"prefix\": \"b\" }]")
      )
    ])
    let issuer = configuration.issuers[0]
    #expect(issuer.name == "corp")
    #expect(issuer.issuer == "https://kc.example/realms/a/")
    #expect(issuer.discovery?.description == "http://localhost:1/d")
    guard case .file(let keys) = issuer.keys else { throw Unexpected() }
    #expect(keys.path == "keys/corp.json")
    #expect(issuer.jwksRefreshMs == 3_600_000)
    #expect(issuer.ca?.path == "ca.pem")
    #expect(issuer.audiences == .any)
    #expect(issuer.audienceClaim.text == "/x/y")
    #expect(issuer.algorithms == [.edDSA, .es256])
    #expect(issuer.types == ["at+jwt", "x/y"])
    #expect(issuer.clockSkewMs == 0)
    #expect(issuer.maxAgeMs == 86_400_000)
    let userType = try #require(ClaimName("userType"))
    let uid = try #require(ClaimName("uid"))
    #expect(
      issuer.identities.system == [
        .preset(.rfc9068), .preset(.tetrapak), .preset(.kubernetes),
        .equals(userType, "System", ignoreCase: true),
        .all([.absent(uid), .preset(.okta)]),
      ])
    #expect(
      issuer.identities.system.map(\.text) == [
        "rfc9068", "tetrapak", "kubernetes", #"userType equals "System" without case"#,
        "all of: uid absent; okta",
      ])
    #expect(issuer.identities.person.map(\.text) == [#"a begins with "b""#])
  }

  @Test(
    arguments: [
      ("https://api.tetrapak.com", nil), ("https://api-dev.tetrapak.com", nil),
      ("https://kc.example/auth/realms/x", .keycloak),
      ("http://localhost:8080/realms/x", .keycloak),
      ("https://kc.example/realms/", nil), ("https://kc.example/realms/a/b", nil),
      ("https://login.microsoftonline.com/t/v2.0", .entra), ("https://sts.windows.net/t/", .entra),
      ("https://a.eu.auth0.com/", .auth0), ("https://auth0.com/", nil),
      ("https://evilauth0.com/", nil), ("https://auth0.com.evil.example/", nil),
      ("https://dev-1.okta.com", .okta), ("https://x.oktapreview.com/oauth2/default", .okta),
      ("https://cognito-idp.eu-west-1.amazonaws.com/p", .cognito),
      ("https://s3.amazonaws.com/p", nil), ("https://accounts.google.com", .google),
      ("http://accounts.google.com", nil), ("https://accounts.google.com:8443", nil),
      ("urn:x", nil), ("", nil),
    ] as [(String, IdentityPreset?)])
  func `knows the preset that an issuer belongs to`(_ issuer: String, _ own: IdentityPreset?) {
    let expected = [.rfc9068, .tetrapak] + (own.map { [$0] } ?? [])
    #expect(IdentityPreset.auto(for: UTF8Text(issuer)) == expected)
  }

  @Test func `reads an exchange`() throws {
    let configuration = try read(
      [
        (
          "exchanges",
          """
          { "corp": {
            "tokenService": "https://sts.example/token?x=1", "grant": "token-exchange",
            "client": { "id": "a:b", "secret": "${S}", "method": "client_secret_post" },
            "subjectTokenType": "urn:x", "requestedTokenType": "urn:y",
            "parameters": { "b": "2", "a": ["1", ""] }, "tls": { "ca": "/ca" },
            "timeout": "30s", "retries": 0, "concurrency": 1,
            "cache": { "size": "1GiB", "maxLife": "0s", "margin": "1m", "refreshAhead": 0, "denied": "0s" },
            "breaker": { "failures": 1, "cooldown": "1ms" },
            "subjectErrors": "invalid_grant",
            "verify": { "audience": ["a", "b"], "subject": { "caller": "oid", "issued": "/o/i" } },
          } }
          """
        )
      ], environment: ["S": "se$cret"])
    let exchange = configuration.exchanges[0]
    guard case .endpoint(let url) = exchange.tokenService else { throw Unexpected() }
    #expect(url.target == "/token?x=1")
    guard case .post(let secret) = exchange.client.method else { throw Unexpected() }
    #expect(secret.revealed == Array("se$cret".utf8))
    #expect(secret.origin == .literal)
    #expect("\(secret) \(exchange.client)".contains("cret") == false)
    #expect(exchange.requestedTokenType == "urn:y")
    #expect(
      exchange.parameters == [
        .init(name: "b", value: "2"), .init(name: "a", value: "1"), .init(name: "a", value: ""),
      ])
    #expect(exchange.ca?.path == "/ca")
    #expect(exchange.cache.maxLifeMs == 0)
    #expect(exchange.cache.refreshAhead == 0)
    #expect(exchange.subjectErrors == [.init(error: "invalid_grant", description: nil)])
    let caller = try #require(ClaimName("oid"))
    let issued = try #require(ClaimName("/o/i"))
    #expect(
      exchange.verify
        == .init(audience: .list(["a", "b"]), subject: .claims(caller: caller, issued: issued)))
  }

  @Test func `reads a secret from a file without its last newline`() throws {
    for (content, expected) in [
      ("s3\n", "s3"), ("s3\r\n", "s3"), ("s3\n\n", "s3\n"), ("s3 ", "s3 "), ("s3", "s3"),
    ] {
      let text = file(
        "exchanges",
        """
        { "corp": { "tokenService": "corp", "client": { "id": "a", "secret": { "file": "s" } } } }
        """)
      let loaded = load(text, files: ["conf/s": content], path: "conf/routes.json")
      let configuration = try #require(loaded.configuration)
      guard case .basic(let secret) = configuration.exchanges[0].client.method
      else { throw Unexpected() }
      #expect(secret.revealed == Array(expected.utf8))
      guard case .file(let reference) = secret.origin else { throw Unexpected() }
      #expect(reference.path == "conf/s")
    }
  }

  @Test func `reads routes`() throws {
    let configuration = try read([
      (
        "upstreams",
        """
        { "u": {
            "servers": ["http://a", { "url": "https://B:8443", "weight": 1 }],
            "balance": "round-robin", "tls": { "ca": "ca", "serverName": "N.example" },
          },
          "v": { "servers": "http://v" } }
        """
      ),
      (
        "routes",
        """
        [
          { "name": "one",
            "match": { "host": "*.Example.com.", "path": "/a%2fb/{id}/%7Ex/", "methods": ["GET", "PROPFIND"],
                       "headers": { "X-Version": "2" } },
            "authenticate": { "issuers": "corp", "scope": ["a", "b"], "anyScope": "c", "realm": "r",
              "claims": { "tenant": ["a", 1.50, true], "/a/b~1c": "x", "https://x.y/z": 2 },
              "from": ["query:access_token", "header", "cookie:__Host-s"] },
            "admit": { "person": "reject", "system": "exchange", "unknown": "reject" },
            "exchange": { "with": "corp", "audience": ["x", "y"], "resource": "urn:r", "scope": "s" },
            "forward": { "to": "v", "host": "preserve", "timeout": "0s", "idleTimeout": "1s", "retries": 0, "via": false },
            "limits": { "body": "50MiB", "bodyTimeout": "1s" },
            "pathRules": { "encodedSlash": "keep", "parameters": "keep", "emptySegments": "reject", "ignoreCase": true } },
          { "match": { "path": "/" }, "authenticate": "none", "forward": { "to": "http://c:1", "host": "api:80" } },
          { "match": { "path": "/x" }, "authenticate": "none", "forward": { "to": "http://C.:1" } },
          { "match": { "path": "/y" }, "respond": { "status": 503, "headers": { "Retry-After": "1" }, "body": "späť" } },
        ]
        """
      ),
    ])
    let one = configuration.routes[0]
    #expect(one.name == "one")
    #expect(one.match.host.name == .oneLabelMore(suffix: ".example.com"))
    #expect(
      one.match.path.segments == [.literal("a%2Fb"), .parameter("id"), .literal("~x")])
    #expect(one.match.methods == ["GET", "PROPFIND", "HEAD"])
    #expect(one.match.headers == [.init(name: "x-version", value: "2")])
    guard case .checked(let authentication, let admission, .exchanged(0, let target)) = one.access
    else { throw Unexpected() }
    #expect(authentication.issuers == [0])
    #expect(authentication.scopes == ["a", "b"])
    #expect(authentication.anyScopes == ["c"])
    #expect(authentication.realm == "r")
    let claims = authentication.claims
    #expect(claims.map(\.claim.text) == ["tenant", "/a/b~1c", "https://x.y/z"])
    #expect(claims.map(\.values) == [["a", "1.50", "true"], ["x"], ["2"]])
    #expect(authentication.places == [.query("access_token"), .header, .cookie("__Host-s")])
    #expect(admission == .init(person: .reject, system: .admit, unknown: .reject))
    #expect(target == .init(audiences: ["x", "y"], resources: ["urn:r"], scopes: ["s"]))
    guard case .forward(let forward) = one.action else { throw Unexpected() }
    #expect(configuration.upstreams[forward.upstream].name == "v")
    #expect(forward.host == .preserve)
    #expect(forward.timeoutMs == nil)
    #expect(forward.retries == 0)
    #expect(!forward.via)
    #expect(one.limits == RouteLimits(bodyBytesMax: 50 << 20, bodyTimeoutMs: 1_000))
    #expect(
      one.pathRules
        == PathRules(
          encodedSlash: .keep, parameters: .keep, emptySegments: .reject, ignoreCase: true))

    let upstream = configuration.upstreams[0]
    #expect(upstream.servers.map(\.target.description) == ["http://a", "https://b:8443"])
    #expect(upstream.balance == .roundRobin)
    #expect(upstream.tls.serverName?.text == "n.example")

    // Two routes to one URL share one upstream.
    #expect(configuration.upstreams.map(\.name) == ["u", "v", "http://c:1"])
    guard case .open = configuration.routes[1].access,
      case .forward(let second) = configuration.routes[1].action,
      case .forward(let third) = configuration.routes[2].action
    else { throw Unexpected() }
    #expect(second.upstream == 2 && third.upstream == 2)
    #expect(second.host == .literal("api:80"))
    guard case .respond(let answer) = configuration.routes[3].action else { throw Unexpected() }
    #expect(answer.status == 503)
    #expect(answer.headers.map(\.name) == ["Retry-After"])
    #expect(answer.body == Array("späť".utf8))
  }

  @Test(arguments: [
    ("a${A}b${B}", "a1b2"), ("$${A}", "${A}"), ("$$${A}", "$${A}"), ("${E:-d}", "d"),
    ("${N:-d e:-f}", "d e:-f"), ("${N:-}|", "|"), ("${E}|", "|"), ("$A ${A:-x} $", "$A 1 $"),
    ("${D}", "${A}"),
  ])
  func `puts the environment in`(_ text: String, _ expected: String) throws {
    let configuration = try read(
      [("accessLog", "{ \"path\": \"/\(text)\" }")],
      environment: ["A": "1", "B": "2", "E": "", "D": "${A}"])
    guard case .file(let file)? = configuration.accessLog?.output else { throw Unexpected() }
    #expect(file.path == "/\(expected)")
  }

  @Test func `has one digest input for one meaning, without secrets`() throws {
    let text = { (secret: String, comment: String, order: String) in
      """
      { "admin": "off", \(comment)
        "exchanges": { "e": { "tokenService": "http://127.0.0.1/t", "client": { \(order) } } },
        "listeners": [{ "address": "127.0.0.1:${PORT}" }], "routes": [],
      }
      """.replacing("SECRET", with: secret)
    }
    let id = #""id": "a""#
    let secret = #""secret": "SECRET""#
    let digest = { (text: String, port: String) in
      load(text, environment: ["PORT": port]).configuration?.digestInput
    }
    let one = try #require(digest(text("s1", "", "\(id), \(secret)"), "1"))
    #expect(one == digest(text("s2", "// x\n", "\(secret), \(id)"), "1"))
    #expect(one != digest(text("s1", "", "\(id), \(secret)"), "2"))
    #expect(!String(decoding: one, as: UTF8.self).contains("s1"))
  }
}
