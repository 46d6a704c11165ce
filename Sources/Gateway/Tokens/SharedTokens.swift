import Crypto
import OAuth
import Reactor
import Wire

/// What all workers share of tokens: issuers' keys, verified tokens, exchanged tokens.
final class SharedTokens: Sendable {
  let issuers: [IssuerKeys]
  let issuerContexts: [TLSClientContext?]
  /// By issuer: whether its metadata are needed, for its keys or as a token service.
  let needsDiscovery: [Bool]
  let verified: TokenCache<VerifiedToken>
  let report: @Sendable (String) -> Void
  private let indexes: [UTF8Text: Int]

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
    verified = TokenCache()
    self.report = report
  }

  /// The issuer whose tokens say this `iss`.
  func issuerIndex(of issuer: UTF8Text) -> Int? { indexes[issuer] }

  /// For readiness: each issuer's keys.
  func readiness() -> [(issuer: String, isReady: Bool, text: String)] {
    issuers.map { keys in
      let trouble = keys.trouble
      return (keys.rules.settings.name, trouble == nil, trouble ?? "had")
    }
  }
}
