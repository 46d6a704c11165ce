import Crypto
import HTTP
import JOSE
import OAuth
import Reactor
import Wire

/// Fetches issuers' keys: ahead of need and off every request's way. One worker runs one task for
/// each issuer.
final class KeyKeeper {
  private let shared: SharedTokens
  private let clients: HTTPClients
  private let files: FileReader
  private let digester: Digester
  private let loop: EventLoop
  private var waiters: [Waiter] = []
  private var hasEnded = false

  init(
    _ shared: SharedTokens, clients: HTTPClients, files: FileReader, digester: Digester,
    loop: EventLoop
  ) {
    self.shared = shared
    self.clients = clients
    self.files = files
    self.digester = digester
    self.loop = loop
  }

  private struct Fault: Error {
    let text: String
  }

  /// Ends what `keep` does, after the fetch that is under way.
  func end() {
    hasEnded = true
    for waiter in waiters { waiter.signal() }
  }

  /// Keeps an issuer's keys fresh, until `end`.
  func keep(_ issuer: Int) async {
    let keys = shared.issuers[issuer]
    let waiter = Waiter(on: loop)
    waiters.append(waiter)
    keys.setKeeper(waiter.remote)
    var lastReport = ""
    while !hasEnded {
      let (isDue, nextAtMs) = keys.takeFetch()
      guard isDue else {
        _ = await waiter.wait(untilMs: nextAtMs)
        continue
      }
      let name = keys.rules.settings.name
      do throws(Fault) {
        let (set, freshMs) = try await fetch(issuer, waiter)
        if keys.endFetch(with: set, freshMs: freshMs) || !lastReport.isEmpty {
          shared.report("issuer \(name): \(set.keys.count) keys\(skippedText(set))")
        }
        lastReport = ""
      } catch {
        keys.endFetchFailed(error.text)
        if error.text != lastReport {
          shared.report("issuer \(name): keys can't be had: \(error.text); trying again")
        }
        lastReport = error.text
      }
    }
  }

  private func skippedText(_ set: JWKSet) -> String {
    if set.skipped.isEmpty { return "" }
    return ", passed over: "
      + set.skipped.map { "keys[\($0.index)] (\($0.flaw))" }.joined(separator: ", ")
  }

  /// Keys, and for how long they are fresh where their source says so.
  private typealias Fetched = (keys: JWKSet, freshMs: Int64?)

  private func fetch(_ issuer: Int, _ waiter: Waiter) async throws(Fault) -> Fetched {
    let keys = shared.issuers[issuer]
    let settings = keys.rules.settings
    let untilMs = loop.nowMs + settings.timeoutMs
    var location: HTTPURL?
    if shared.needsDiscovery[issuer] {
      do throws(Fault) {
        let document = try await discover(issuer, waiter, untilMs)
        keys.setDiscovery(document)
        location = document.keySet
      } catch {
        // Keys that don't come from discovery don't depend on it.
        guard case .discovery = settings.keys else {
          shared.report("issuer \(settings.name): discovery failed: \(error.text)")
          return try await readKeys(issuer, nil, waiter, untilMs)
        }
        throw error
      }
    }
    return try await readKeys(issuer, location, waiter, untilMs)
  }

  private func readKeys(
    _ issuer: Int, _ discovered: HTTPURL?, _ waiter: Waiter, _ untilMs: Int64
  ) async throws(Fault) -> Fetched {
    let url: HTTPURL
    switch shared.issuers[issuer].rules.settings.keys {
    case .file(let file):
      let bytes: [UInt8]
      do throws(SystemError) {
        bytes = try await files.read(
          file.path, bytesMax: Limits.keysBytesMax, waiter: waiter, untilMs: untilMs)
      } catch {
        throw Fault(text: "\(file.path): \(error)")
      }
      return (try judge(200, bytes, from: file.path), nil)
    case .url(let configured): url = configured
    case .discovery:
      guard let discovered else { throw Fault(text: "discovery names no jwks_uri") }
      url = discovered
    }
    let answer = try await get(url, issuer, Limits.keysBytesMax, waiter, untilMs)
    let set = try judge(answer.status, answer.content, from: "\(url)")
    return (set, CacheControl.freshMs(answer.cacheControl))
  }

