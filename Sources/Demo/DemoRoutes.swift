/// The routes file that the demo's gateway runs with.
struct DemoRoutes {
  let issuer: String
  /// Names and where they are.
  let services: [(name: String, url: String)]
  /// "-" or a file's name.
  let accessLog: String

  var text: String {
    let routes = services.map { service in
      """
          {
            "name": "\(service.name)",
            "match": { "path": "/\(service.name)/*" },
            "exchange": { "audience": "\(service.name)" },  // whom the token that goes on is for
            "forward": { "to": "\(service.url)" }
          }
      """
    }
    return """
      // Made by `tollgate demo` for its own gateway, and loaded as `tollgate run` would.
      {
        // Whose tokens callers bring. Keys and token endpoint are found by discovery.
        "issuers": {
          "demo": { "issuer": "\(issuer)", "audiences": ["\(TokenMint.gatewayAudience)"] }
        },
        // Who gives the services' tokens for them, and as whom the gateway asks.
        "exchanges": {
          "demo": {
            "tokenService": "demo",
            "client": { "id": "gateway", "secret": { "file": "\(Self.secretFile)" } }
          }
        },
        "listeners": [
          {
            "address": "127.0.0.1:0",  // a port that the system chooses
            "tls": {
              "certificates": [{ "chain": "\(Self.certificateFile)", "key": "\(Self.keyFile)" }]
            }
          }
        ],
        // People are exchanged and systems turned away unless a route says otherwise ("admit").
        "routes": [
      \(routes.joined(separator: ",\n"))
        ],
        "accessLog": {
          "path": "\(accessLog)",
          // Without this: all fields.
          "fields": [
            "time", "id", "method", "path", "status", "reason", "identity", "auth", "exchange",
            "audience", "duration_ms"
          ]
        },
        "admin": { "address": "127.0.0.1:0" }
      }

      """
  }

  static let routesFile = "routes.json"
  static let secretFile = "gateway.secret"
  static let certificateFile = "gateway.pem"
  static let keyFile = "gateway.key"
}
