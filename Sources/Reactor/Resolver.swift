import CLinux
import Glibc
import Synchronization

/// Turns names into addresses on threads of its own: `getaddrinfo` blocks, and a worker never may.
///
/// Callers share what is under way and what is fresh. A name whose servers don't answer holds one
/// thread up for as long as resolv.conf says (10 s by default), so there are a few. When a name no
/// longer resolves, whatever the reason, the last good addresses go on being used.
package final class Resolver: Sendable {
  /// Why a name has no address, in the resolver's words.
  package struct Failure: Error, Equatable, Sendable {
    package let text: String
  }

  private struct Entry {
    var addresses: [SocketAddress] = []
    var failure: Failure?
    var resolvedAtMs = Int64.min
    var isUnderWay = false
    var waiters: [RemoteWaiter] = []
  }

  private struct Name: Hashable {
    let host: String
    let port: UInt16
  }

  private struct State {
    var entries: [Name: Entry] = [:]
    var queue: [Name] = []
    var threads = 0
    /// Threads that wait for a name.
    var idleThreads = 0
  }

  /// Names asked at once; more wait.
  private static let threadsMax = 4

  /// Failures are asked again after this long, so that a name that comes back is soon seen.
  private static let failureLifeMs: Int64 = 1_000

  private let state = Mutex(State())
  private let work = Semaphore()

  package init() {}

  /// The addresses of `host`, waiting for the resolver's thread where they are not fresh.
  ///
  /// - Parameters:
  ///   - lifeMs: how long an answer is used before the name is asked again; old addresses go on
  ///     being handed out meanwhile.
  ///   - deadlineMs: on the waiter's loop's clock.
  /// - Throws: why there is none.
  package func addresses(
    of host: String, port: UInt16, lifeMs: Int64, waiter: Waiter, untilMs deadlineMs: Int64
  ) async throws(Failure) -> [SocketAddress] {
    if let literal = SocketAddress(literal: host, port: port) { return [literal] }
    let name = Name(host: host, port: port)
    while true {
      let nowMs = Clock.monotonicNs() / 1_000_000
      let remote = waiter.remote
      let (entry, mustAsk) = state.withLock { state in
        Self.look(for: name, in: &state, nowMs: nowMs, lifeMs: lifeMs, waiter: remote)
      }
      if mustAsk { wakeThread() }
      if !entry.addresses.isEmpty { return entry.addresses }
      if let failure = entry.failure, !entry.isUnderWay { throw failure }
      let isSignalled = await waiter.wait(untilMs: deadlineMs)
      if !isSignalled { throw Failure(text: "the name did not resolve in time") }
    }
  }

  /// What is known of a name without waiting for anybody; it is asked anew where that is due.
  ///
  /// - Parameter waiter: woken when the name has been asked anew.
  /// - Returns: empty where nothing is known yet.
  package func known(
    _ host: String, port: UInt16, lifeMs: Int64, tell waiter: RemoteWaiter
  ) -> [SocketAddress] {
    let nowMs = Clock.monotonicNs() / 1_000_000
    let (entry, mustAsk) = state.withLock { state in
      Self.look(
        for: Name(host: host, port: port), in: &state, nowMs: nowMs, lifeMs: lifeMs,
        waiter: waiter, isNewsWanted: true)
    }
    if mustAsk { wakeThread() }
    return entry.addresses
  }

  /// Asks at once and waits for the answer: for the start, where nothing else runs.
  package static func resolve(
    _ host: String, port: UInt16
  ) throws(Failure) -> [SocketAddress] {
    try ask(Name(host: host, port: port)).get()
  }

  private static func look(
    for name: Name, in state: inout State, nowMs: Int64, lifeMs: Int64, waiter: RemoteWaiter,
    isNewsWanted: Bool = false
  ) -> (Entry, mustAsk: Bool) {
    var entry = state.entries[name] ?? Entry()
    let lifeMs = entry.failure == nil ? lifeMs : failureLifeMs
    let isFresh = entry.resolvedAtMs != .min && nowMs - entry.resolvedAtMs < lifeMs
    let mustAsk = !isFresh && !entry.isUnderWay
    if mustAsk {
      entry.isUnderWay = true
      state.queue.append(name)
    }
    // Who was woken for another reason waits here already.
    if entry.isUnderWay, isNewsWanted || entry.addresses.isEmpty, !entry.waiters.contains(waiter) {
      entry.waiters.append(waiter)
    }
    state.entries[name] = entry
    return (entry, mustAsk)
  }

  /// Wakes a thread, and starts one where all are at work.
  private func wakeThread() {
    let mustStart = state.withLock { state in
      guard state.queue.count > state.idleThreads, state.threads < Self.threadsMax else {
        return false
      }
      state.threads += 1
      return true
    }
    if mustStart {
      do throws(SystemError) {
        _ = try WorkerThread.start("tg-resolver") { [self] in run() }
      } catch {
        let isAlone = state.withLock { state in
          state.threads -= 1
          return state.threads == 0
        }
        // Who waits is told; the next one to ask tries to start it again.
        if isAlone { answer(.failure(Failure(text: "\(error)"))) }
        return
      }
    }
    work.signal()
  }

  /// Answers all that was asked, where nobody can ask.
  private func answer(_ answer: Result<[SocketAddress], Failure>) {
    while let name = state.withLock({ $0.queue.popLast() }) { take(answer, for: name) }
  }

  private func run() {
    while true {
      let name = state.withLock { state -> Name? in
        if !state.queue.isEmpty { return state.queue.removeFirst() }
        state.idleThreads += 1
        return nil
      }
      guard let name else {
        work.wait(milliseconds: 60_000)
        state.withLock { $0.idleThreads -= 1 }
        continue
      }
      take(Self.ask(name), for: name)
    }
  }

  private func take(_ answer: Result<[SocketAddress], Failure>, for name: Name) {
    let nowMs = Clock.monotonicNs() / 1_000_000
    let waiters = state.withLock { state in
      var entry = state.entries[name] ?? Entry()
      defer { state.entries[name] = entry }
      switch answer {
      case .success(let addresses):
        entry.addresses = addresses
        entry.failure = nil
      case .failure(let failure): entry.failure = failure
      }
      entry.resolvedAtMs = nowMs
      entry.isUnderWay = false
      defer { entry.waiters = [] }
      return entry.waiters
    }
    for waiter in waiters { waiter.signal() }
  }

  private static func ask(_ name: Name) -> Result<[SocketAddress], Failure> {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = AF_UNSPEC
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = unsafe getaddrinfo(name.host, nil, &hints, &list)
    guard code == 0 else {
      return .failure(Failure(text: unsafe String(cString: gai_strerror(code))))
    }
    defer { unsafe freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var next = unsafe list
    while let item = unsafe next {
      var storage = sockaddr_storage()
      unsafe withUnsafeMutableBytes(of: &storage) { bytes in
        let count = unsafe min(bytes.count, Int(item.pointee.ai_addrlen))
        if let from = unsafe item.pointee.ai_addr {
          unsafe bytes.copyMemory(from: UnsafeRawBufferPointer(start: from, count: count))
        }
      }
      if var address = SocketAddress(kernelForm: storage) {
        address.port = name.port
        if !addresses.contains(address) { addresses.append(address) }
      }
      unsafe next = item.pointee.ai_next
    }
    return addresses.isEmpty ? .failure(Failure(text: "no address")) : .success(addresses)
  }
}
