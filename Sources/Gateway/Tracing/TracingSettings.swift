package import Wire

/// `tracing`: where spans are sent, and of how many requests.
package struct TracingSettings: Hashable, Sendable {
  /// The collector's address without `/v1/traces`, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it.
  package let endpoint: HTTPURL
  /// The share of the traces begun here that is recorded, 0 to 1.
  package let sample: Double
  /// `service.name`.
  package let service: UTF8Text

  /// What is posted to (OTLP/HTTP: the signal's path is put behind the address's own).
  var target: String {
    var path = endpoint.target
    while path.hasSuffix("/") { path.removeLast() }
    return path + "/v1/traces"
  }
}
