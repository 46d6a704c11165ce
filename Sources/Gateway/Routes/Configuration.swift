package import OAuth
package import Wire

/// A routes file as one immutable value: what ROUTES.md says, every default filled in, every name
/// resolved to an index, nothing left to validate but what needs the disk, the network or OpenSSL.
package struct Configuration: Sendable {
  package let workers: Workers
  /// Never empty.
  package let listeners: [ListenerSettings]
  package let trustedProxies: AddressRanges
  package let limits: LimitSettings
  package let shutdown: ShutdownSettings
  /// In the file's order, as are the other lists.
  package let issuers: [IssuerSettings]
  package let exchanges: [ExchangeSettings]
  /// Those of the file, then one for each URL that a route forwards to.
  package let upstreams: [UpstreamSettings]
  package let routes: [RouteSettings]
  /// nil: off.
  package let accessLog: AccessLogSettings?
  /// nil: off.
  package let admin: AdminSettings?
  /// nil: the gateway takes no part in traces.
  package let tracing: TracingSettings?
  /// nil: none.
  package let sharedCache: SharedCacheSettings?
  /// What the configuration's digest is taken over: the file's content without its comments,
  /// layout and secrets.
  package let digestInput: [UInt8]
  /// The same for people: what came from the environment is shown as it is written, `${NAME}`.
  package let shown: [UInt8]

  package enum Workers: Hashable, Sendable {
    /// As many as the CPUs that this process may use.
    case automatic
    case fixed(Int)
  }
}

/// How the gateway ends.
package struct ShutdownSettings: Hashable, Sendable {
  /// Still accepting, readiness already failing.
  package let delayMs: Int64
  /// For requests under way, after `delayMs`.
  package let graceMs: Int64
}

/// `limits`: of the whole process, all workers together.
package struct LimitSettings: Hashable, Sendable {
  package let requestLineBytesMax: Int
  package let headersBytesMax: Int
  package let headerCountMax: Int
  package let bodyBytesMax: Int
  package let headerTimeoutMs: Int64
  /// The longest pause in a body.
  package let bodyTimeoutMs: Int64
  package let idleTimeoutMs: Int64
  package let tlsHandshakeTimeoutMs: Int64
  package let connectionsMax: Int
  package let http2StreamsMax: Int
}

/// `admin`.
package struct AdminSettings: Sendable {
  package let address: ListenAddress
  /// An address with only /livez, /readyz and /metrics.
  package let probes: ListenAddress?
  /// Values of `Host` accepted beside the address and loopback names: lower case, without port.
  package let hosts: [String]
}
