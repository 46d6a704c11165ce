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
  case unreachable(String)
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

  /// For the log.
  package var text: String {
    switch self {
    case .unreachable(let text): "can't be reached: \(text)"
    case .timedOut: "can't be reached in time"
    case .handshake(let text): "TLS failed: \(text)"
    case .exhausted: "has no connection left"
    case .shortage(let text): "can't be reached for want of \(text)"
    case .abandoned: "is not wanted any more"
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
