import Crypto
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
  let process: ProcessState
  let workers: [Worker]
  private let threads: [WorkerThread.Handle]
  let running: Mutex<Running>
  private let drainedWorkers = Mutex<Set<ObjectIdentifier>>([])

  /// What a reload replaces.
  struct Running {
    var shared: SharedState
    var doors: [Door: OpenDoor]
  }

  /// Starts a gateway: loads its certificates, binds its addresses, and only when all of that
  /// worked starts its threads.
  ///
  /// - Parameters:
  ///   - inheritance: what a process that runs hands over; the doors stay closed then until `open`.
  ///   - report: takes a line for the operator; from any thread.
  package static func start(
    _ configuration: Configuration, inheriting inheritance: Inheritance? = nil,
    report: @escaping Report
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
    let prepared = try Prepared(configuration, ProcessState(report: { _ in }))
    return prepared.material.warnings + missingFolders(configuration)
  }

  /// Folders that `start` would miss, where a machine on which a file is checked may lack them.
  private static func missingFolders(_ configuration: Configuration) -> [PlacedProblem] {
    guard case .file(let file) = configuration.accessLog?.output,
      let slash = file.path.lastIndex(of: "/"), slash != file.path.startIndex
    else { return [] }
    let folder = String(file.path[..<slash])
    if Files.isFolder(folder) { return [] }
    return [
      PlacedProblem(
        place: file.place,
        text: "there is no folder \(folder), and without it the log can't be opened")
    ]
  }

  private init(
    _ prepared: Prepared, _ process: ProcessState, workerCount: Int, _ inheritance: Inheritance?
  ) throws(SystemError) {
    self.process = process
    let log = try prepared.log(after: nil)
    let doors = try Doors(
      prepared.configuration, workers: workerCount, keeping: [:],
      adopting: inheritance?.sockets)
    let shared = prepared.shared(process, log: log, after: nil)
    running = Mutex(Running(shared: shared, doors: doors.all))
    for line in doors.oddities { process.report(.warning(line)) }

    var workers: [Worker] = []
    for index in 0..<workerCount {
      workers.append(Worker(loop: try EventLoop(), process: process, index: index))
    }
    var threads: [WorkerThread.Handle] = []
    do throws(SystemError) {
      for (index, worker) in workers.enumerated() {
        let plan = WorkerPlan(
          shared: shared, workers: workerCount, opened: doors.opened(at: index), closed: [])
        let loop = worker.loop
        loop.spawn { await worker.adopt(plan) }
        threads.append(try WorkerThread.start("tg-worker-\(index)") { loop.run() })
      }
    } catch {
      // The process's end takes away what OpenSSL has, and must find nobody who uses it.
      for worker in workers { worker.loop.stop() }
      for thread in threads { thread.join() }
      throw error
    }
    self.workers = workers
    self.threads = threads
    process.config.noteStart()
  }

  // What runs.

  /// Where its listeners listen that have a port, in the configuration's order, with the ports
  /// chosen by the system.
  package var addresses: [SocketAddress] { listening.compactMap(\.networkAddress) }

  private var listening: [OpenDoor] {
    running.withLock { running in
      running.shared.configuration.listenerDoors.compactMap { running.doors[.listener($0)] }
    }
  }

  /// Where it listens, a sentence each for people: for callers, in the configuration's order, then
  /// for operators.
  package var places: [String] {
    running.withLock { running in
      let configuration = running.shared.configuration
      var places: [String] = []
      for (listener, door) in zip(configuration.listeners, configuration.listenerDoors) {
        guard let open = running.doors[.listener(door)] else { continue }
        places.append("listening at \(listener.place(open))")
      }
      for (door, open) in running.doors {
        guard case .admin = door, let address = open.networkAddress else { continue }
        places.append("admin at http://\(address)/status (also /readyz, /metrics, /config)")
      }
      for (door, open) in running.doors {
        guard case .probes = door, let address = open.networkAddress else { continue }
        places.append("probes at http://\(address)/readyz (also /livez, /metrics)")
      }
      return places
    }
  }

  /// Where its admin address is.
  package var adminAddress: SocketAddress? {
    running.withLock { running in
      running.doors.first { if case .admin = $0.key { true } else { false } }?
        .value.networkAddress
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
      doors = try Doors(configuration, workers: workers.count, keeping: former.doors)
      shared = prepared.shared(process, log: log, after: former.shared)
    } catch {
      throw .system("\(error)")
    }
    running.withLock { $0 = Running(shared: shared, doors: doors.all) }
    // Ours first: a socket listens until its last descriptor is closed, which is a worker's.
    for door in doors.closed { former.doors[door]?.close() }
    let adopted = Semaphore()
    for (index, worker) in workers.enumerated() {
      let plan = WorkerPlan(
        shared: shared, workers: workers.count,
        opened: doors.opened(at: index), closed: doors.closed)
      worker.loop.spawn {
        await worker.adopt(plan)
        adopted.signal()
      }
    }
    for _ in workers { adopted.wait(milliseconds: Limits.adoptMs) }
    shared.forgetFormer()
    process.config.noteReload()
    return ConfigChanges(from: former.shared.configuration, to: configuration)
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
    closeDoors()
    for worker in workers {
      worker.loop.spawn {
        await worker.drain { [self] in noteDrained(worker) }
      }
    }
  }

  /// Closes the listeners as far as they are not a worker's, which takes first what waits there.
  /// Who looks after the process is answered to the end.
  private func closeDoors() {
    let doors = running.withLock { $0.doors }
    for (door, open) in doors { if case .listener = door { open.close() } }
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
    closeDoors()
    let finished = Semaphore()
    for worker in workers {
      worker.loop.spawn {
        await worker.finish()
        finished.signal()
      }
    }
    for _ in workers { finished.wait(milliseconds: 1_000) }
    let shared = running.withLock { $0.shared }
    for line in shared.tokens.summary() { process.report(.info(line)) }
    for worker in workers { worker.loop.stop() }
    for thread in threads { thread.join() }
    shared.log?.end(withinMs: Limits.logEndMs)
  }
}

extension ListenerSettings {
  /// Where it is and what it speaks there, for people: `https://0.0.0.0:8443 (public)`.
  fileprivate func place(_ open: OpenDoor) -> String {
    let scheme = tls == nil ? "http" : "https"
    let proxied = takesProxyHeader ? ", behind a PROXY header" : ""
    let named = name == address.description ? "" : " (\(ShownText.plain(name)))"
    return switch address {
    case .network: "\(scheme)://\(open)\(proxied)\(named)"
    case .unix, .systemd: "\(open), \(scheme)\(proxied)\(named)"
    }
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
