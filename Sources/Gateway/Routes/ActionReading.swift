import OAuth
import Wire

extension RouteAction {
  /// Reads `forward`, `respond` or `redirect`: exactly one of them.
  static func read(
    _ object: inout ObjectReader, _ context: RouteContext, _ templates: TemplateContext
  ) -> RouteAction? {
    let given = ["forward", "respond", "redirect"].filter { object.has($0) }
    if let setting = object.find("forward"), setting.node.string != nil {
      setting.refuse("expected an object: { \"to\": \"http://orders:8080\" }, found text")
    }
    let forward = object.optional(
      "forward", .object { ForwardSettings.read(&$0, context, templates) }, "to a service")
    let respond = object.optional("respond", .object(FixedResponse.read), "the gateway's own")
    let redirect = object.optional(
      "redirect", .object { RedirectSettings.read(&$0, templates) }, "another address")
    if given.isEmpty {
      object.refuseMissing(
        "forward", "where requests go on to, or \"respond\" or \"redirect\"")
    } else if given.count > 1 {
      object.reportAtName(given[1], "a route has either \"\(given[0])\" or \"\(given[1])\"")
    }
    if let forward { return .forward(forward) }
    if let respond { return .respond(respond) }
    return redirect.map { .redirect($0) }
  }
}

/// The upstreams that routes describe themselves, by a URL: one for each.
final class URLUpstreams {
  private let firstIndex: Int
  private(set) var upstreams: [UpstreamSettings] = []
  private var indexes: [HTTPOrigin: Int] = [:]

  /// - Parameter firstIndex: how many upstreams have a name.
  init(firstIndex: Int) {
    self.firstIndex = firstIndex
  }

  /// The index among all upstreams.
  func index(of origin: HTTPOrigin, at place: ConfigPlace) -> Int {
    if let index = indexes[origin] { return index }
    let index = firstIndex + upstreams.count
    let server = UpstreamSettings.Server(target: .web(origin), weight: 1, place: place)
    upstreams.append(.standard(name: origin.description, servers: [server], place: place))
    indexes[origin] = index
    return index
  }
}

extension ForwardSettings {
  fileprivate static func read(
    _ object: inout ObjectReader, _ context: RouteContext, _ templates: TemplateContext
  ) -> ForwardSettings? {
    let upstream = object.required(
      "to", .forwardTarget(context), "an upstream's name, or a URL")
    let path = object.section("path", "prefixes taken away and put on") {
      PathRewrite.read(&$0, templates)
    }
    let headers = object.section("headers", "fields of the request") {
      FieldChanges.read(&$0, .request, templates)
    }
    let answerHeaders = object.section("responseHeaders", "fields of the answer") {
      FieldChanges.read(&$0, .answer, templates)
    }
    let upgrades = object.optional(
      "upgrade", .list(.upgrade), default: [], "protocols that may take over the connection")
    let timeoutMs = object.optional(
      "timeout", .duration(0...Milliseconds.day), default: 30 * Milliseconds.second,
      "until the answer's head; \"0s\": none")
    let host = object.optional(
      "host", .hostPolicy, default: HostPolicy.upstream, "what Host says to the service")
    let idleTimeoutMs = object.optional(
      "idleTimeout", .duration(1...Milliseconds.day), default: Milliseconds.minute,
      "between bytes of an answer")
    let retries = object.optional("retries", .integer(0...10), default: 1, "sent again")
    let via = object.optional("via", .bool, default: true, "whether Via is sent")
    guard let upstream else { return nil }
    return ForwardSettings(
      upstream: upstream, path: path ?? .none, headers: headers ?? .none,
      answerHeaders: answerHeaders ?? .none, host: host,
      timeoutMs: timeoutMs == 0 ? nil : timeoutMs,
      idleTimeoutMs: idleTimeoutMs, retries: retries, via: via, upgrades: upgrades)
  }
}

extension Kind where Value == Int {
  /// What `forward.to` names, as an index among all upstreams.
  fileprivate static func forwardTarget(_ context: RouteContext) -> Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      guard text.string.contains("://") else {
        if let index = context.upstreams.index(of: text) { return index }
        guard text.string.contains(":") else { return context.upstreams.index(of: setting) }
        return setting.refused(
          "expected an upstream's name, or a URL that begins with https:// or http://",
          suggestion: (try? HTTPURL("http://\(text)")).map { "\($0.origin)" })
      }
      return Kind<HTTPOrigin>.origin.read(setting).map {
        context.urlUpstreams.index(of: $0, at: setting.place)
      }
    }
  }
}

extension Kind where Value == ForwardSettings.HostPolicy {
  fileprivate static var hostPolicy: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      if text == "upstream" { return .upstream }
      if text == "preserve" { return .preserve }
      let isHost = HostAndPort.split(text.bytes).map { host, port in
        HostName(host) != nil && (port.map { HostAndPort.port($0) != nil } ?? true)
      }
      guard isHost == true else {
        return setting.refused("expected \"upstream\", \"preserve\" or a host")
      }
      let known = ["upstream", "preserve"]
      if !text.bytes.contains(UInt8(ascii: ".")),
        let nearest = Spelling.nearest(to: text.string, among: known)
      {
        return setting.refused("a host's name that looks misspelled", suggestion: nearest)
      }
      return .literal(text.string)
    }
  }
}

extension FixedResponse {
  fileprivate static func read(_ object: inout ObjectReader) -> FixedResponse? {
    let status = object.optional("status", .integer(200...599), default: 200, "of the answer")
    let headers = object.optional(
      "headers", .entries(of: .string, header), default: [], "of the answer")
    let body = object.optional("body", .anyText, default: "", "of the answer")
    // RFC 9110 §15.3.5, §15.3.6 and §15.4.5: none of these has content.
    if [204, 205, 304].contains(status), !body.isEmpty {
      object.reportAtName("body", "an answer with status \(status) has no body")
    }
    return FixedResponse(status: status, headers: headers, body: body.bytes)
  }

  /// What the gateway writes itself.
  private static let owned: Set<String> = [
    "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "date", "www-authenticate",
  ]

  private static func header(
    name: Setting, _ value: Setting
  ) -> (name: UTF8Text, value: UTF8Text)? {
    guard let field = name.node.string, FieldText.isToken(field) else {
      return name.refused("not a header's name")
    }
    if owned.contains(field.string.lowercased()) {
      return name.refused("the gateway sets this field itself")
    }
    guard let text = Kind<UTF8Text>.anyText.read(value) else { return nil }
    guard FieldText.isValue(text) else {
      return value.refused("not a header's value: no control characters, no space at its ends")
    }
    return (field, text)
  }
}
