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
  let report: @Sendable (String) -> Void
  private let indexes: [UTF8Text: Int]
  private let reported = Mutex<[String: Int64]>([:])

  /// The same trouble is told of at most so often.
  private static let reportEveryMs: Int64 = 10_000

  /// What is kept of verified tokens; an entry is a few KiB.
  private static let verifiedBytesMax = 64 << 20

  init(
    _ configuration: Configuration, material: TLSMaterial,
    report: @escaping @Sendable (String) -> Void
  ) throws(CryptoFault) {
    let digester = try Digester()
    issuers = configuration.issuers.map { IssuerKeys(IssuerRules($0, digester: digester)) }
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
    verified = VerifiedTokenCache(bytesMax: Self.verifiedBytesMax)
    exchanges = configuration.exchanges.enumerated().map { index, settings in
      SharedExchange(
        settings, context: material.exchanges[index], assertion: material.assertions[index])
    }
    self.report = report
  }

  /// The issuer whose tokens say this `iss`.
  func issuerIndex(of issuer: UTF8Text) -> Int? { indexes[issuer] }

  /// A target of an exchange.
  func target(
    exchange index: Int, _ target: ExchangeTarget, _ digester: Digester
  ) -> SharedTarget {
    let exchange = exchanges[index]
    let service: UTF8Text =
      switch exchange.settings.tokenService {
      case .issuer(let issuer, _): issuers[issuer].rules.settings.issuer
      case .endpoint(let url): UTF8Text("\(url)")
      }
    return SharedTarget(
      exchange, index: index, target: target, tokenService: service, digester: digester)
  }

  /// Where tokens are exchanged; nil while discovery has not said so.
  func tokenEndpoint(of exchange: SharedExchange) -> HTTPURL? {
    switch exchange.settings.tokenService {
    case .endpoint(let url): return url
    case .issuer(let issuer, _):
      let document = issuers[issuer].discovery
      // RFC 8705 §5: certificates are asked for elsewhere, where the document says so.
      if case .certificate = exchange.settings.client.method,
        let alias = document?.certificateTokenEndpoint
      {
        return alias
      }
      return document?.tokenEndpoint
    }
  }

  /// Tells the operator of trouble with a token service that is not one caller's.
  func note(_ refusal: ExchangeRefusal, of exchange: SharedExchange) {
    guard refusal.countsForBreaker || refusal.reason == .misconfigured else { return }
    let nowMs = Clock.monotonicNs() / 1_000_000
    let isTold = reported.withLock { reported in
      let last = reported[exchange.settings.name]
      if let last, nowMs - last < Self.reportEveryMs { return true }
      reported[exchange.settings.name] = nowMs
      return false
    }
    if isTold { return }
    report("exchange \(exchange.settings.name): \(refusal.reason.rawValue): \(refusal.note)")
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
