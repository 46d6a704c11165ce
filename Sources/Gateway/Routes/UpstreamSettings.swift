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
  /// nil: no server is asked how it is.
  package let healthCheck: HealthCheck?
  package let outlier: Outlier
  package let connections: Connections
  package let place: ConfigPlace

  /// Whether the other says the same, wherever in a file it stands.
  package func isSame(as other: UpstreamSettings) -> Bool {
    name == other.name && servers.elementsEqual(other.servers, by: { $0.isSame(as: $1) })
      && balance == other.balance && tls.isSame(as: other.tls)
      && healthCheck == other.healthCheck && outlier == other.outlier
      && connections == other.connections
  }

  package struct Server: Sendable {
    package let target: ServerTarget
    /// Its part of the requests, beside the others' weights; at least 1.
    package let weight: Int
    package let place: ConfigPlace

    func isSame(as other: Server) -> Bool { target == other.target && weight == other.weight }
  }

  /// Which server is next.
  package enum Balance: Hashable, Sendable {
    case leastRequests, roundRobin, random
    /// The one that a value of the request is assigned to.
    case hash(HashedValue)
  }

  /// What of a request is hashed.
  package enum HashedValue: Hashable, Sendable {
    /// A field's value; its name in lower case.
    case header(UTF8Text)
    case claim(ClaimName)
  }

  /// For https servers.
  package struct TLS: Sendable {
    /// Certificate authorities in place of the system's.
    package let ca: FileReference?
    /// The name sent (SNI) and checked, in place of the server's host.
    package let serverName: HostName?
    /// The gateway's own certificate and key, for servers that ask for one.
    package let identity: CertificateReference?

    func isSame(as other: TLS) -> Bool {
      ca?.path == other.ca?.path && serverName == other.serverName
        && identity?.chain.path == other.identity?.chain.path
        && identity?.key.path == other.identity?.key.path
    }
  }

  /// Requests of the gateway's own that tell whether a server is well.
  package struct HealthCheck: Hashable, Sendable {
    /// With its query, where it has one.
    package let path: String
    package let intervalMs: Int64
    package let timeoutMs: Int64
    /// Checks in a row after which a server counts as well again, and as unwell.
    package let healthyAfter: Int
    package let unhealthyAfter: Int
  }

  /// When a server that fails requests is left out for a while.
  package struct Outlier: Hashable, Sendable {
    /// Requests in a row.
    package let failures: Int
    /// The first time; longer each time that follows.
    package let ejectForMs: Int64
    /// The part of the servers that may be left out at once; 0: none ever is.
    package let maxEjected: Double
  }

  /// What connections to a server are opened and kept by.
  package struct Connections: Hashable, Sendable {
    package let connectTimeoutMs: Int64
    /// Connections kept without a request on them.
    package let idleMax: Int
    package let idleTimeoutMs: Int64
    /// At once.
    package let max: Int
    /// Requests that wait for one of these.
    package let queueMax: Int
    /// How often a server's name is resolved anew.
    package let resolveEveryMs: Int64
  }
}

/// Where a server is.
package enum ServerTarget: Hashable, Sendable, CustomStringConvertible {
  case web(HTTPOrigin)
  /// A socket in the file system; HTTP in the clear is spoken there.
  case unix(path: String)

  package var isSecure: Bool {
    switch self {
    case .web(let origin): origin.isSecure
    case .unix: false
    }
  }

  /// What `Host` says to it. A socket has no name of its own.
  package var authority: String {
    switch self {
    case .web(let origin): origin.authority
    case .unix: "localhost"
    }
  }

  /// Its name in logs and metrics.
  package var shortName: String {
    switch self {
    case .web(let origin): origin.authority
    case .unix(let path): "unix:\(path)"
    }
  }

  package var description: String {
    switch self {
    case .web(let origin): origin.description
    case .unix(let path): "unix:\(path)"
    }
  }
}
