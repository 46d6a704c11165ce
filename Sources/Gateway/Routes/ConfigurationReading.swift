import OAuth
import Wire

extension Configuration {
  /// Reads the whole file, in an order in which names are known before they are referred to.
  static func read(_ object: inout ObjectReader) -> Configuration? {
    let setting = object.setting
    // What must not take part in a digest.
    let hidden = setting.reading.hidden
    _ = object.optional("$schema", .anyText, "ignored")
    // `Includes` has read it: what the files hold is here already.
    _ = object.find("include")
    object.describe("include", .list(.string, atLeastOne: false), "more files, also by * and ?")
    let workers = object.optional("workers", .workers, default: .automatic, "threads")
    let listeners = object.required(
      "listeners", .list(.listener, atLeastOne: true), "where callers connect")
    let trustedProxies = object.optional(
      "trustedProxies", .list(.proxyRange), default: [], "whose X-Forwarded-* are believed")
    let limits = object.section("limits", "of the whole process", LimitSettings.read)
    let shutdown = object.section("shutdown", "how it ends", ShutdownSettings.read)

    let issuerNames = Names("issuer", membersOf: object.find("issuers"))
    let issuers = object.optional(
      "issuers", .slots(IssuerSettings.read), default: [], "whose tokens are believed")
    let exchangeNames = ExchangeNames(object.find("exchanges"))
    let exchanges = object.optional(
      "exchanges", .slots { ExchangeSettings.read(name: $0, $1, issuers: issuerNames) },
      default: [], "where tokens are exchanged")
    let upstreamNames = Names("upstream", membersOf: object.find("upstreams"))
    let upstreams = object.optional(
      "upstreams", .slots(UpstreamSettings.read), default: [], "the services")
    let defaults = RouteDefaults(object.find("defaults"))

    let urlUpstreams = URLUpstreams(firstIndex: upstreamNames.count)
    guard let limits, let shutdown else { return nil }
    let context = RouteContext(
      listeners: Names("listener", listenerNames(object.find("listeners"))),
      issuers: issuerNames, exchanges: exchangeNames, upstreams: upstreamNames,
      urlUpstreams: urlUpstreams, limits: limits, defaults: defaults)
    object.describe(
      "defaults",
      .partial(.read { _ = ReadRoute.read($0, context) }, without: ["match", "name"]),
      "a route without its match, merged under each route")
    let routes = object.required(
      "routes", .routes(context), "which requests go where")
    let accessLog = Switchable.read("accessLog", "a line a request", in: &object) {
      AccessLogSettings.read(&$0)
    }
    let admin = Switchable.read("admin", "for operators", in: &object) {
      AdminSettings.read(&$0)
    }
    let tracing = object.optional(
      "tracing", .object(TracingSettings.read), "spans for OpenTelemetry")
    let sharedCache = object.optional(
      "sharedCache", .object(SharedCacheSettings.read), "tokens kept in Redis")

    refuseSameIssuer(object.find("issuers"))
    refuseSameAddress(listeners ?? [], admin?.settings, object.find("listeners"), setting.reading)
    refuseProxyHeadersOfNobody(
      listeners ?? [], trustedProxies, object.find("listeners"))
    refuseUndiscoverable(exchanges, issuers, object.find("exchanges"))
    RouteConflicts.report(routes ?? [], setting.reading)
    RouteConflicts.reportSameNames(object.find("routes"))
    RouteReach.report(routes ?? [], listenerCount: listeners?.count ?? 0, setting.reading)
    UpstreamSettings.refuseHashOfNobody(
      upstreams, routes?.map(\.settings) ?? [], object.find("routes"))
    guard let listeners, let accessLog, let admin, let routes,
      let issuers = complete(issuers), let exchanges = complete(exchanges),
      let upstreams = complete(upstreams), let routes = complete(routes.map(\.settings))
    else { return nil }
    return Configuration(
      workers: workers, listeners: listeners, trustedProxies: AddressRanges(trustedProxies),
      limits: limits, shutdown: shutdown, issuers: issuers, exchanges: exchanges,
      upstreams: upstreams + urlUpstreams.upstreams, routes: routes,
      accessLog: accessLog.settings, admin: admin.settings,
      tracing: tracing, sharedCache: sharedCache,
      digestInput: CanonicalJSON.bytes(of: setting.node, hiding: hidden),
      shown: CanonicalJSON.bytes(
        of: setting.node, hiding: hidden, asWritten: setting.reading.written))
  }

