/// What fields are called in the JSON formats of the access log: each with the comma before it and
/// the colon behind it, in the order of `AccessLogField`.
///
/// What a standard has no name for has ours, in a name space of its own.
enum LogNames {
  static let own: [StaticString] = [
    ",\"time\":", ",\"id\":", ",\"listener\":", ",\"client\":", ",\"method\":", ",\"host\":",
    ",\"path\":", ",\"protocol\":", ",\"tls\":", ",\"tls_client\":", ",\"user_agent\":",
    ",\"route\":", ",\"status\":", ",\"reason\":", ",\"issuer\":", ",\"jti\":", "",
    ",\"identity\":", ",\"identity_rule\":", ",\"auth\":", ",\"exchange\":",
    ",\"exchange_error\":", ",\"audience\":", ",\"upstream\":", ",\"upstream_status\":",
    ",\"attempts\":", ",\"bytes_in\":", ",\"bytes_out\":", ",\"duration_ms\":", ",\"auth_ms\":",
    ",\"exchange_ms\":", ",\"connect_ms\":", ",\"first_byte_ms\":", ",\"trace\":",
    ",\"aborted\":", ",\"config\":",
  ]

  /// OpenTelemetry's semantic conventions: HTTP server spans, TLS, errors.
  static let otel: [StaticString] = [
    ",\"timestamp\":", ",\"tollgate.request.id\":", ",\"tollgate.listener\":",
    ",\"client.address\":", ",\"http.request.method\":", ",\"server.address\":", ",\"url.path\":",
    ",\"network.protocol.version\":", ",\"tls.protocol.version\":", ",\"tls.client.subject\":",
    ",\"user_agent.original\":", ",\"http.route\":", ",\"http.response.status_code\":",
    ",\"error.type\":", ",\"tollgate.issuer\":", ",\"tollgate.jti\":", "",
    ",\"tollgate.identity\":", ",\"tollgate.identity_rule\":", ",\"tollgate.auth\":",
    ",\"tollgate.exchange\":", ",\"tollgate.exchange_error\":", ",\"tollgate.audience\":",
    ",\"tollgate.upstream\":", ",\"tollgate.upstream_status\":", ",\"tollgate.attempts\":",
    ",\"http.request.body.size\":", ",\"http.response.size\":",
    ",\"http.server.request.duration\":", ",\"tollgate.auth_ms\":", ",\"tollgate.exchange_ms\":",
    ",\"tollgate.connect_ms\":", ",\"tollgate.first_byte_ms\":", ",\"trace_id\":",
    ",\"tollgate.aborted\":", ",\"tollgate.config\":",
  ]

  /// The Elastic Common Schema 8.
  static let ecs: [StaticString] = [
    ",\"@timestamp\":", ",\"http.request.id\":", ",\"tollgate.listener\":", ",\"client.ip\":",
    ",\"http.request.method\":", ",\"url.domain\":", ",\"url.path\":", ",\"http.version\":",
    ",\"tls.version\":", ",\"tls.client.subject\":", ",\"user_agent.original\":",
    ",\"tollgate.route\":", ",\"http.response.status_code\":", ",\"event.reason\":",
    ",\"tollgate.issuer\":", ",\"tollgate.jti\":", "", ",\"tollgate.identity\":",
    ",\"tollgate.identity_rule\":", ",\"tollgate.auth\":", ",\"tollgate.exchange\":",
    ",\"tollgate.exchange_error\":", ",\"tollgate.audience\":", ",\"tollgate.upstream\":",
    ",\"tollgate.upstream_status\":", ",\"tollgate.attempts\":", ",\"http.request.body.bytes\":",
    ",\"http.response.bytes\":", ",\"event.duration\":", ",\"tollgate.auth_ms\":",
    ",\"tollgate.exchange_ms\":", ",\"tollgate.connect_ms\":", ",\"tollgate.first_byte_ms\":",
    ",\"trace.id\":", ",\"tollgate.aborted\":", ",\"tollgate.config\":",
  ]

  /// Of the claims in both.
  static let claimPrefix: StaticString = "tollgate.claim."
}
