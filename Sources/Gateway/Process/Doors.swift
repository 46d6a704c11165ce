import Glibc
import OAuth
import Reactor
import Synchronization
import Wire

/// A place where connections come in. Its name tells it from all others, also after a reload.
enum Door: Hashable, Sendable {
  case listener(String)
  case admin(String)
  case probes(String)

  var isForCallers: Bool { if case .listener = self { true } else { false } }
}

/// A door that is open: the sockets that listen there, held for as long as it is, beside those that
/// the workers accept from. They are what another process is handed that takes the door over.
///
/// At a TCP port each worker has a socket of its own; a unix socket, and what systemd passes, is
/// one for all of them.
final class OpenDoor: Sendable, CustomStringConvertible {
  /// Where it is, for people.
  let description: String
  /// The address with the port that the system chose where 0 was asked for; nil of a unix socket.
  let networkAddress: SocketAddress?
  private let held: Mutex<[ListeningSocket.Bound]>
  /// The file of a unix socket.
  private let file: Mutex<SocketFile?>
  /// The mode of one whose file is still another process's.
  private let inheritedMode: UInt32?

  /// - Parameter inheritedMode: of a unix socket that another process has not handed over yet.
  init(
    _ sockets: [ListeningSocket.Bound], file: SocketFile? = nil, name: String? = nil,
    inheritedMode: UInt32? = nil
  ) {
    let addresses = sockets.map(\.address)
    let address = addresses.first?.description ?? ""
    description = name.map { "\($0) (\(address))" } ?? address
    networkAddress = sockets.first?.networkAddress
    held = Mutex(sockets)
    self.file = Mutex(file)
    self.inheritedMode = inheritedMode
  }

  deinit { close() }

  /// The sockets: one for each worker, or those that all workers share.
  var sockets: [ListeningSocket.Bound] { held.withLock { $0 } }

  /// Copies for one of so many workers. Every socket is somebody's: what is given to one that
  /// nobody accepts from waits for ever.
  ///
  /// - Parameter first: sockets before this one are left out.
  func copies(
    for worker: Int, of workers: Int, from first: Int = 0
  ) throws(SystemError) -> [ListeningSocket.Bound] {
    var copies: [ListeningSocket.Bound] = []
    do throws(SystemError) {
      for (index, socket) in sockets.enumerated().dropFirst(first)
      where socket.isShared || index % workers == worker {
        copies.append(try socket.copy())
      }
    } catch {
      for copy in copies { copy.discard() }
      throw error
    }
    return copies
  }

  /// Makes the file of a unix socket that was handed over this process's own.
  func takeFile() throws(SystemError) {
    guard let inheritedMode, case .unix(let path) = sockets.first?.address else { return }
    let own = SocketFile.taken(path)
    file.withLock { $0 = own }
    try own.setMode(inheritedMode)
  }

  /// Binds a socket for each worker that has none, where the process that handed the door over had
  /// fewer of them.
  func complete(workers: Int) throws(SystemError) {
    guard let networkAddress, sockets.allSatisfy({ !$0.isShared }) else { return }
    for _ in sockets.count..<max(sockets.count, workers) {
      let more = try ListeningSocket.bind(at: networkAddress)
      held.withLock { $0.append(more) }
    }
  }

  /// Lets those connect to a unix socket whom the mode lets.
  func setMode(_ mode: UInt32) throws(SystemError) {
    try file.withLock { $0 }?.setMode(mode)
  }

  /// Closes what is held here, and removes a unix socket's file.
  func close() {
    file.withLock { $0 }?.remove()
    let sockets = held.withLock { sockets in
      defer { sockets = [] }
      return sockets
    }
    for socket in sockets { socket.discard() }
  }

  /// Leaves a unix socket's file to another process, which has taken the door over.
  func leaveFile() { file.withLock { $0 }?.leave() }
}

/// A configuration's doors: those that are open already, those that were opened for it, and those
/// that it no longer has.
struct Doors {
  private(set) var all: [Door: OpenDoor] = [:]
  private(set) var closed: [Door] = []
  /// What is no mistake and deserves a second look.
  private(set) var oddities: [String] = []
  /// By worker.
  private var opened: [[Door: [ListeningSocket.Bound]]]
  private var isNew: Set<Door> = []
  /// What another process has open, which is not to be accepted from yet.
  private let inherited: [Door: [ListeningSocket.Bound]]?

