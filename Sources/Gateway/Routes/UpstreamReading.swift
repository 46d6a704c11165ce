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
      let healthCheck = object.optional(
        "healthCheck", .object(HealthCheck.read), "requests that tell whether a server is well")
      let outlier = object.section(
        "outlier", "when a failing server is left out", Outlier.read)
      let connections = Connections.read(&object)
      guard let servers, let tls, let outlier else { return nil }
      refuseTwice(servers, setting.reading)
      return UpstreamSettings(
        name: name.node.string?.string ?? "", servers: servers, balance: balance, tls: tls,
        healthCheck: healthCheck, outlier: outlier, connections: connections, place: name.place)
    }
  }

  /// Every default: what a route that forwards to a URL gets.
  static func standard(name: String, servers: [Server], place: ConfigPlace) -> UpstreamSettings {
    UpstreamSettings(
      name: name, servers: servers, balance: .leastRequests,
      tls: TLS(ca: nil, serverName: nil, identity: nil), healthCheck: nil, outlier: .standard,
      connections: .standard, place: place)
  }

  private static func refuseTwice(_ servers: [Server], _ reading: Reading) {
    var seen: Set<ServerTarget> = []
    for server in servers where !seen.insert(server.target).inserted {
      reading.refuse(server.place, "the same server twice", suggestion: nil)
    }
  }

  /// Complains about public routes that forward to an upstream which is balanced by a claim: there
  /// is no caller whose claim it could be.
  static func refuseHashOfNobody(
    _ upstreams: [UpstreamSettings?], _ routes: [RouteSettings?], _ setting: Setting?
  ) {
    for (index, route) in routes.enumerated() {
      guard let route, case .open = route.access, case .forward(let forward) = route.action,
        upstreams.indices.contains(forward.upstream),
        case .hash(.claim) = upstreams[forward.upstream]?.balance,
        let setting, let node = setting.node.elements?[index],
        let to = setting.element(index, node).value("forward")?.value("to")
      else { continue }
      to.refuse(
        "the upstream is balanced by a claim, and a public route has no caller; use "
          + "\"hash:header:NAME\" or another upstream")
    }
  }
}

extension UpstreamSettings.Connections {
  static let standard = UpstreamSettings.Connections(
    connectTimeoutMs: 2 * Milliseconds.second, idleMax: 64, idleTimeoutMs: Milliseconds.minute,
    max: 1024, queueMax: 1024, resolveEveryMs: 30 * Milliseconds.second)

  fileprivate static func read(_ object: inout ObjectReader) -> UpstreamSettings.Connections {
    UpstreamSettings.Connections(
      connectTimeoutMs: object.optional(
        "connectTimeout", .duration(1...Milliseconds.hour), default: standard.connectTimeoutMs,
        "for a connection, its handshake included"),
      idleMax: object.optional(
        "idleConnections", .integer(0...1_000_000), default: standard.idleMax,
        "kept without a request"),
      idleTimeoutMs: object.optional(
        "idleTimeout", .duration(1...Milliseconds.day), default: standard.idleTimeoutMs,
        "how long those are kept"),
      max: object.optional(
        "maxConnections", .integer(1...1_000_000), default: standard.max, "at once"),
      queueMax: object.optional(
        "queue", .integer(0...1_000_000), default: standard.queueMax,
        "requests that wait for a connection"),
      resolveEveryMs: object.optional(
        "resolveEvery", .duration(Milliseconds.second...Milliseconds.day),
        default: standard.resolveEveryMs, "how often names are resolved anew"))
  }
}

extension UpstreamSettings.Outlier {
  static let standard = UpstreamSettings.Outlier(
    failures: 5, ejectForMs: 10 * Milliseconds.second, maxEjected: 0.5)

  fileprivate static func read(_ object: inout ObjectReader) -> UpstreamSettings.Outlier? {
    UpstreamSettings.Outlier(
      failures: object.optional(
        "failures", .integer(1...1_000_000), default: standard.failures, "requests in a row"),
      ejectForMs: object.optional(
        "ejectFor", .duration(1...Milliseconds.day), default: standard.ejectForMs,
        "how long a server is left out"),
      maxEjected: object.optional(
        "maxEjected", .fraction(0...1), default: standard.maxEjected,
        "the part of the servers left out at once"))
  }
}

extension UpstreamSettings.HealthCheck {
  fileprivate static func read(_ object: inout ObjectReader) -> UpstreamSettings.HealthCheck? {
    let path = object.required("path", .checkPath, "what is asked for, such as \"/healthz\"")
    let intervalMs = object.optional(
      "interval", .duration(10...Milliseconds.day), default: 5 * Milliseconds.second,
      "from one check to the next")
    let timeoutMs = object.optional(
      "timeout", .duration(1...Milliseconds.hour), default: Milliseconds.second,
      "for an answer, the connection included")
    let healthyAfter = object.optional(
      "healthyAfter", .integer(1...1_000), default: 2, "good answers in a row")
    let unhealthyAfter = object.optional(
      "unhealthyAfter", .integer(1...1_000), default: 3, "failures in a row")
    return path.map {
      UpstreamSettings.HealthCheck(
        path: $0, intervalMs: intervalMs, timeoutMs: timeoutMs, healthyAfter: healthyAfter,
        unhealthyAfter: unhealthyAfter)
    }
  }
}

