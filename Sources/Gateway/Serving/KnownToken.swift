import Crypto
import OAuth
import Wire

/// What a worker knows of a token that was verified: its own copy, so that workers serving the same
/// caller do not fight over reference counts.
final class KnownToken {
  enum Identity { case person, system, unknown }

  let digest: SHA256Digest
  let identity: Identity
  let scopes: [UTF8Text]
  let issuerNameJSON: [UInt8]
  let jtiJSON: [UInt8]
  let claimsJSON: [UInt8]
  let identityJSON: [UInt8]
  let identityRuleJSON: [UInt8]

  init() { fatalError() }
}
struct Caller { let token: KnownToken; let tokenRange: Range<Int> }
struct VerifiedIdentity: ~Copyable { fileprivate(set) var caller: Caller? }
final class Authenticator {
  init(_ t: WorkerTokens, keyKeeper: KeyKeeper) {}
  func identity(of request: Request, at route: Route) async throws(Refusal) -> VerifiedIdentity {
    switch route.access { case .open: return VerifiedIdentity(caller: nil)
    case .checked: throw Refusal(.tokenMissing) }
  }
}
final class ExchangeFlight: Sendable {}
final class SharedTokens: Sendable { let issuers: [Int] = [] }
final class WorkerTokens { init(_ s: SharedTokens) {} }
final class TokenExchanges {
  init(_ t: WorkerTokens) {}
  func target(exchange: Int, _ t: ExchangeTarget) -> Int { 0 }
  func token(for: Caller, target: Int, _ request: Request) async throws(Refusal) -> [UInt8] { [] }
  func perform(_ f: ExchangeFlight) async {}
}
final class KeyKeeper { func keep(_ i: Int) async {}; func fetch(_ i: Int) async {} }
