import OAuth
import Wire

// The process's own keys: how it listens, how much it takes, how it ends, what it writes down.

extension Kind where Value == Configuration.Workers {
  static var workers: Kind {
    Kind(
      .oneOf([.words(["auto"]), .integer(1...1024)]),
      written: { $0 == .automatic ? "\"auto\"" : nil }
    ) { setting in
      if setting.node.string == "auto" { return .automatic }
      guard setting.node.number != nil else {
        return setting.refused("expected \"auto\" or a number of threads, found \(setting.found)")
      }
      return Kind<Int>.integer(1...1024).read(setting).map { .fixed($0) }
    }
  }
}

extension LimitSettings {
  /// Reads `limits`. The ranges keep a slip of the pen from turning a limit off.
  static func read(_ object: inout ObjectReader) -> LimitSettings? {
    let timeout = Kind<Int64>.duration(1...Milliseconds.day)
    if let setting = object.find("http2Streams") {
      setting.reading.warn(setting.place, "has no effect: HTTP/2 is not supported yet")
    }
    return LimitSettings(
      requestLineBytesMax: object.optional(
        "requestLine", .size(64...Bytes.mebi), default: 8 * Bytes.kibi, "414 beyond"),
      headersBytesMax: object.optional(
        "headers", .size(256...Bytes.mebi), default: 32 * Bytes.kibi, "431 beyond"),
      headerCountMax: object.optional(
        "headerCount", .integer(1...10_000), default: 100, "431 beyond"),
      bodyBytesMax: object.optional(
        "body", .bodySize, default: 10 * Bytes.mebi, "413 beyond"),
      headerTimeoutMs: object.optional(
        "headerTimeout", timeout, default: 10 * Milliseconds.second, "for a whole head"),
      bodyTimeoutMs: object.optional(
        "bodyTimeout", timeout, default: 30 * Milliseconds.second,
        "the longest pause in a body"),
      idleTimeoutMs: object.optional(
        "idleTimeout", timeout, default: 75 * Milliseconds.second, "between requests"),
      tlsHandshakeTimeoutMs: object.optional(
        "tlsHandshakeTimeout", timeout, default: 10 * Milliseconds.second,
        "for a whole handshake"),
      connectionsMax: object.optional(
        "connections", .integer(1...10_000_000), default: 50_000, "of callers, at once"),
      http2StreamsMax: object.optional(
        "http2Streams", .integer(1...100_000), default: 128, "of one connection, at once"))
  }
}

extension Kind where Value == Int {
  /// A body's longest size.
  static var bodySize: Kind { .size(0...(1 << 20) * Bytes.gibi) }
}

extension ShutdownSettings {
  static func read(_ object: inout ObjectReader) -> ShutdownSettings? {
    ShutdownSettings(
      delayMs: object.optional(
        "delay", .duration(0...Milliseconds.hour), default: 0,
        "still accepting, readiness already failing"),
      graceMs: object.optional(
        "grace", .duration(0...Milliseconds.day), default: 30 * Milliseconds.second,
        "for requests under way"))
  }
}

/// What can be turned off by the word alone.
enum Switchable<Settings> {
  case off
  case on(Settings)

  var settings: Settings? {
    switch self {
    case .off: nil
    case .on(let settings): settings
    }
  }

  /// Reads `"off"` or the section.
  static func read(
    _ name: String, _ purpose: String, in object: inout ObjectReader,
    _ body: (inout ObjectReader) -> Settings?
  ) -> Switchable? {
    defer { object.describe(name, orElse: .words(["off"])) }
    if let setting = object.find(name), setting.node.members == nil {
      if setting.node.string == "off" { return .off }
      return setting.refused(
        "expected \"off\" or an object, found \(setting.found)",
        suggestion: setting.node.string.flatMap { Spelling.nearest(to: $0.string, among: ["off"]) })
    }
    return object.section(name, purpose, body).map { .on($0) }
  }
}

extension AdminSettings {
  static func read(_ object: inout ObjectReader) -> AdminSettings? {
    let local = ListenAddress(
      host: HostName(IPAddress(isV6: false, bits: 0x7F00_0001)), port: 9901,
      place: object.setting.place)
    let address = object.optional(
      "address", .listenAddress, default: local, "where the admin pages are")
    if !address.host.isLoopback {
      object.setting.reading.warn(
        address.place,
        "other machines can see there what runs, and reload it; use 127.0.0.1, and \"probes\" for "
          + "those who ask for /readyz and /metrics")
    }
    return AdminSettings(
      address: address,
      probes: object.optional(
        "probes", .listenAddress, "an address with only /livez, /readyz and /metrics"),
      hosts: object.optional(
        "hosts", .list(.hostName), default: [], "values of Host that are taken as well"
      ).map(\.text))
  }
}
