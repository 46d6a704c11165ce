import Crypto
import HTTP
import JOSE
import OAuth
import Reactor
import Wire

/// Whom a request's token stands for, verified; or nobody, on a public route. Only the
/// authenticator makes one.
struct VerifiedIdentity: ~Copyable {
  fileprivate(set) var caller: Caller?
}

/// A caller whose token held every check, and where the token stands in the request's head.
struct Caller {
  let token: KnownToken
  let tokenRange: Range<Int>

  /// The token itself, copied.
  func tokenBytes(in request: Request) -> [UInt8] {
    request.unescapedToken.isEmpty ? request.bytes(tokenRange) : request.unescapedToken
  }
}

/// Verifies callers' tokens.
///
/// A token is digested once; what the digest finds in the worker's own table, or in the cache that
/// all workers share, was verified before and only its end and its keys are looked at again.
final class Authenticator {
  private let shared: SharedTokens
  private let tokens: WorkerTokens
  private let digester: Digester
  private let loggedClaims: [LoggedClaim]
  private let overload: Overload

  init(
    _ shared: SharedTokens, tokens: WorkerTokens, digester: Digester, claims: [LoggedClaim],
    overload: Overload
  ) {
    self.overload = overload
    self.shared = shared
    self.tokens = tokens
    self.digester = digester
    loggedClaims = claims
  }

  /// Who makes `request`.
  func identity(of request: Request, at route: Route) async throws(Refusal) -> VerifiedIdentity {
    guard case .checked(let check) = route.access else { return VerifiedIdentity(caller: nil) }
    let range: Range<Int>
    if let sources = check.sources {
      range = try Credential.find(in: request, at: sources)
      if case .cookie = request.tokenSource {
        try RequestOrigin.check(request, cors: route.cors)
      }
    } else {
      range = try Credential.find(in: request)
    }
    let received = request.connection.received
    let escaped = request.unescapedToken
    let digest =
      escaped.isEmpty ? digester.digest(received.slice(range)) : digester.digest(escaped)
    let nowMs = Clock.wallMs()
    let known: KnownToken
    if let held = held(digest, nowMs: nowMs) {
      request.record.authentication = .cached
      known = held
    } else {
      if overload.isShedding { try overload.checkCold(request) }
      // A token that is held was looked at when it came first.
      try Credential.check(escaped.isEmpty ? received.slice(range) : escaped.span)
      let beganNs = Clock.monotonicNs()
      request.record.authBeganNs = beganNs
      defer { request.record.authNs = Clock.monotonicNs() - beganNs }
      known = try await verify(request, range, digest, check, nowMs: nowMs)
      request.record.authentication = .verified
      tokens.insert(known)
    }
    request.record.caller = known
    guard check.issuers[known.issuer] else { throw Refusal(.issuerUnknown) }
    if let binding = known.binding, !hasShown(binding, request) {
      throw Refusal(.bindingUnverified)
    }
    if known.isExpired(atMs: nowMs, exchanging: check.isExchanging) { throw Refusal(.tokenExpired) }
    return VerifiedIdentity(caller: Caller(token: known, tokenRange: range))
  }

  /// Whether this connection's other end has proved to own the certificate that a token is bound to
  /// (RFC 8705 §3). Asked for each request: the token is known, not who sends it.
  private func hasShown(_ binding: SHA256Digest, _ request: Request) -> Bool {
    // What a proxy has shown says nothing about whoever is behind it.
    guard !request.peer.isTrusted else { return false }
    return request.connection.stream.tls?.clientCertificate?.thumbprint == binding
  }

  /// A token that was verified before and whose key is still its issuer's.
  private func held(_ digest: SHA256Digest, nowMs: Int64) -> KnownToken? {
    if let known = tokens[digest] {
      if known.keysGeneration == shared.issuers[known.issuer].generation { return known }
      tokens.remove(digest)
    }
    guard let verified = shared.verified.find(digest, nowMs: nowMs),
      let issuer = shared.issuerIndex(of: verified.issuer)
    else { return nil }
    let keys = shared.issuers[issuer]
    let generation = keys.generation
    guard let set = keys.keys, verified.isStillBacked(by: set, keys.rules) else {
      shared.verified.remove(digest)
      return nil
    }
    let known = KnownToken(
      verified, digest: digest, issuer: issuer, keysGeneration: generation, claims: loggedClaims,
      digester: digester)
    tokens.insert(known)
    return known
  }

  private func verify(
    _ request: Request, _ range: Range<Int>, _ digest: SHA256Digest, _ check: Route.Check,
    nowMs: Int64
  ) async throws(Refusal) -> KnownToken {
    let received = request.connection.received
    let unverified: UnverifiedToken
    do throws(TokenFault) {
      let escaped = request.unescapedToken
      unverified = try UnverifiedToken(escaped.isEmpty ? received.slice(range) : escaped.span)
    } catch {
      throw Refusal(error)
    }
    guard let issuer = shared.issuerIndex(of: unverified.issuer), check.issuers[issuer] else {
      throw Refusal(.issuerUnknown)
    }
    let keys = shared.issuers[issuer]
    let waiter = request.connection.waiter
    let untilMs = waiter.loop.nowMs + keys.rules.settings.timeoutMs
    while true {
      let generation = keys.generation
      if let set = keys.keys {
        do throws(TokenFault) {
          // The skew is granted here and taken back by `isExpired` where the route exchanges.
          let verified = try unverified.verify(by: keys.rules, keys: set, nowMs: nowMs)
          shared.verified.insert(digest, verified, nowMs: nowMs)
          return KnownToken(
            verified, digest: digest, issuer: issuer, keysGeneration: generation,
            claims: loggedClaims, digester: digester)
        } catch .keyUnknown {
          // Its key may be new: see below.
        } catch {
          throw Refusal(error)
        }
      }
      switch keys.answer(isKnown: false, keyID: unverified.keyID, waiter: waiter.remote) {
      case .unknown: throw Refusal(.keyUnknown)
      case .unavailable: throw Refusal(.keysUnavailable)
      case .found: continue
      case .fetch:
        let isSignalled = await waiter.wait(untilMs: untilMs)
        if !isSignalled { throw Refusal(.keysUnavailable) }
        if request.connection.hasCallerGone() { throw Refusal(.callerGone) }
      }
    }
  }
}

extension Refusal {
  /// A token that is not believed.
  init(_ fault: TokenFault) {
    let reason: Reason =
      switch fault {
      case .malformed: .tokenMalformed
      case .issuerUnknown: .issuerUnknown
      case .keyUnknown: .keyUnknown
      case .algorithmRefused: .algorithmRefused
      case .signatureInvalid: .signatureInvalid
      case .expired: .tokenExpired
      case .notYetValid: .tokenNotYetValid
      case .audienceWrong: .audienceWrong
      case .typeRefused: .typeRefused
      case .claimsInvalid: .claimsInvalid
      case .bindingUnverified: .bindingUnverified
      }
    self.init(reason)
  }
}
