import Crypto
import HTTP
import JOSE
import OAuth
import Reactor
import Wire

/// The thread on which a live check is made: a task for each of those who are asked.
actor LiveChecker {
  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  private let shared: SharedState
  private let process: ProcessState
  private let findings: LiveCheck.Findings
  private var means: Means?
  /// By issuer: whether it has been asked, and who waits for that.
  private var hasAsked: [Bool]
  private var waiters: [Waiter] = []

  /// What calls are made with.
  private struct Means {
    let buffers = BufferPool()
    let clients: HTTPClients
    let keeper: KeyKeeper

    init(
      _ tokens: SharedTokens, _ process: ProcessState, loop: EventLoop
    ) throws(CryptoFault) {
      clients = HTTPClients(resolver: process.resolver, buffers: buffers, loop: loop)
      keeper = KeyKeeper(
        tokens, clients: clients, files: process.files, digester: try Digester(), loop: loop)
    }
  }

  /// For how long a server is watched after a TLS handshake: one that wants a certificate says so
  /// only then (RFC 8446 §4.4.2.4).
  private static let watchMs: Int64 = 200

  init(
    loop: EventLoop, process: ProcessState, _ shared: SharedState, _ findings: LiveCheck.Findings
  ) {
    self.loop = loop
    self.process = process
    self.shared = shared
    self.findings = findings
    hasAsked = shared.tokens.issuers.map { _ in false }
  }

  /// Begins to ask everybody.
  func begin() {
    do throws(CryptoFault) {
      means = try Means(shared.tokens, process, loop: loop)
    } catch {
      // Nobody can be asked, which each finding says: this is a machine without memory.
    }
    for index in shared.tokens.issuers.indices {
      loop.spawn { await self.checkIssuer(index) }
    }
    for index in shared.tokens.exchanges.indices {
      loop.spawn { await self.checkTokenService(index) }
    }
    var number = 0
    for (index, upstream) in shared.upstreams.enumerated() {
      for server in upstream.servers.indices {
        let place = number
        number += 1
        loop.spawn { await self.checkServer(server, of: index, place) }
      }
    }
  }

  private typealias Verdict = (isWell: Bool, text: String)

  private static let nothing: Verdict = (false, "can't be asked: OpenSSL gives no digests")

  // Issuers.

  private func checkIssuer(_ index: Int) async {
    let verdict = await askIssuer(index)
    hasAsked[index] = true
    for waiter in waiters { waiter.signal() }
    let key = shared.tokens.issuers[index].rules.settings.place.key
    findings.note(LiveFinding(isWell: verdict.isWell, key, verdict.text), kind: 0, index: index)
  }

  private func askIssuer(_ index: Int) async -> Verdict {
    guard let means else { return Self.nothing }
    let keys = shared.tokens.issuers[index]
    let settings = keys.rules.settings
    let waiter = Waiter(on: loop)
    var faults: [String] = []
    if means.keeper.hasOwnMetadata(index) {
      do throws(KeyKeeper.Fault) {
        keys.setDiscovery(try await means.keeper.discover(index, waiter))
      } catch {
        faults.append("discovery: \(error.text)")
      }
    }
    do throws(KeyKeeper.Fault) {
      let set = try await means.keeper.fetch(index, waiter).keys
      let fitting = set.keys.filter { !settings.algorithms.isDisjoint(with: $0.key.algorithms) }
      let source = source(of: settings, keys.discovery)
      if fitting.isEmpty {
        let names = settings.algorithms.map(\.name).sorted().joined(separator: ", ")
        faults.append("\(source): none of its keys is for one of \"algorithms\" (\(names))")
      } else if faults.isEmpty {
        let passed = set.skipped.isEmpty ? "" : ", \(set.skipped.count) passed over"
        let count = fitting.count == 1 ? "1 key" : "\(fitting.count) keys"
        return (true, "\(count) from \(source)\(passed)")
      }
    } catch {
      faults.append(error.text)
    }
    return (false, faults.joined(separator: "; "))
  }

  private func source(of settings: IssuerSettings, _ document: DiscoveryDocument?) -> String {
    switch settings.keys {
    case .file(let file): file.path
    case .url(let url): "\(url)"
    case .discovery: document?.keySet.map { "\($0)" } ?? ""
    }
  }

  // Token services.

  private func checkTokenService(_ index: Int) async {
    let exchange = shared.tokens.exchanges[index]
    let verdict = await askTokenService(exchange)
    findings.note(
      LiveFinding(isWell: verdict.isWell, exchange.settings.place.key, verdict.text), kind: 1,
      index: index)
  }

  private func askTokenService(_ exchange: SharedExchange) async -> Verdict {
    guard let means else { return Self.nothing }
    let waiter = Waiter(on: loop)
    if case .issuer(let issuer, let name) = exchange.settings.tokenService {
      waiters.append(waiter)
      while !hasAsked[issuer] { _ = await waiter.wait() }
      guard let document = shared.tokens.issuers[issuer].discovery else {
        return (false, "issuer \"\(name)\", which knows its token endpoint, can't be asked")
      }
      guard document.tokenEndpoint != nil || exchange.endpoint != nil else {
        return (false, "the discovery document of issuer \"\(name)\" names no token_endpoint")
      }
    }
    guard let endpoint = exchange.endpoint else { return (false, "has no token endpoint") }
    let call = Call(
      .post, target: endpoint.target, authority: endpoint.origin.authority,
      fields: Array(
        "Accept: application/json\r\nContent-Type: \(TokenExchange.contentType)\r\n".utf8),
      content: Array(TokenServiceProbe.form.utf8), answerBytesMax: TokenAnswer.bytesMax)
    let pool = means.clients.pool(
      for: endpoint.origin, tls: exchange.context, .exchange(serial: exchange.serial))
    do throws(CallFault) {
      let answer = try await pool.call(
        call, waiter: waiter, untilMs: loop.nowMs + exchange.settings.timeoutMs)
      let verdict = TokenServiceProbe.judge(
        TokenAnswer(
          status: answer.status,
          contentType: answer.contentType.isEmpty ? nil : answer.contentType,
          retryAfter: answer.retryAfter, body: answer.content))
      return (verdict.isWell, "\(endpoint) \(verdict.text)")
    } catch {
      return (false, "\(endpoint) \(error.text)")
    }
  }

  // Servers.

  private func checkServer(_ index: Int, of upstream: Int, _ place: Int) async {
    let settings = shared.upstreams[upstream].settings
    let verdict = await askServer(shared.upstreams[upstream].servers[index], settings)
    findings.note(
      LiveFinding(isWell: verdict.isWell, settings.servers[index].place.key, verdict.text),
      kind: 2, index: place)
  }

  private func askServer(_ server: SharedServer, _ settings: UpstreamSettings) async -> Verdict {
    guard let means else { return Self.nothing }
    let check = settings.healthCheck
    let connectMs = server.connections.connectTimeoutMs
    let pool = UpstreamPool(
      server.origin,
      settings: UpstreamPool.Settings(
        connectTimeoutMs: check.map { min($0.timeoutMs, connectMs) } ?? connectMs,
        idleTimeoutMs: 1, idleMax: 0, resolveEveryMs: server.connections.resolveEveryMs,
        headBytesMax: Limits.answerHeadBytesMax),
      tls: server.context, resolver: process.resolver, buffers: means.buffers,
      count: ConnectionCount(max: 1), loop: loop)
    defer { pool.close() }
    let waiter = Waiter(on: loop)
    guard let check else {
      do throws(ConnectFault) {
        return await watch(
          try await pool.connect(for: waiter, untilMs: loop.nowMs + connectMs), of: pool, waiter,
          server.target)
      } catch {
        return (false, "\(server.target) \(error.text)")
      }
    }
    let call = Call(
      .get, target: check.path, authority: server.target.authority,
      fields: Array("Accept: */*\r\nConnection: close\r\n".utf8), answerBytesMax: 0)
    do throws(CallFault) {
      let status = try await pool.status(
        of: call, waiter: waiter, untilMs: loop.nowMs + check.timeoutMs)
      return (
        (200...399).contains(status), "\(server.target) answers GET \(check.path) with \(status)"
      )
    } catch {
      return (false, "\(server.target), GET \(check.path): \(error.text)")
    }
  }

  private func watch(
    _ connection: UpstreamConnection, of pool: UpstreamPool, _ waiter: Waiter,
    _ target: ServerTarget
  ) async -> Verdict {
    defer { pool.drop(connection) }
    guard target.isSecure else { return (true, "\(target) takes connections") }
    let untilMs = loop.nowMs + Self.watchMs
    while connection.stream.isQuiet() {
      let isSignalled = await waiter.wait(untilMs: untilMs)
      if !isSignalled {
        return (true, "\(target) takes connections, \(connection.stream.tls?.version ?? "TLS")")
      }
    }
    return (
      false,
      "\(target) ends the connection after the TLS handshake; if it wants a certificate, name one "
        + "in \"tls\""
    )
  }
}