  /// Opens what is not open yet.
  ///
  /// - Parameters:
  ///   - workers: how many there are; the admin address is the first one's.
  ///   - open: what is open.
  ///   - inherited: what another process has open; of what the configuration has no use for its
  ///     copies are closed. With it no worker is given anything: `Gateway.open` does.
  init(
    _ configuration: Configuration, workers: Int, keeping open: [Door: OpenDoor],
    adopting inherited: [Door: [ListeningSocket.Bound]]? = nil
  ) throws(SystemError) {
    opened = Array(repeating: [:], count: max(1, workers))
    self.inherited = inherited
    do throws(SystemError) {
      try openAll(configuration, open)
    } catch {
      discard()
      throw error
    }
    closed = open.keys.filter { all[$0] == nil }
    for (door, sockets) in inherited ?? [:] where all[door] == nil {
      for socket in sockets { socket.discard() }
    }
    if open.isEmpty, inherited == nil { noteUnused(configuration) }
  }

  /// Closes what was opened and is not wanted after all.
  func discard() {
    for socket in opened.flatMap({ $0.values.joined() }) { socket.discard() }
    for door in isNew { all[door]?.close() }
  }

  /// A worker's sockets of the new doors.
  func opened(at worker: Int) -> [Door: [ListeningSocket.Bound]] { opened[worker] }

  private mutating func openAll(
    _ configuration: Configuration, _ open: [Door: OpenDoor]
  ) throws(SystemError) {
    let names = configuration.listenerDoors
    for (index, listener) in configuration.listeners.enumerated() {
      let door = Door.listener(names[index])
      if let known = open[door] {
        if case .unix = listener.address { try known.setMode(listener.socketMode) }
        all[door] = known
      } else if let sockets = inherited?[door] {
        try add(door, Self.adopt(sockets, as: listener), workers: 0..<0)
      } else {
        try add(door, try Self.open(listener, workers: opened.count), workers: opened.indices)
      }
    }
    guard let admin = configuration.admin else { return }
    try addFirst(.admin("\(admin.address)"), admin.address, open)
    if let probes = admin.probes { try addFirst(.probes("\(probes)"), probes, open) }
  }

  /// A door of the first worker alone.
  private mutating func addFirst(
    _ door: Door, _ address: ListenAddress, _ open: [Door: OpenDoor]
  ) throws(SystemError) {
    if let known = open[door] {
      all[door] = known
    } else if let sockets = inherited?[door] {
      try add(door, OpenDoor(sockets), workers: 0..<0)
    } else {
      try add(door, OpenDoor(try Self.bind(address, copies: 1)), workers: 0..<1)
    }
  }

  private mutating func add(
    _ door: Door, _ open: OpenDoor, workers: Range<Int>
  ) throws(SystemError) {
    all[door] = open
    isNew.insert(door)
    if inherited != nil { return }
    for worker in workers {
      opened[worker][door] = try open.copies(for: worker, of: workers.count)
    }
  }

  private static func adopt(
    _ sockets: [ListeningSocket.Bound], as listener: ListenerSettings
  ) -> OpenDoor {
    switch listener.address {
    case .network: OpenDoor(sockets)
    case .unix: OpenDoor(sockets, inheritedMode: listener.socketMode)
    case .systemd: OpenDoor(sockets, name: "\(listener.address)")
    }
  }

  private static func open(
    _ listener: ListenerSettings, workers: Int
  ) throws(SystemError) -> OpenDoor {
    switch listener.address {
    case .network(let address): return OpenDoor(try bind(address, copies: workers))
    case .unix(let file):
      let (socket, socketFile) = try SocketFile.bind(at: file.path, mode: listener.socketMode)
      return OpenDoor([socket], file: socketFile)
    case .systemd(let name, _):
      return OpenDoor(
        try ActivatedSockets.ofProcess.sockets(named: name), name: "\(listener.address)")
    }
  }

  /// Callers of a socket that was passed and that no listener uses wait for nobody.
  private mutating func noteUnused(_ configuration: Configuration) {
    let used = configuration.listeners.compactMap { listener -> String? in
      if case .systemd(let name, _) = listener.address { name } else { nil }
    }
    for name in ActivatedSockets.ofProcess.names where !used.contains(name) {
      oddities.append("systemd passed a socket \"\(name)\" that no listener uses")
    }
  }

  /// Binds an address as often as there are workers; the first time without sharing, so that an
  /// address in use is noticed.
  private static func bind(
    _ address: ListenAddress, copies: Int
  ) throws(SystemError) -> [ListeningSocket.Bound] {
    var last: SystemError?
    for wanted in try resolved(address) {
      var sockets: [ListeningSocket.Bound] = []
      do throws(SystemError) {
        // A port that the system chooses is nobody else's.
        let free = wanted.port == 0 ? wanted : try ListeningSocket.probe(wanted)
        sockets.append(try ListeningSocket.bind(at: free))
        let found = sockets[0].networkAddress ?? free
        while sockets.count < copies { sockets.append(try ListeningSocket.bind(at: found)) }
        return sockets
      } catch {
        for socket in sockets { socket.discard() }
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
