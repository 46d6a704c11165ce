package import OAuth
package import Wire

/// One entry of `upstreams`, or a URL that a route forwards to. Counts are for each server and
/// the whole process.
package struct UpstreamSettings: Sendable {
  /// The entry's name, or the URL.
  package let name: String
  /// Never empty, each once.
  package let servers: [Server]
  package let balance: Balance
  package let tls: TLS
  package let connectTimeoutMs: Int64
  /// Connections kept without a request on them.
  package let idleConnectionsMax: Int
  package let idleTimeoutMs: Int64
  package let connectionsMax: Int
  /// How often a server's name is resolved anew.
  package let resolveEveryMs: Int64
  package let place: ConfigPlace

  /// Whether the other says the same, wherever in a file it stands.
  package func isSame(as other: UpstreamSettings) -> Bool {
    name == other.name && servers.map(\.origin) == other.servers.map(\.origin)
      && balance == other.balance && tls.ca?.path == other.tls.ca?.path
      && tls.serverName == other.tls.serverName && connectTimeoutMs == other.connectTimeoutMs
      && idleConnectionsMax == other.idleConnectionsMax && idleTimeoutMs == other.idleTimeoutMs
      && connectionsMax == other.connectionsMax && resolveEveryMs == other.resolveEveryMs
  }

  package struct Server: Sendable {
    package let origin: HTTPOrigin
    package let place: ConfigPlace
  }

  package enum Balance: String, CaseIterable, Sendable {
    case leastRequests = "least-requests"
    case roundRobin = "round-robin"
  }

  /// For https servers.
  package struct TLS: Sendable {
    /// Certificate authorities in place of the system's.
    package let ca: FileReference?
    /// The name sent (SNI) and checked, in place of the server's host.
    package let serverName: HostName?
  }
}