  private func judge(
    _ status: Int, _ bytes: [UInt8], from place: String
  ) throws(Fault) -> JWKSet {
    do throws(KeySetAnswerFault) {
      return try KeySetAnswer.judge(status: status, body: bytes.span, digester: digester)
    } catch {
      throw Fault(text: "\(place): \(error)")
    }
  }

  private func discover(
    _ issuer: Int, _ waiter: Waiter, _ untilMs: Int64
  ) async throws(Fault) -> DiscoveryDocument {
    let settings = shared.issuers[issuer].rules.settings
    let url: HTTPURL
    if let configured = settings.discovery {
      url = configured
    } else {
      var base = settings.issuer.string
      if base.hasSuffix("/") { base.removeLast() }
      do throws(HTTPURL.Fault) {
        url = try HTTPURL(base + "/.well-known/openid-configuration")
      } catch {
        throw Fault(text: "the issuer is no URL, so it has no discovery document")
      }
    }
    let answer = try await get(url, issuer, Limits.discoveryBytesMax, waiter, untilMs)
    guard answer.status == 200 else { throw Fault(text: "\(url): answered \(answer.status)") }
    do throws(DiscoveryFault) {
      return try DiscoveryDocument(answer.content.span, issuer: settings.issuer)
    } catch {
      throw Fault(text: "\(url): \(error) (asked for \"\(settings.issuer)\")")
    }
  }

  private func get(
    _ url: HTTPURL, _ issuer: Int, _ bytesMax: Int, _ waiter: Waiter, _ untilMs: Int64
  ) async throws(Fault) -> CallAnswer {
    let pool = clients.pool(for: url.origin, tls: shared.issuerContexts[issuer], .issuer(issuer))
    let call = Call(
      .get, target: url.target, authority: url.origin.authority,
      fields: Array("Accept: application/json\r\n".utf8), answerBytesMax: bytesMax)
    do throws(CallFault) {
      return try await pool.call(call, waiter: waiter, untilMs: untilMs)
    } catch {
      throw Fault(text: "\(url): \(error.text)")
    }
  }
}

/// One worker's connections to issuers and token services, by origin and by whom they trust.
final class HTTPClients {
  /// Whose settings a connection was made by: connections made under one CA are never used for
  /// another.
  enum User: Hashable {
    case issuer(Int)
    case exchange(serial: UInt64)
  }

  private struct Key: Hashable {
    let origin: HTTPOrigin
    let user: User
  }

  private let resolver: Resolver
  private let buffers: BufferPool
  private let loop: EventLoop
  private var pools: [Key: UpstreamPool] = [:]

  init(resolver: Resolver, buffers: BufferPool, loop: EventLoop) {
    self.resolver = resolver
    self.buffers = buffers
    self.loop = loop
  }

  func pool(for origin: HTTPOrigin, tls: TLSClientContext?, _ user: User) -> UpstreamPool {
    let key = Key(origin: origin, user: user)
    if let pool = pools[key] { return pool }
    let pool = UpstreamPool(
      Origin(host: origin.host, port: origin.port, isEncrypted: origin.isSecure),
      settings: UpstreamPool.Settings(
        connectTimeoutMs: Limits.callConnectTimeoutMs, idleTimeoutMs: Limits.callIdleTimeoutMs,
        idleMax: Limits.callIdleMax, resolveEveryMs: Limits.callResolveEveryMs,
        headBytesMax: Limits.answerHeadBytesMax),
      tls: tls, resolver: resolver, buffers: buffers,
      count: ConnectionCount(
        max: Limits.callConnectionsMax, queue: Limits.callQueueMax), loop: loop)
    pools[key] = pool
    return pool
  }

  /// Closes what is idle, and what is in use when it has ended.
  func close() {
    for pool in pools.values { pool.close() }
  }

  /// Closes idle connections that have ended or aged.
  func sweep() {
    for pool in pools.values { pool.sweep() }
  }
}
