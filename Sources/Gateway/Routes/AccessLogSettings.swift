package import OAuth
package import Wire

/// `accessLog`.
package struct AccessLogSettings: Sendable {
  package let output: Output
  package let format: Format
  /// Those that a line has; all of them by default. A template and `combined` say themselves which.
  package let fields: Set<AccessLogField>
  package let claims: [LoggedClaim]
  /// Which part of the lines is written; nil: all.
  package let sample: Sample?

  package enum Output: Hashable, Sendable {
    case standardOutput
    case file(FileReference)

    /// The file's path, where it is one.
    package var path: String? {
      switch self {
      case .standardOutput: nil
      case .file(let file): file.path
      }
    }
  }

  /// How a line is written.
  package enum Format: Equatable, Sendable {
    case json
    case logfmt
    /// Apache's, without the query and without the referring page, which may hold a token.
    case combined
    /// OpenTelemetry's semantic conventions for HTTP servers, as one flat JSON object.
    case otel
    /// The Elastic Common Schema, with dotted names.
    case ecs
    case template([TemplatePart])
  }

  package enum TemplatePart: Equatable, Sendable {
    case text([UInt8])
    case field(AccessLogField)
    /// One of the `claims` configured, by its name.
    case claim([UInt8])
  }

  /// By status: which part of the lines is written, from 0 to 1.
  package struct Sample: Equatable, Sendable {
    /// By the hundreds of a status: 1 for 1xx.
    package var classes: [Int: Double] = [:]
    /// Of one status; it counts before its class.
    package var statuses: [Int: Double] = [:]

    /// The part of the lines with this status.
    package func rate(of status: Int) -> Double {
      statuses[status] ?? classes[status / 100] ?? 1
    }
  }
}

/// A claim that goes into the access log.
package struct LoggedClaim: Hashable, Sendable {
  package let claim: ClaimName
  /// The first 16 hexadecimal digits of SHA-256(issuer, NUL, value) in place of the value.
  package let isHashed: Bool
}

/// What an access log's line can say, in the order of ROUTES.md.
package enum AccessLogField: UInt8, CaseIterable, Sendable {
  case time, id, listener, client, method, host, path, `protocol`, tls, tlsClient, userAgent, route
  case status, reason, issuer, jti
  /// Not a field itself: the claims configured, each under its own name.
  case claims
  case identity, identityRule, auth, exchange, exchangeError, audience, upstream, upstreamStatus
  case attempts, bytesIn, bytesOut, durationMs, authMs, exchangeMs, connectMs, firstByteMs
  case trace, aborted, config

  /// The name that it has in a routes file and in a line.
  package var name: String {
    switch self {
    case .tlsClient: "tls_client"
    case .userAgent: "user_agent"
    case .identityRule: "identity_rule"
    case .exchangeError: "exchange_error"
    case .upstreamStatus: "upstream_status"
    case .bytesIn: "bytes_in"
    case .bytesOut: "bytes_out"
    case .durationMs: "duration_ms"
    case .authMs: "auth_ms"
    case .exchangeMs: "exchange_ms"
    case .connectMs: "connect_ms"
    case .firstByteMs: "first_byte_ms"
    case .time, .id, .listener, .client, .method, .host, .path, .protocol, .tls, .route, .status,
      .reason, .issuer, .jti, .claims, .identity, .auth, .exchange, .audience, .upstream,
      .attempts, .trace, .aborted, .config:
      "\(self)"
    }
  }

  private static let byName = Dictionary(
    uniqueKeysWithValues: allCases.map { ($0.name, $0) })

  /// The field of that name.
  package init?(name: String) {
    guard let field = Self.byName[name] else { return nil }
    self = field
  }
}