extension Kind where Value == String {
  /// A path with or without a query.
  fileprivate static var checkPath: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      let path = text.string
      guard let url = try? HTTPURL("http://server\(path)"), url.suffix == path, url.target == path
      else {
        let meant = (try? HTTPURL("http://server/\(path)")).map(\.target)
        return setting.refused(
          "expected a path such as \"/healthz\"",
          suggestion: path.contains("://") || path.hasPrefix("/") ? nil : meant)
      }
      return path
    }
  }
}

extension Kind where Value == UpstreamSettings.Server {
  fileprivate static var server: Kind {
    Kind(.oneOf([.string, .read { _ = weighted($0) }])) { setting in
      guard setting.node.members != nil else {
        return Kind<ServerTarget>.target.read(setting).map {
          Value(target: $0, weight: 1, place: setting.place)
        }
      }
      return weighted(setting)
    }
  }

  private static func weighted(_ setting: Setting) -> Value? {
    ObjectReader.read(setting) { object in
      let url = object.required("url", .placedTarget, "such as \"http://10.0.0.1:8080\"")
      let weight = object.optional(
        "weight", .integer(1...1_000), default: 1, "its part of the requests")
      return url.map { Value(target: $0.0, weight: weight, place: $0.1) }
    }
  }
}

extension Kind where Value == (ServerTarget, ConfigPlace) {
  fileprivate static var placedTarget: Kind {
    Kind(.string) { setting in
      Kind<ServerTarget>.target.read(setting).map { ($0, setting.place) }
    }
  }
}

extension Kind where Value == ServerTarget {
  /// What `sun_path` holds with its NUL (unix(7)).
  private static var pathBytesMax: Int { 107 }

  fileprivate static var target: Kind {
    Kind(.string) { setting in
      guard let text = setting.node.string, text.hasPrefix("unix:") else {
        return Kind<HTTPOrigin>.origin.read(setting).map { .web($0) }
      }
      let written = String(text.string.dropFirst("unix:".count))
      guard !written.isEmpty, !written.utf8.contains(0) else {
        return setting.refused("expected a socket's path, such as \"unix:/run/orders.sock\"")
      }
      let path = FilePath.resolve(written, namedIn: setting.place.file)
      guard path.utf8.count <= pathBytesMax else {
        return setting.refused(
          "a socket's path has at most \(pathBytesMax) bytes, this one \(path.utf8.count)")
      }
      return .unix(path: path)
    }
  }
}

extension Kind where Value == UpstreamSettings.Balance {
  private static var words: [(String, Value)] {
    [("least-requests", .leastRequests), ("round-robin", .roundRobin), ("random", .random)]
  }

  fileprivate static var balance: Kind {
    Kind(
      .oneOf([.words(words.map(\.0)), .pattern("^hash:(header|claim):.")]),
      written: { value in words.first { $0.1 == value }.map { Words.json(UTF8Text($0.0)) } }
    ) { setting in
      let expected =
        "expected \(Words.anyOf(words.map(\.0) + ["hash:header:NAME", "hash:claim:NAME"]))"
      guard let text = setting.node.string else {
        return setting.refused("\(expected), found \(setting.found)")
      }
      if let word = words.first(where: { UTF8Text($0.0) == text }) { return word.1 }
      if let name = rest(of: text, after: "hash:header:") {
        guard FieldText.isToken(name) else { return setting.refused("not a header's name") }
        return .hash(.header(UTF8Text(name.bytes.map(ByteClass.lowercased))))
      }
      if let name = rest(of: text, after: "hash:claim:") {
        guard let claim = ClaimName(name) else { return setting.refused("not a claim's name") }
        return .hash(.claim(claim))
      }
      return setting.refused(
        expected, suggestion: Spelling.nearest(to: text.string, among: words.map(\.0)))
    }
  }

  /// What follows a prefix, where something does.
  private static func rest(of text: UTF8Text, after prefix: String) -> UTF8Text? {
    guard text.hasPrefix(UTF8Text(prefix)), text.bytes.count > prefix.utf8.count else {
      return nil
    }
    return UTF8Text(Array(text.bytes.dropFirst(prefix.utf8.count)))
  }
}

extension UpstreamSettings.TLS {
  fileprivate static func read(_ object: inout ObjectReader) -> UpstreamSettings.TLS? {
    let ca = object.optional("ca", .authorities, "authorities in place of the system's")
    let serverName = object.optional(
      "serverName", .hostName, "in place of the server's host")
    let certificate = object.optional(
      "certificate", .inputFile, "the gateway's own certificate, with its chain")
    let key = object.optional("key", .inputFile, "its key")
    if object.has("certificate"), !object.has("key") {
      object.refuseMissing("key", "the certificate's key")
    } else if object.has("key"), !object.has("certificate") {
      object.refuseMissing("certificate", "the key's certificate")
    }
    var identity: CertificateReference?
    if let certificate, let key {
      let pair = CertificateReference(chain: certificate, key: key)
      object.setting.reading.note(.identity(pair))
      identity = pair
    }
    return UpstreamSettings.TLS(ca: ca, serverName: serverName, identity: identity)
  }
}
