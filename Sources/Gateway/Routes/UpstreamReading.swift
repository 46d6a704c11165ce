import OAuth
import Wire

extension UpstreamSettings {
  /// Reads one entry of `upstreams`.
  static func read(name: Setting, _ setting: Setting) -> UpstreamSettings? {
    ObjectReader.read(setting) { object in
      let servers = object.required(
        "servers", .list(.server, atLeastOne: true), "URLs such as \"http://10.0.0.1:8080\"")
      let balance = object.optional(
        "balance", .balance, default: Balance.leastRequests, "which server is next")
      object.later("http2", default: .bool(false), "HTTP/2 to the servers")
      let tls = object.section("tls", "of https servers", TLS.read)
      object.later("healthCheck", "requests that tell whether a server is well")
      object.later("outlier", taking: isStandardOutlier, "when a failing server is left out")
      object.later("queue", taking: { $0.integer == 1024 }, "requests that wait for a connection")
      let standard = UpstreamSettings.standard(
        name: name.node.string?.string ?? "", servers: servers ?? [], place: name.place)
      let upstream = UpstreamSettings(
        name: standard.name, servers: standard.servers, balance: balance,
        tls: tls ?? standard.tls,
        connectTimeoutMs: object.optional(
          "connectTimeout", .duration(1...Milliseconds.hour),
          default: standard.connectTimeoutMs, "for a connection, its handshake included"),
        idleConnectionsMax: object.optional(
          "idleConnections", .integer(0...1_000_000), default: standard.idleConnectionsMax,
          "kept without a request"),
        idleTimeoutMs: object.optional(
          "idleTimeout", .duration(1...Milliseconds.day), default: standard.idleTimeoutMs,
          "how long those are kept"),
        connectionsMax: object.optional(
          "maxConnections", .integer(1...1_000_000), default: standard.connectionsMax, "at once"),
        resolveEveryMs: object.optional(
          "resolveEvery", .duration(Milliseconds.second...Milliseconds.day),
          default: standard.resolveEveryMs, "how often names are resolved anew"),
        place: standard.place)
      guard let servers else { return nil }
      refuseTwice(servers, setting.reading)
      return upstream
    }
  }

  /// Every default: what a route that forwards to a URL gets.
  static func standard(name: String, servers: [Server], place: ConfigPlace) -> UpstreamSettings {
    UpstreamSettings(
      name: name, servers: servers, balance: .leastRequests,
      tls: TLS(ca: nil, serverName: nil), connectTimeoutMs: 2 * Milliseconds.second,
      idleConnectionsMax: 64, idleTimeoutMs: Milliseconds.minute, connectionsMax: 1024,
      resolveEveryMs: 30 * Milliseconds.second, place: place)
  }

  private static func refuseTwice(_ servers: [Server], _ reading: Reading) {
    var seen: Set<HTTPOrigin> = []
    for server in servers where !seen.insert(server.origin).inserted {
      reading.refuse(server.place, "the same server twice", suggestion: nil)
    }
  }

  private static func isStandardOutlier(_ node: JSONNode) -> Bool {
    node.members?.allSatisfy { member in
      switch member.name {
      case "failures": member.node.integer == 5
      case "ejectFor": member.node.string == "10s"
      case "maxEjected": member.node.number?.double == 0.5
      default: false
      }
    } ?? false
  }
}

extension Kind where Value == UpstreamSettings.Server {
  fileprivate static var server: Kind {
    Kind { setting in
      if setting.node.members != nil {
        return ObjectReader.read(setting) { object in
          let server = object.required("url", .server, "such as \"http://10.0.0.1:8080\"")
          object.later("weight", taking: { $0.integer == 1 }, "its part of the requests")
          return server
        }
      }
      if setting.node.string?.hasPrefix("unix:") == true {
        return setting.refused("\"unix:\" addresses are not supported yet")
      }
      return Kind<HTTPOrigin>.origin.read(setting).map { Value(origin: $0, place: setting.place) }
    }
  }
}

extension Kind where Value == UpstreamSettings.Balance {
  fileprivate static var balance: Kind {
    Kind { setting in
      if let text = setting.node.string, text.hasPrefix("hash:") {
        return setting.refused("\"\(text)\" is not supported yet")
      }
      return Kind.choice(later: ["random"]).read(setting)
    }
  }
}

extension UpstreamSettings.TLS {
  fileprivate static func read(_ object: inout ObjectReader) -> UpstreamSettings.TLS? {
    object.later("certificate", "the gateway's own certificate")
    object.later("key", "its key")
    return UpstreamSettings.TLS(
      ca: object.optional("ca", .file, "authorities in place of the system's"),
      serverName: object.optional("serverName", .hostName, "in place of the server's host"))
  }
}
