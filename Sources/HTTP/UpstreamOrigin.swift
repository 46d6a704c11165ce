import Reactor
import Synchronization

/// Where a server is and how to speak to it.
package struct Origin: Hashable, Sendable {
  /// A name or a literal address, without brackets.
  package let host: String
  package let port: UInt16
  package let isEncrypted: Bool
  /// The name that its certificate must have; the host's where nothing else is said.
  package let serverName: String
  /// A socket in the file system in place of host and port.
  package let path: String?

  package init(host: String, port: UInt16, isEncrypted: Bool, serverName: String? = nil) {
    self.host = host
    self.port = port
    self.isEncrypted = isEncrypted
    self.serverName = serverName ?? host
    path = nil
  }

  /// A server on this machine.
  ///
  /// - Parameter path: of its socket, at most 107 bytes.
  package init(path: String) {
    host = "localhost"
    port = 0
    isEncrypted = false
    serverName = "localhost"
    self.path = path
  }

  /// Whether a resolver has to be asked for its addresses.
  var isNamed: Bool { path == nil && SocketAddress(literal: host, port: port) == nil }
}

/// Why no connection to a server came about.
package enum ConnectFault: Error, Sendable {
  /// The name has no address, or no address took the connection; in the resolver's or the
  /// kernel's words.
  case unreachable(String, Cause)
  case timedOut
  /// The TLS handshake failed: an untrusted certificate, above all.
  case handshake(String)
  /// The server's limit of connections, over all workers, is reached, and so is the queue's.
  case exhausted
  /// This machine has no port, descriptor or memory left for it; the server has nothing to do with
  /// it.
  case shortage(String)
  /// Nobody wants it any more.
  case abandoned

  /// What keeps a server from being reached, as far as it helps to tell it apart.
  package enum Cause: Sendable {
    /// The name has no address.
    case unresolved
    /// Nobody listens at the address.
    case refused
    /// No way leads there.
    case noRoute
    /// There is no such socket in the file system.
    case absent
    /// This process may not.
    case forbidden
    case other
  }

  /// Which of these it is, without its particulars.
  package enum Kind: Hashable, Sendable {
    case unreachable(Cause)
    case timedOut, handshake, exhausted, shortage, abandoned
  }

  package var kind: Kind {
    switch self {
    case .unreachable(_, let cause): .unreachable(cause)
    case .timedOut: .timedOut
    case .handshake: .handshake
    case .exhausted: .exhausted
    case .shortage: .shortage
    case .abandoned: .abandoned
    }
  }

  /// For the operator: what can be done about it. nil where nothing fits better than its text.
  package var advice: String? {
    switch self {
    case .unreachable(_, let cause): cause.advice
    case .timedOut:
      "see whether a firewall drops what is sent there, and whether the server hangs (a TLS "
        + "handshake that is not answered counts)"
    case .handshake:
      "its certificate must be of an authority in tls.ca (without it: the system's) and for the "
        + "name that it is called by, and it must speak TLS at that port"
    case .shortage:
      "this machine is short of it, the server is well: raise the limit on open files "
        + "(LimitNOFILE, ulimit -n), or the range of local ports"
    case .exhausted, .abandoned: nil
    }
  }

  /// For the log.
  package var text: String {
    switch self {
    case .unreachable(let text, _): "can't be reached: \(text)"
    case .timedOut: "can't be reached in time"
    case .handshake(let text): "TLS failed: \(text)"
    case .exhausted: "has no connection left"
    case .shortage(let text): "can't be reached for want of \(text)"
    case .abandoned: "is not wanted any more"
    }
  }
}

extension ConnectFault.Cause {
  fileprivate var advice: String? {
    switch self {
    case .unresolved: "see whether the name is spelled right and this machine's resolver knows it"
    case .refused: "see whether the server runs and listens at that address and port"
    case .noRoute: "see whether the address is right and the network between is up"
    case .absent: "see whether the server runs and that is the path of its socket"
    case .forbidden: "see whether the gateway's user may open that socket"
    case .other: nil
    }
  }
}

/// Counts a server's connections over all workers. Who finds none left waits in a queue.
package final class ConnectionCount: Sendable {
  private let places: Places
  private let keepers = Mutex<[RemoteWaiter]>([])

  /// Shorter queues are served in their order until they are full.
  private static let orderedMax = 20

  /// - Parameter queue: how many may wait for a connection; where they are nearly as many, who came
  ///   last is next (`Places`).
  package init(max: Int, queue: Int = 0) {
    let newestFirstAt = queue < Self.orderedMax ? Int.max : queue - queue / 20
    places = Places(max, queueMax: queue, newestFirstAt: newestFirstAt)
  }

  /// Takes one of the connections, waiting for it where there is none: idle connections of other
  /// workers give way then.
  ///
  /// - Parameter isGone: whether nobody needs it any more; asked at each wake.
  func enter(
    _ waiter: Waiter, untilMs deadlineMs: Int64, isGone: () -> Bool = { false }
  ) async -> Places.Entry {
    await places.enter(waiter, untilMs: deadlineMs, isGone: isGone) {
      for keeper in keepers.withLock({ $0 }) { keeper.signal() }
    }
  }

  var hasWaiting: Bool { places.hasWaiting }

  /// Whether another connection may be opened at once.
  package var hasRoom: Bool { places.hasRoom }

  /// Connections that are open, or about to be, and requests that wait for one.
  package var numbers: (open: Int, waiting: Int) { (places.taken, places.waitingCount) }

  func give() { places.give() }

  func addKeeper(_ keeper: RemoteWaiter) { keepers.withLock { $0.append(keeper) } }

  func removeKeeper(_ keeper: RemoteWaiter) { keepers.withLock { $0.removeAll { $0 == keeper } } }
}
