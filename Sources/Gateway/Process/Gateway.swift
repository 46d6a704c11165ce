import Crypto
import Glibc
import OAuth
package import Reactor
import Synchronization
import Wire

/// Why a gateway did not start, or a reload was refused: nothing of it runs then.
package enum StartFailure: Error {
  /// The configuration's files are wrong; each at its place.
  case problems([PlacedProblem])
  /// The system refused something.
  case system(String)
}

/// A gateway that runs: its workers' threads, its log writer's thread, its admin address.
package final class Gateway: Sendable {
  private let process: ProcessState
  private let workers: [Worker]
  private let threads: [WorkerThread.Handle]
  private let running: Mutex<Running>
  private let drainedWorkers = Mutex<Set<ObjectIdentifier>>([])

  /// What a reload replaces.
  private struct Running {
    var shared: SharedState
    /// The sockets of each door; the workers own them while it is open.
    var sockets: [Door: [ListeningSocket.Bound]]
  }

  /// Starts a gateway: loads its certificates, binds its addresses, and only when all of that
  /// worked starts its threads.
  ///
  /// - Parameters:
  ///   - inheritance: what a process that runs hands over; the doors stay closed then until `open`.
  ///   - report: takes a line for the operator; from any thread.
  package static func start(
    _ configuration: Configuration, inheriting inheritance: Inheritance? = nil,
    report: @escaping @Sendable (String) -> Void
  ) throws(StartFailure) -> Gateway {
    let process = ProcessState(tickets: inheritance?.tickets, report: report)
    let prepared = try Prepared(configuration, process)
    let count: Int =
      switch configuration.workers {
      case .automatic: Processors.usable()
      case .fixed(let count): count
      }
    do throws(SystemError) {
      return try Gateway(prepared, process, workerCount: count, inheritance)
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
    try Prepared(configuration, ProcessState(report: { _ in })).material.warnings
  }

  private init(
    _ prepared: Prepared, _ process: ProcessState, workerCount: Int, _ inheritance: Inheritance?
  ) throws(SystemError) {
    self.process = process
    let doors = try Doors(
      prepared.configuration, copies: workerCount, keeping: [:],
      adopting: inheritance?.sockets ?? [:])
    let shared = prepared.shared(process, log: try prepared.log(after: nil), after: nil)
    running = Mutex(Running(shared: shared, sockets: doors.sockets))

    var workers: [Worker] = []
    var threads: [WorkerThread.Handle] = []
    for index in 0..<workerCount {
      let loop = try EventLoop()
      let worker = Worker(loop: loop, process: process, index: index)
      let plan = WorkerPlan(
        shared: shared, workers: workerCount,
        opened: inheritance == nil ? doors.opened(at: index, of: workerCount) : [:], closed: [])
      loop.spawn { await worker.adopt(plan) }
      workers.append(worker)
      threads.append(try WorkerThread.start("tg-worker-\(index)") { loop.run() })
    }
    self.workers = workers
    self.threads = threads
    process.config.noteSuccess()
  }

  // What runs.

  /// Where its listeners listen, in the configuration's order, with the ports chosen by the system.
  package var addresses: [SocketAddress] {
    running.withLock { running in
      running.shared.configuration.listenerDoors.compactMap {
        running.sockets[.listener($0)]?.first?.address
      }
    }
  }

  /// Where its admin address is.
  package var adminAddress: SocketAddress? {
    running.withLock { running in
      running.sockets.first { if case .admin = $0.key { true } else { false } }?.value.first?.address
    }
  }

  /// What of the configuration's files deserves a second look.
  package var warnings: [PlacedProblem] { running.withLock { $0.shared.warnings } }

  /// The certificates, keys, authorities and key sets that the configuration names.
  package var paths: Set<String> { running.withLock { $0.shared.paths } }

  /// A digest of the configuration that runs, without its secrets.
  package var configDigest: String { running.withLock { $0.shared.configDigest } }

  /// Whether /readyz says so.
  package var isReady: Bool {
    running.withLock { $0.shared.tokens.readiness().allSatisfy(\.isReady) && !process.isDraining }
  }

  // Another configuration.

  /// The reloads that the admin address was asked for since the last call; each is to be answered.
  package func takeReloadRequests() -> [ReloadRequest] { process.reloads.take() }

  /// A configuration that was to be taken up was not.
  package func noteRefusedReload() { process.config.noteRefusal() }

  /// Goes on by another configuration, once all of it has been loaded and every new address bound;
  /// else nothing changes. To be called by one thread at a time.
  ///
  /// Connections stay, requests under way end by the configuration that they began with, and what
  /// is kept of keys, tokens and connections to servers stays as far as it still applies. The
  /// number of workers is what it was.
  ///
  /// - Returns: what it says differently.
  package func reload(_ configuration: Configuration) throws(StartFailure) -> ConfigChanges {
    let former = running.withLock { $0 }
    let prepared = try Prepared(configuration, process, after: former.shared)
    let doors: Doors
    let shared: SharedState
    do throws(SystemError) {
      let log = try prepared.log(after: former.shared.log)
      doors = try Doors(configuration, copies: workers.count, keeping: former.sockets)
      shared = prepared.shared(process, log: log, after: former.shared)
    } catch {
      throw .system("\(error)")
    }
    running.withLock { $0 = Running(shared: shared, sockets: doors.sockets) }
    let adopted = Semaphore()
    for (index, worker) in workers.enumerated() {
      let plan = WorkerPlan(
        shared: shared, workers: workers.count,
        opened: doors.opened(at: index, of: workers.count), closed: doors.closed)
      worker.loop.spawn {
        await worker.adopt(plan)
        adopted.signal()
      }
    }
    for _ in workers { adopted.wait(milliseconds: Limits.adoptMs) }
    shared.forgetFormer()
    process.config.noteSuccess()
    return ConfigChanges(from: former.shared.configuration, to: configuration)
  }

  // Another process.

  /// What a process that takes over is to be told of the doors and keys of this one.
  package var legacy: Legacy {
    running.withLock { Legacy(sockets: $0.sockets, tickets: process.tickets) }
  }

  /// Opens the doors of a gateway that was started to take over.
  ///
  /// Where the process before it had fewer workers, the sockets that are missing are bound now and
  /// not before: what a socket that nobody accepts from is given waits.
  package func open() {
    let sockets = running.withLock { running in
      for (door, sockets) in running.sockets {
        guard case .listener = door, let first = sockets.first else { continue }
        for _ in sockets.count..<max(sockets.count, workers.count) {
          do throws(SystemError) {
            running.sockets[door]?.append(try ListeningSocket.bind(at: first.address))
          } catch {
            process.report("a worker does not listen: \(error)")
          }
        }
      }
      return running.sockets
    }
    let opened = Semaphore()
    for (index, worker) in workers.enumerated() {
      let doors = sockets.mapValues { Doors.share($0, of: index, among: workers.count) }
      worker.loop.spawn {
        await worker.open(doors)
        opened.signal()
      }
    }
    for _ in workers { opened.wait(milliseconds: Limits.adoptMs) }
  }

  /// Stops accepting, because another process does at the same sockets. Connections are served on;
  /// each is ended after its next answer.
  package func leave() {
    let left = Semaphore()
    for worker in workers {
      worker.loop.spawn {
        await worker.leave()
        left.signal()
      }
    }
    for _ in workers { left.wait(milliseconds: Limits.adoptMs) }
  }

  /// Callers' connections that are open.
  package var connectionCount: Int { process.connectionCount }

  // The end.

  /// Opens the access log anew.
  package func reopenLogs() { running.withLock { $0.shared.log?.writer.reopen() } }

  /// Makes readiness fail, so that no new callers are sent here.
  package func failReadiness() { process.beginDraining() }

  /// Stops accepting, ends idle connections and lets requests finish.
  package func drain() {
    process.beginDraining()
    for worker in workers {
      worker.loop.spawn {
        await worker.drain { [self] in noteDrained(worker) }
      }
    }
  }

  private func noteDrained(_ worker: Worker) {
    drainedWorkers.withLock { _ = $0.insert(ObjectIdentifier(worker)) }
  }

  /// Whether no connection is left.
  package var isDrained: Bool {
    drainedWorkers.withLock { $0.count == workers.count } && process.connectionCount == 0
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
    let shared = running.withLock { $0.shared }
    for line in shared.tokens.summary() { process.report(line) }
    for worker in workers { worker.loop.stop() }
    for thread in threads { thread.join() }
    shared.log?.end(withinMs: Limits.logEndMs)
  }
}

/// A configuration with all that it names on disk loaded; `tollgate check` does this much and no
/// more.
struct Prepared {
  let configuration: Configuration
  let material: TLSMaterial
  private let tokens: SharedTokens

  init(
    _ configuration: Configuration, _ process: ProcessState, after former: SharedState? = nil
  ) throws(StartFailure) {
    self.configuration = configuration
    material = TLSMaterial.load(configuration, tickets: process.tickets)
    if !material.problems.isEmpty { throw .problems(material.problems) }
    do throws(CryptoFault) {
      tokens = try SharedTokens(
        configuration, material: material, after: former?.tokens, report: process.report)
    } catch {
      throw .system("\(error)")
    }
  }

  /// The access log, the one that is open where it goes to the same place.
  func log(after former: LogLease?) throws(SystemError) -> LogLease? {
    guard let settings = configuration.accessLog else { return nil }
    let output: LogWriter.Target =
      switch settings.output {
      case .standardOutput: .standardOutput
      case .file(let file): .file(file.path)
      }
    if let former, former.output == output, former.format == settings.format { return former }
    return try LogLease(output, format: settings.format, report: tokens.report)
  }

  func shared(
    _ process: ProcessState, log: LogLease?, after former: SharedState?
  ) -> SharedState {
    SharedState(
      process, configuration: configuration, configDigest: digest, material: material,
      tokens: tokens, log: log, after: former)
  }

  private var digest: String {
    guard let digester = try? Digester() else { return "" }
    return String(digester.digest(configuration.digestInput).description.prefix(16))
  }
}

/// A configuration's doors: those that are open already, those that were bound or taken over for
/// it, and those that it no longer has.
struct Doors {
  private(set) var sockets: [Door: [ListeningSocket.Bound]] = [:]
  private(set) var closed: [Door] = []
  /// Those that are not open yet.
  private var new: Set<Door> = []
  /// Those that were bound here.
  private var bound: [ListeningSocket.Bound] = []

  /// Binds what is not open yet.
  ///
  /// - Parameters:
  ///   - copies: sockets of a listener, one for each worker.
  ///   - open: what is open.
  ///   - inherited: what another process has open; what the configuration has no use for is closed.
  init(
    _ configuration: Configuration, copies: Int, keeping open: [Door: [ListeningSocket.Bound]],
    adopting inherited: [Door: [ListeningSocket.Bound]] = [:]
  ) throws(SystemError) {
    do throws(SystemError) {
      try bindAll(configuration, copies: copies, open, inherited)
    } catch {
      discard()
      throw error
    }
    closed = open.keys.filter { sockets[$0] == nil }
    for (door, sockets) in inherited where self.sockets[door] == nil {
      for socket in sockets { socket.discard() }
    }
  }

  /// Closes what was bound and is not wanted after all.
  func discard() {
    for socket in bound { socket.discard() }
  }

  private mutating func bindAll(
    _ configuration: Configuration, copies: Int, _ open: [Door: [ListeningSocket.Bound]],
    _ inherited: [Door: [ListeningSocket.Bound]]
  ) throws(SystemError) {
    let names = configuration.listenerDoors
    for (index, listener) in configuration.listeners.enumerated() {
      try add(.listener(names[index]), listener.address, copies: copies, open, inherited)
    }
    if let admin = configuration.admin {
      try add(.admin("\(admin.address)"), admin.address, copies: 1, open, inherited)
      if let probes = admin.probes {
        try add(.probes("\(probes)"), probes, copies: 1, open, inherited)
      }
    }
  }

  /// A worker's sockets of the new doors; the admin address is the first worker's.
  func opened(at worker: Int, of workers: Int) -> [Door: [ListeningSocket.Bound]] {
    sockets.filter { new.contains($0.key) }.mapValues {
      Self.share($0, of: worker, among: workers)
    }
  }

  /// Every socket is somebody's: what is given to one that nobody accepts from waits for ever.
  static func share(
    _ sockets: [ListeningSocket.Bound], of worker: Int, among workers: Int
  ) -> [ListeningSocket.Bound] {
    sockets.indices.filter { $0 % workers == worker }.map { sockets[$0] }
  }

  private mutating func add(
    _ door: Door, _ address: ListenAddress, copies: Int, _ open: [Door: [ListeningSocket.Bound]],
    _ inherited: [Door: [ListeningSocket.Bound]]
  ) throws(SystemError) {
    if let sockets = open[door] {
      self.sockets[door] = sockets
      return
    }
    new.insert(door)
    if let sockets = inherited[door] {
      self.sockets[door] = sockets
      return
    }
    let made = try Self.bind(address, copies: copies)
    bound += made
    sockets[door] = made
  }

  /// Binds an address as often as there are workers; the first time without sharing, so that an
  /// address in use is noticed.
  private static func bind(
    _ address: ListenAddress, copies: Int
  ) throws(SystemError) -> [ListeningSocket.Bound] {
    var last: SystemError?
    for wanted in try resolved(address) {
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

  private static func resolved(
    _ address: ListenAddress
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
}
