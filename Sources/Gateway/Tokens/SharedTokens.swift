import Crypto
import OAuth
import Reactor
import Synchronization
import Wire

/// What all workers share of tokens: issuers' keys, verified tokens, exchanged tokens.
final class SharedTokens: Sendable {
  let issuers: [IssuerKeys]
  let issuerContexts: [TLSClientContext?]
  /// By issuer: whether its metadata are needed, for its keys or as a token service.
  let needsDiscovery: [Bool]
  let verified: VerifiedTokenCache
  let exchanges: [SharedExchange]
  /// Where the routes file has one.
  let cache: SharedCache?
  let report: Report
  private let indexes: [UTF8Text: Int]
  private let reported = Mutex<[Trouble: Int64]>([:])

  /// What is told of: one kind of trouble hides no other.
  private struct Trouble: Hashable {
    let exchange: String
    let reason: ExchangeRefusal.Reason
  }

  /// The same trouble is told of at most so often.
  private static let reportEveryMs: Int64 = 10_000

  /// What is kept of verified tokens; an entry is a few KiB.
  private static let verifiedBytesMax = 64 << 20

  /// - Parameter former: of the configuration before this one, whose keys and tokens stay good as
  ///   far as what they depend on is the same.
  init(
    _ configuration: Configuration, material: TLSMaterial, after former: SharedTokens? = nil,
    report: @escaping Report
  ) throws(CryptoFault) {
    let digester = try Digester()
    issuers = configuration.issuers.map { settings in
      IssuerKeys(
        IssuerRules(settings, digester: digester),
        after: former?.issuers.first { $0.rules.settings.hasSameSource(as: settings) })
    }
    issuerContexts = material.issuers
    var indexes: [UTF8Text: Int] = [:]
    for (index, issuer) in configuration.issuers.enumerated() { indexes[issuer.issuer] = index }
    self.indexes = indexes
    let services = Set(
      configuration.exchanges.compactMap { exchange -> Int? in
        if case .issuer(let index, _) = exchange.tokenService { return index }
        return nil
      })
    needsDiscovery = configuration.issuers.enumerated().map { index, issuer in
      issuer.keys == .discovery || services.contains(index)
    }
    // An entry names the settings and the key that it was verified by, and is void without them.
    verified = former?.verified ?? VerifiedTokenCache(bytesMax: Self.verifiedBytesMax)
    let keys = issuers
    exchanges = configuration.exchanges.enumerated().map { index, settings in
      let issuer: IssuerKeys? =
        if case .issuer(let index, _) = settings.tokenService { keys[index] } else { nil }
      return SharedExchange(
        settings, material.exchanges[index], assertion: material.assertions[index],
        issuer: issuer,
        after: former?.exchanges.first { $0.settings.name == settings.name })
    }
    if let settings = configuration.sharedCache {
      let running = former?.cache
      if let running, running.isSame(as: settings, material.sharedCache) {
        cache = running
      } else {
        cache = try SharedCache(settings, material.sharedCache, after: running, report: report)
      }
    } else {
      cache = nil
    }
    self.report = report
  }

  /// The issuer whose tokens say this `iss`.
  func issuerIndex(of issuer: UTF8Text) -> Int? { indexes[issuer] }

  /// A target of an exchange.
  func target(
    exchange index: Int, _ target: ExchangeTarget, _ digester: Digester
  ) -> SharedTarget {
    SharedTarget(exchanges[index], target: target, digester: digester)
  }

  /// Tells the operator of trouble with a token service that is not one caller's.
  func note(_ refusal: ExchangeRefusal, of exchange: SharedExchange) {
    guard refusal.countsForBreaker || [.misconfigured, .unverified].contains(refusal.reason)
    else { return }
    let nowMs = Clock.monotonicNs() / 1_000_000
    let trouble = Trouble(exchange: exchange.settings.name, reason: refusal.reason)
    let isTold = reported.withLock { reported in
      let last = reported[trouble]
      if let last, nowMs - last < Self.reportEveryMs { return true }
      reported[trouble] = nowMs
      return false
    }
    if isTold { return }
    let advice = refusal.advice.map { "; \($0)" } ?? ""
    let text =
      "exchange \(exchange.settings.name): \(refusal.reason.rawValue): \(refusal.note)\(advice)"
    if refusal.reason != .unverified { exchange.gate.noteTold(nowMs: nowMs) }
    switch refusal.reason {
    case .misconfigured:
      report(
        .error(
          "\(text); nobody gets a token until exchanges.\(exchange.settings.name) and the token "
            + "service agree about this gateway: its client id, secret and grant"))
    case .unavailable, .timeout:
      report(.warning("\(text); tokens that are kept are still used, others can't be had"))
    case .unverified: report(.warning("\(text); no service gets what was issued"))
    case .subjectRefused, .denied: report(.warning(text))
    }
  }

  /// Tells the operator that a token service is well of which it was said that it isn't.
  func note(_ back: ExchangeGuard.Return, of exchange: SharedExchange) {
    let name = exchange.settings.name
    let seconds = max(1, (back.outMs + 999) / 1_000)
    // Trouble that comes anew is told anew.
    reported.withLock { reported in reported = reported.filter { $0.key.exchange != name } }
    // That it is well shows with the next exchange, which may come late.
    var text = "exchange \(name): the token service is well again; it failed first \(seconds) s ago"
    if back.notTried > 0 {
      let were = back.notTried == 1 ? "exchange was" : "exchanges were"
      text += "; \(back.notTried) \(were) not tried since, to spare it"
    }
    report(.info(text))
  }

  /// Frees what has ended in the caches.
  func removeEnded() {
    let nowMs = Clock.wallMs()
    verified.removeEnded(nowMs: nowMs)
    for exchange in exchanges { exchange.cache.removeEnded(nowMs: nowMs) }
  }

  /// For readiness: each issuer's keys.
  func readiness() -> [(issuer: String, isReady: Bool, text: String)] {
    issuers.map { keys in
      let trouble = keys.trouble
      return (keys.rules.settings.name, trouble == nil, trouble ?? "had")
    }
  }
}
