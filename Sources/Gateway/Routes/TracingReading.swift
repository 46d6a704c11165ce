import Wire

extension TracingSettings {
  /// Reads `tracing`.
  static func read(_ object: inout ObjectReader) -> TracingSettings? {
    let endpoint = object.required(
      "endpoint", .collector, "an OTLP/HTTP collector's address")
    let sample = object.optional(
      "sample", .fraction(0...1), default: 1,
      "the part of the traces begun here that is recorded; callers decide about theirs")
    let service = object.optional(
      "service", .text, default: "tollgate", "the name under which spans are shown")
    guard let endpoint else { return nil }
    return TracingSettings(endpoint: endpoint, sample: sample, service: service)
  }
}

extension Kind where Value == HTTPURL {
  fileprivate static var collector: Kind {
    Kind(.string) { setting in
      guard let url = Kind.url.read(setting) else { return nil }
      if url.suffix.contains("?") {
        return setting.refused("a collector's address has no query (\"?\")")
      }
      if url.suffix.hasSuffix("/v1/traces") {
        return setting.refused(
          "\"/v1/traces\" is put behind it",
          suggestion: String("\(url)".dropLast("/v1/traces".count)))
      }
      if url.origin.port == 4317 {
        setting.reading.warn(
          setting.place, "4317 is OTLP's port for gRPC; OTLP over HTTP has 4318")
      }
      return url
    }
  }
}