  private static func listenerNames(_ setting: Setting?) -> [UTF8Text?] {
    let nodes = setting.map { $0.node.elements ?? [$0.node] } ?? []
    return nodes.map { $0["name"]?.string ?? $0["address"]?.string }
  }

  private static func refuseSameIssuer(_ setting: Setting?) {
    guard let setting else { return }
    var names: [UTF8Text: UTF8Text] = [:]
    for member in setting.node.members ?? [] {
      let entry = setting.member(member)
      guard let issuer = entry.node.members?.first(where: { $0.name == "issuer" }),
        let text = issuer.node.string, !text.isEmpty
      else { continue }
      if let other = names[text] {
        entry.member(issuer).refuse("the same issuer as \(Setting.key("issuers", other))")
      } else {
        names[text] = member.name
      }
    }
  }

  private static func refuseSameAddress(
    _ listeners: [ListenerSettings], _ admin: AdminSettings?, _ setting: Setting?,
    _ reading: Reading
  ) {
    var seen: [String: String] = [:]
    func refuseTwice(_ address: ListenerAddress) {
      if case .network(let address) = address, address.port == 0 { return }
      if let other = seen[address.description] {
        reading.refuse(address.place, "the same address as \(other)", suggestion: nil)
      } else {
        seen[address.description] = address.place.key
      }
    }
    for listener in listeners { refuseTwice(listener.address) }
    if let admin {
      refuseTwice(.network(admin.address))
      if let probes = admin.probes { refuseTwice(.network(probes)) }
    }
    var names: Set<UTF8Text> = []
    for (index, node) in (setting?.node.elements ?? []).enumerated() {
      guard let setting, let member = node.members?.first(where: { $0.name == "name" }),
        let name = member.node.string
      else { continue }
      if !names.insert(name).inserted {
        setting.element(index, node).member(member).refuse("two listeners with this name")
      }
    }
  }

  /// A listener that takes connections of trusted proxies only, where none is trusted.
  private static func refuseProxyHeadersOfNobody(
    _ listeners: [ListenerSettings], _ trustedProxies: [AddressRange], _ setting: Setting?
  ) {
    guard trustedProxies.isEmpty, let setting else { return }
    for (index, node) in (setting.node.elements ?? []).enumerated()
    where listeners.indices.contains(index) && listeners[index].takesProxyHeader {
      if case .unix = listeners[index].address { continue }
      let entry = setting.element(index, node)
      guard let member = node.members?.first(where: { $0.name == "proxyProtocol" }) else {
        continue
      }
      entry.name(of: member).refuse(
        "only proxies of \"trustedProxies\" may send it, and there are none")
    }
  }

  private static func refuseUndiscoverable(
    _ exchanges: [ExchangeSettings?], _ issuers: [IssuerSettings?], _ setting: Setting?
  ) {
    for (index, exchange) in exchanges.enumerated() {
      guard let exchange, case .issuer(let issuer, let name) = exchange.tokenService,
        issuers.indices.contains(issuer), let found = issuers[issuer], found.discovery == nil,
        found.keys != .discovery,
        let setting, let member = setting.node.members?[index],
        let key = member.node.members?.first(where: { $0.name == "tokenService" })
      else { continue }
      setting.member(member).member(key).refuse(
        "the issuer \"\(name)\" has no discovery document; give it \"discovery\", or write the "
          + "token endpoint's URL here")
    }
  }
}

extension Kind where Value == [ReadRoute] {
  /// All routes, those with mistakes as far as they could be read.
  fileprivate static func routes(_ context: RouteContext) -> Kind {
    Kind(.array(.read { _ = ReadRoute.read($0, context) })) { setting in
      guard let nodes = setting.node.elements else {
        return setting.refused("expected a list, found \(setting.found)")
      }
      if nodes.isEmpty { setting.reading.warn(setting.place, "no routes: every request gets 404") }
      return nodes.indices.map { index in
        let element = setting.route(index, context.defaults.applied(to: nodes[index]))
        return ReadRoute.read(element, context)
          ?? ReadRoute(
            settings: nil, match: nil, ignoresCase: false, place: element.place,
            key: element.place.key)
      }
    }
  }
}
