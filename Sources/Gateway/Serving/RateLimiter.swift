import Crypto
import HTTP
import OAuth
import Reactor
import Wire

/// One limit of a route, ready to be counted by.
struct RateLimit {
  enum Key {
    case address
    case claim(FieldClaim)
    case header(FieldNameKey)
    case route
  }

  /// What tells this limit's counts from all others', also after a reload and at other gateways.
  let identity: [UInt8]
  let key: Key
  let intervalNs: Int64
  let burst: Int64

  /// How far ahead of its time a request may be.
  var toleranceNs: Int64 { intervalNs * (burst - 1) }
}

/// A route's limits: those that are counted before the token is read, and those by claims.
final class RouteRates {
  let early: [RateLimit]
  let late: [RateLimit]

  init(_ limits: [RateLimit]) {
    func isLate(_ limit: RateLimit) -> Bool {
      if case .claim = limit.key { return true }
      return false
    }
    early = limits.filter { !isLate($0) }
    late = limits.filter(isLate)
  }
}

/// Counts requests, and refuses those that are too many.
///
/// All of a route's limits must have room; what one of them took is given back where another has
/// none, so that who is over his own does not use up everybody's. With a shared cache all gateways
/// count together: each asks it after it has found room itself, in one round trip, and goes by its
/// own count while the cache is gone or slow.
final class RateLimiter {
  private let table: RateTable
  private let digester: Digester
  private let link: SharedCacheLink?

  init(_ table: RateTable, digester: Digester, link: SharedCacheLink?) {
    self.table = table
    self.digester = digester
    self.link = link
  }

  /// Takes the request's place in each of the limits.
  ///
  /// - Throws: `rate_limited`, with the time after which there is room again.
  func take(_ limits: [RateLimit], for request: Request) async throws(Refusal) {
    if limits.isEmpty { return }
    let nowNs = Clock.monotonicNs()
    var takes: [RateTake] = []
    takes.reserveCapacity(limits.count)
    for limit in limits {
      let take = RateTake(key: key(of: limit, request), limit)
      let waitNs = table.take(take, nowNs: nowNs)
      if waitNs > 0 {
        giveBack(takes)
        throw Self.refusal(waitNs)
      }
      takes.append(take)
    }
    guard let link else { return }
    let waitNs = await link.take(takes, waiter: request.connection.waiter)
    if waitNs > 0 {
      giveBack(takes)
      throw Self.refusal(waitNs)
    }
  }

  private func giveBack(_ takes: [RateTake]) {
    for take in takes { table.giveBack(take) }
  }

  private static func refusal(_ waitNs: Int64) -> Refusal {
    let second: Int64 = 1_000_000_000
    let seconds = max(1, waitNs / second + (waitNs % second > 0 ? 1 : 0))
    return Refusal(.rateLimited, retryAfter: Int(clamping: seconds))
  }

  private func key(of limit: RateLimit, _ request: Request) -> SHA256Digest {
    var bytes = limit.identity
    switch limit.key {
    case .route: break
    case .address: Self.append(addressOf: request, to: &bytes)
    case .header(let name):
      // A field that occurs several times says all of it (RFC 9110 §5.3).
      let received = request.connection.received
      for line in request.connection.head.fields where name.matches(line, in: received.readable) {
        bytes.append(1)
        bytes += [UInt8](copying: received.slice(line.value))
      }
    case .claim(let claim):
      guard let caller = request.record.caller else { break }
      bytes += caller.verified.issuer.bytes
      if let value = caller.field(claim) {
        bytes.append(0)
        bytes += value
      }
    }
    return digester.digest(bytes)
  }

  /// Who has one IPv6 address has 2^64 of them.
  private static func append(addressOf request: Request, to bytes: inout [UInt8]) {
    let client = request.client
    guard let address = IPAddress(client.span) else {
      bytes += client
      return
    }
    bytes.append(address.isV6 ? 6 : 4)
    let bits = address.isV6 ? address.bits >> 64 : address.bits
    for shift in stride(from: UInt128(56), through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: bits >> shift))
    }
  }
}
