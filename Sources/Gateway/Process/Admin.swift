import HTTP
import Reactor
import Wire

/// The admin address: whether the process lives, whether it can serve and what is missing, what it
/// runs; and reloads, for whoever is no page of elsewhere.
struct Admin {
  static let limits = ServerConnection.Limits(
    head: RequestHeadLimits(
      requestLineBytesMax: 2 << 10, headBytesMax: 8 << 10, fieldCountMax: 50),
    headerTimeoutMs: 5_000, idleTimeoutMs: 30_000)
  static let contentBytesMax = 4 << 10

  private let shared: SharedState
  /// Of the probe address: only what probes ask.
  private let isProbe: Bool

  init(_ shared: SharedState, isProbe: Bool) {
    self.shared = shared
    self.isProbe = isProbe
  }

  func answer(_ request: SmallRequest, on loop: EventLoop) async -> SmallAnswer {
    // Probes are told nothing that a neighbour in their network must not know, can change nothing,
    // and are asked for by the names and addresses of all sorts of schedulers and scrapers.
    guard isProbe || isKnownHost(request.host) else {
      return SmallAnswer(421, text("This address is not known by that name.\n"))
    }
    let page: () -> SmallAnswer
    switch String(decoding: request.path, as: UTF8.self) {
    case "/livez": page = { SmallAnswer(200, text("ok\n")) }
    case "/readyz": page = readiness
    case "/metrics": page = metrics
    case "/config" where !isProbe: page = config
    case "/reload" where !isProbe: return await reload(request, on: loop)
    case "/status" where !isProbe: page = { status(request) }
    case "/" where !isProbe:
      page = { SmallAnswer(302, text("See /status\n"), fields: text("Location: /status\r\n")) }
    default: return SmallAnswer(404, text("Not found.\n"))
    }
    guard request.method.elementsEqual("GET".utf8) || request.method.elementsEqual("HEAD".utf8)
    else {
      return SmallAnswer(405, text("GET or HEAD only.\n"), fields: text("Allow: GET, HEAD\r\n"))
    }
    return page()
  }

  /// Each thing that is needed on a line of its own: `[+]` had, `[-]` missing.
  private func readiness() -> SmallAnswer {
    var lines: [String] = []
    var isReady = true
    if shared.isDraining {
      isReady = false
      lines.append("[-]shutdown: the gateway is ending")
    }
    for keys in shared.tokens.readiness() {
      isReady = isReady && keys.isReady
      lines.append("\(keys.isReady ? "[+]" : "[-]")keys of issuer \(keys.issuer): \(keys.text)")
    }
    lines.append(isReady ? "ready" : "not ready")
    return SmallAnswer(
      isReady ? 200 : 503, text(lines.map { $0 + "\n" }.joined()))
  }

  /// A page for people, or the document that it shows for whoever wants JSON.
  private func status(_ request: SmallRequest) -> SmallAnswer {
    let wantsJSON =
      request.query.elementsEqual("json".utf8)
      || request.values(of: "accept").contains { value in
        ByteScan.holds(Array("application/json".utf8), in: value.span)
      }
    let unkept = text("Cache-Control: no-store\r\nVary: Accept\r\n")
    if wantsJSON {
      return SmallAnswer(
        200, StatusReport(shared).json, type: "application/json", fields: unkept)
    }
    return SmallAnswer(
      200, StatusPage.shared.html, type: "text/html; charset=utf-8",
      fields: unkept + StatusPage.shared.fields)
  }

  private func metrics() -> SmallAnswer {
    var text = MetricsText()
    shared.writeConfig(to: &text)
    shared.process.upgrades.write(to: &text)
    shared.process.requests.write(to: &text)
    shared.tokens.write(to: &text)
    shared.writeUpstreams(to: &text)
    shared.process.write(to: &text)
    shared.process.handshakes.write(to: &text)
    if shared.configuration.tracing != nil { shared.process.traces.write(to: &text) }
    if let log = shared.log?.writer {
      text.begin(
        "tollgate_access_log_dropped_lines_total", .counter,
        "Lines that could not be written: the disk was full or too slow.")
      text.sample(UInt64(log.droppedLinesTotal))
    }
    return SmallAnswer(200, text.bytes, type: MetricsText.contentType)
  }

  /// What runs: its digest, since when, and all that its file says but secrets.
  private func config() -> SmallAnswer {
    var json: [UInt8] = []
    json.append("{\"digest\":")
    JSONWriter.appendString(shared.configDigest, to: &json)
    json.append(",\"since\":\"")
    RFC3339.append(epochMs: shared.process.config.runningSinceMs, to: &json)
    json.append("\",\"lastReloadSuccessful\":")
    JSONWriter.appendBool(shared.process.config.isLastSuccessful, to: &json)
    json.append(",\"config\":")
    json += shared.configuration.shown
    json.append("}\n")
    return SmallAnswer(200, json, type: "application/json")
  }

  /// Has the routes file read again and waits for what comes of it.
  private func reload(_ request: SmallRequest, on loop: EventLoop) async -> SmallAnswer {
    guard request.method.elementsEqual("POST".utf8) else {
      return SmallAnswer(405, text("POST only.\n"), fields: text("Allow: POST\r\n"))
    }
    // A browser says which page it acts for.
    let own = request.values(of: "host").first.map { Array("http://".utf8) + $0 }
    for origin in request.values(of: "origin")
    where origin.map(ByteClass.lowercased) != own?.map(ByteClass.lowercased) {
      return SmallAnswer(403, text("This page is not for you to reload.\n"))
    }
    guard let outcome = await shared.process.reloads.ask(on: loop) else {
      return SmallAnswer(504, text("There is no outcome yet: the log will say.\n"))
    }
    let status =
      switch outcome.kind {
      case .done: 200
      case .badInput: 422
      case .couldNotRun: 503
      }
    return SmallAnswer(status, text(outcome.text))
  }

  /// A page elsewhere whose name was pointed at this address must not read it (DNS rebinding).
  private func isKnownHost(_ host: [UInt8]) -> Bool {
    let name = String(decoding: host, as: UTF8.self)
    if name == "localhost" || name.hasSuffix(".localhost") { return true }
    guard let admin = shared.configuration.admin else { return false }
    if let address = IPAddress(name) {
      return address.isLoopback || name == admin.address.host.text
        || admin.address.host.address?.isUnspecified == true
    }
    return host.isEmpty || name == admin.address.host.text || admin.hosts.contains(name)
  }

  private func text(_ text: String) -> [UInt8] { Array(text.utf8) }
}
