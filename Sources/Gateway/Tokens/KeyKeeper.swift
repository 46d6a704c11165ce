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

  struct Fault: Error {
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
    var metadata = MetadataTimes(isDue: hasOwnMetadata(issuer) && keys.discovery == nil)
    while !hasEnded {
      if metadata.dueMs <= loop.nowMs { await learn(issuer, waiter, &metadata) }
      let (isDue, nextAtMs) = keys.takeFetch()
      guard isDue else {
        _ = await waiter.wait(untilMs: min(nextAtMs, metadata.dueMs))
        continue
      }
      let name = keys.rules.settings.name
      do throws(Fault) {
        let (set, freshMs) = try await fetch(issuer, waiter)
        if keys.endFetch(with: set, freshMs: freshMs) || !lastReport.isEmpty {
          let count = set.keys.count == 1 ? "1 key" : "\(set.keys.count) keys"
          let again = lastReport.isEmpty ? "" : "keys can be had again: "
          shared.report("issuer \(name): \(again)\(count)\(skippedText(set))")
        }
        lastReport = ""
        if hasOwnMetadata(issuer) { metadata.dueMs = loop.nowMs }
      } catch {
        keys.endFetchFailed(error.text)
        if error.text != lastReport {
          shared.report(
            .warning(
              "issuer \(name): keys can't be had: \(error.text); trying again"
                + (keys.keys == nil
                  ? ", and until then its tokens get 503" : "; those had before are used on")))
        }
        lastReport = error.text
      }
    }
  }

  /// Has an issuer's keys fetched once.
  ///
  /// - Returns: what was the matter; nil where the keys were had.
  func fetchOnce(_ issuer: Int) async -> String? {
    let keys = shared.issuers[issuer]
    let waiter = Waiter(on: loop)
    // As a request that lacks a key: the second time says that it was asked for in vain.
    _ = keys.answer(isKnown: false, waiter: waiter.remote)
    _ = keys.takeFetch()
    do throws(Fault) {
      let (set, freshMs) = try await fetch(issuer, waiter)
      _ = keys.endFetch(with: set, freshMs: freshMs)
    } catch {
      keys.endFetchFailed(error.text)
      return error.text
    }
    return nil
  }

  /// Has an issuer's metadata fetched once.
  ///
  /// - Returns: what was the matter.
  func discoverOnce(_ issuer: Int) async -> String? {
    do throws(Fault) {
      shared.issuers[issuer].setDiscovery(try await discover(issuer, Waiter(on: loop)))
      return nil
    } catch {
      return error.text
    }
  }

  /// When metadata are asked for that the keys do not come from: at first, with each fetch of the
  /// keys, and in between while they can't be had, however long the keys stay fresh.
  private struct MetadataTimes {
    var dueMs: Int64
    private var pauseMs = KeyRing.retryMinMs
    private var trouble = ""

    init(isDue: Bool) { dueMs = isDue ? .min : .max }

    /// - Returns: whether that is news after trouble.
    mutating func noteSuccess() -> Bool {
      defer { self = MetadataTimes(isDue: false) }
      return !trouble.isEmpty
    }

    /// - Returns: whether that is news.
    mutating func noteFailure(_ text: String, nowMs: Int64) -> Bool {
      dueMs = nowMs + pauseMs
      pauseMs = min(2 * pauseMs, KeyRing.retryMaxMs)
      defer { trouble = text }
      return trouble != text
    }
  }

  /// Whether its metadata are wanted and its keys are had without them.
  func hasOwnMetadata(_ issuer: Int) -> Bool {
    shared.needsDiscovery[issuer] && shared.issuers[issuer].rules.settings.keys != .discovery
  }

  private func learn(_ issuer: Int, _ waiter: Waiter, _ times: inout MetadataTimes) async {
    let keys = shared.issuers[issuer]
    do throws(Fault) {
      keys.setDiscovery(try await discover(issuer, waiter))
      if times.noteSuccess() {
        shared.report("issuer \(keys.rules.settings.name): its metadata can be had again")
      }
    } catch {
      guard times.noteFailure(error.text, nowMs: loop.nowMs) else { return }
      let name = keys.rules.settings.name
      shared.report(.warning("issuer \(name): discovery failed: \(error.text); trying again"))
    }
  }

  private func skippedText(_ set: JWKSet) -> String {
    if set.skipped.isEmpty { return "" }
    return ", passed over: "
      + set.skipped.map { "keys[\($0.index)] (\($0.flaw))" }.joined(separator: ", ")
  }

  /// Keys, and for how long they are fresh where their source says so.
  typealias Fetched = (keys: JWKSet, freshMs: Int64?)

  func fetch(_ issuer: Int, _ waiter: Waiter) async throws(Fault) -> Fetched {
    let keys = shared.issuers[issuer]
    let url: HTTPURL
    switch keys.rules.settings.keys {
    case .file(let file):
      let bytes: [UInt8]
      do throws(SystemError) {
        bytes = try await files.read(
          file.path, bytesMax: Limits.keysBytesMax, waiter: waiter,
          untilMs: loop.nowMs + keys.rules.settings.timeoutMs)
      } catch {
        throw Fault(text: "\(file.path): \(error)")
      }
      return (try judge(200, bytes, from: file.path), nil)
    case .url(let configured): url = configured
    case .discovery:
      let document = try await discover(issuer, waiter)
      keys.setDiscovery(document)
      guard let named = document.keySet else { throw Fault(text: "discovery names no jwks_uri") }
      url = named
    }
    let answer = try await get(url, issuer, Limits.keysBytesMax, waiter)
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

  func discover(
    _ issuer: Int, _ waiter: Waiter
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
    let answer = try await get(url, issuer, Limits.discoveryBytesMax, waiter)
    guard answer.status == 200 else { throw Fault(text: "\(url): answered \(answer.status)") }
    do throws(DiscoveryFault) {
      return try DiscoveryDocument(answer.content.span, issuer: settings.issuer)
    } catch {
      throw Fault(text: "\(url): \(error) (asked for \"\(settings.issuer)\")")
    }
  }

  private func get(
    _ url: HTTPURL, _ issuer: Int, _ bytesMax: Int, _ waiter: Waiter
  ) async throws(Fault) -> CallAnswer {
    let untilMs = loop.nowMs + shared.issuers[issuer].rules.settings.timeoutMs
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
    /// The collector of spans.
    case tracing
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
