import Crypto
import Glibc
import OAuth
package import Reactor
import Synchronization
import Wire

/// Why a gateway did not start: nothing of it runs then.
package enum StartFailure: Error {
  /// The configuration's files are wrong; each at its place.
  case problems([PlacedProblem])
  /// The system refused something.
  case system(String)
}

/// A gateway that runs: its workers' threads, its log writer's thread, its admin address.
package final class Gateway: Sendable {
  /// Where its listeners listen, in the configuration's order, with the ports chosen by the system.
  package let addresses: [SocketAddress]
  /// Where its admin address is.
  package let adminAddress: SocketAddress?

  private let shared: SharedState
  private let workers: [Worker]
  private let threads: [WorkerThread.Handle]
  private let logThread: WorkerThread.Handle?

  /// Starts a gateway: loads its certificates, binds its addresses, and only when all of that
  /// worked starts its threads.
  ///
  /// - Parameters:
  ///   - report: takes a line for the operator; from any thread.
  package static func start(
    _ configuration: Configuration, report: @escaping @Sendable (String) -> Void
  ) throws(StartFailure) -> Gateway {
    let shared = try prepare(configuration, report: report)
    let count: Int =
      switch configuration.workers {
      case .automatic: Processors.usable()
      case .fixed(let count): count
      }
    do throws(SystemError) {
      return try Gateway(shared, workerCount: count)
    } catch {
      throw .system("\(error)")
    }
  }

  /// Finds out whether a gateway would start as far as its files go.
  ///
  /// - Returns: what deserves a second look.
  package static func check(
    _ configuration: Configuration
  ) throws(StartFailure) -> [PlacedProblem] {
    try prepare(configuration, report: { _ in }).warnings
  }

  /// Loads what the configuration names on disk; `tollgate check` does this much and no more.
  static func prepare(
    _ configuration: Configuration, report: @escaping @Sendable (String) -> Void
  ) throws(StartFailure) -> SharedState {
    let material = TLSMaterial.load(configuration)
    if !material.problems.isEmpty { throw .problems(material.problems) }
    let tokens: SharedTokens
    do throws(CryptoFault) {
      tokens = try SharedTokens(configuration, material: material, report: report)
    } catch {
      throw .system("\(error)")
    }
    var writer: LogWriter?
    if let log = configuration.accessLog {
      switch log.output {
      case .standardOutput: writer = LogWriter(accessLog: .standardOutput, report: report)
      case .file(let file): writer = LogWriter(accessLog: .file(file.path), report: report)
      }
    }
    return SharedState(
      configuration: configuration, configDigest: digest(of: configuration),
      listenerContexts: material.listeners, upstreamContexts: material.upstreams, tokens: tokens,
      logWriter: writer, warnings: material.warnings, report: report)
  }

  /// What of the configuration's files deserves a second look.
  package var warnings: [PlacedProblem] { shared.warnings }

  private init(_ shared: SharedState, workerCount: Int) throws(SystemError) {
    self.shared = shared
    let configuration = shared.configuration
    let listeners = try configuration.listeners.map { listener throws(SystemError) in
      try Self.bind(listener.address, copies: workerCount)
    }
    let admin = try configuration.admin.map { admin throws(SystemError) in
      try Self.bind(admin.address, copies: 1)
    }
    let probes = try configuration.admin?.probes.map { address throws(SystemError) in
      try Self.bind(address, copies: 1)
    }
    addresses = listeners.map { $0[0].address }
    adminAddress = admin?[0].address
    logThread = try shared.logWriter?.start()

    var workers: [Worker] = []
    var threads: [WorkerThread.Handle] = []
    for index in 0..<workerCount {
      let loop = try EventLoop()
      let worker = Worker(loop: loop, shared: shared, index: index)
      let plan = WorkerPlan(
        shared: shared, index: index, workers: workerCount, listeners: listeners.map { $0[index] },
        admin: index == 0 ? admin?[0] : nil, probes: index == 0 ? probes?[0] : nil)
      loop.spawn { await worker.start(plan) }
      workers.append(worker)
      threads.append(try WorkerThread.start("tg-worker-\(index)") { loop.run() })
    }
    self.workers = workers
    self.threads = threads
  }

  /// Binds an address as often as there are workers; the first time without sharing, so that an
  /// address in use is noticed.
  private static func bind(
    _ address: ListenAddress, copies: Int
  ) throws(SystemError) -> [ListeningSocket.Bound] {
    var last: SystemError?
    for wanted in try addresses(of: address) {
      do throws(SystemError) {
        // A port that the system chooses is nobody else's.
        let first: ListeningSocket.Bound
        if wanted.port == 0 {
          first = try ListeningSocket.bind(at: wanted)
        } else {
          first = try ListeningSocket.bind(at: try ListeningSocket.probe(wanted))
        }
        return [first]
          + (try (1..<max(1, copies)).map { _ throws(SystemError) in
            try ListeningSocket.bind(at: first.address)
          })
      } catch {
        last = error
      }
    }
    throw last ?? SystemError.timedOut("resolve \(address)")
  }

  private static func addresses(
    of address: ListenAddress
  ) throws(SystemError) -> [SocketAddress] {
    if let literal = SocketAddress(literal: address.host.text, port: address.port) {
      return [literal]
    }
    do throws(Resolver.Failure) {
      return try Resolver.resolve(address.host.text, port: address.port)
    } catch {
      throw SystemError(call: "resolve \(address.host.text): \(error.text)", code: EADDRNOTAVAIL)
    }
  }

  // The end.

  /// Opens the access log anew.
  package func reopenLogs() { shared.logWriter?.reopen() }

  /// Makes readiness fail, so that no new callers are sent here.
  package func failReadiness() { shared.beginDraining() }

  /// Stops accepting, ends idle connections and lets requests finish.
  package func drain() {
    shared.beginDraining()
    for worker in workers {
      worker.loop.spawn {
        await worker.drain { [self] in noteDrained(worker) }
      }
    }
  }

  private let drainedWorkers = Mutex<Set<ObjectIdentifier>>([])

  private func noteDrained(_ worker: Worker) {
    drainedWorkers.withLock { _ = $0.insert(ObjectIdentifier(worker)) }
  }

  /// Whether no connection is left.
  package var isDrained: Bool {
    drainedWorkers.withLock { $0.count == workers.count } && shared.connectionCount == 0
  }

  /// Ends all threads; requests that are under way are cut.
  package func stop() {
    let finished = Semaphore()
    for worker in workers {
      worker.loop.spawn {
        await worker.finish()
        finished.signal()
      }
    }
    for _ in workers { finished.wait(milliseconds: 1_000) }
    for worker in workers { worker.loop.stop() }
    for thread in threads { thread.join() }
    if let writer = shared.logWriter, writer.end(withinMs: Limits.logEndMs) { logThread?.join() }
  }

  private static func digest(of configuration: Configuration) -> String {
    guard let digester = try? Digester() else { return "" }
    return String(digester.digest(configuration.digestInput).description.prefix(16))
  }
}
