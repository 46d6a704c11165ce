import CLinux
import Glibc

/// The listening sockets that a service manager opened for this process (sd_listen_fds(3)).
///
///     LISTEN_PID=1234 LISTEN_FDS=3 LISTEN_FDNAMES=web:web:admin      descriptors 3, 4 and 5
///
/// They stay open for as long as the process lives, so that a listener that a reload took away can
/// come back; whoever listens has a copy.
package struct ActivatedSockets: Sendable {
  private struct Passed {
    let name: String
    let raw: CInt
  }

  private let passed: [Passed]
  /// Why there are none, for people.
  private let absence: String

  private static let firstDescriptor: CInt = 3
  /// No service has that many; what says so is no service manager's.
  private static let countMax = 1_024

  /// Those that this process was started with. Taken once: they are no child's from then on.
  package static let ofProcess = ActivatedSockets(
    variable: Surroundings.variable, processID: getpid())

  /// - Parameter variable: the environment.
  init(variable: (String) -> String?, processID: pid_t) {
    guard let count = variable("LISTEN_FDS") else {
      self.init([], absence: "no socket was passed: LISTEN_FDS is not set")
      return
    }
    // A process in between has handed on what was not meant for this one.
    guard variable("LISTEN_PID") == "\(processID)" else {
      self.init([], absence: "the sockets passed are another process's: LISTEN_PID is not ours")
      return
    }
    guard let count = Int(count), (1...Self.countMax).contains(count) else {
      self.init([], absence: "no socket was passed: LISTEN_FDS is no number of them")
      return
    }
    let names = variable("LISTEN_FDNAMES")?.split(separator: ":", omittingEmptySubsequences: false)
    let passed = (0..<count).map { index in
      let isNamed = names.map { $0.indices.contains(index) } ?? false
      // As sd_listen_fds_with_names(3) calls them.
      let name = isNamed ? names.map { String($0[index]) } ?? "unknown" : "unknown"
      return Passed(name: name, raw: Self.firstDescriptor + CInt(index))
    }
    for socket in passed { _ = fcntl(socket.raw, F_SETFD, FD_CLOEXEC) }
    self.init(passed, absence: "")
  }

  private init(_ passed: [Passed], absence: String) {
    self.passed = passed
    self.absence = absence
  }

  /// The names under which sockets were passed, each once.
  package var names: [String] {
    var seen: Set<String> = []
    return passed.map(\.name).filter { seen.insert($0).inserted }
  }

  /// The sockets of a name, of which there may be several; each a copy that is the asker's.
  ///
  /// - Throws: where there is none of that name, or one is no listening stream socket.
  package func sockets(named name: String) throws(SystemError) -> [ListeningSocket.Bound] {
    let found = passed.filter { $0.name == name }
    guard !found.isEmpty else {
      let why =
        absence.isEmpty ? "no socket of this name; passed are \(listed(names))" : absence
      throw SystemError(call: "listen systemd:\(name): \(why)", code: ENOENT)
    }
    var copies: [ListeningSocket.Bound] = []
    do throws(SystemError) {
      for socket in found { copies.append(try Self.copy(of: socket)) }
    } catch {
      for copy in copies { copy.discard() }
      throw error
    }
    return copies
  }

  private func listed(_ names: [String]) -> String {
    names.map { "\"\($0)\"" }.joined(separator: ", ")
  }

  private static func copy(of socket: Passed) throws(SystemError) -> ListeningSocket.Bound {
    let raw = socket.raw
    func refused(_ why: String) -> SystemError {
      SystemError(call: "listen systemd:\(socket.name), descriptor \(raw): \(why)", code: EINVAL)
    }
    guard clinux_socket_option(raw, SO_TYPE) == clinux_sock_stream else {
      throw refused("no stream socket")
    }
    guard clinux_socket_option(raw, SO_ACCEPTCONN) == 1 else {
      throw refused("it does not listen (Accept=yes passes connections)")
    }
    let address: LocalAddress
    if let network = ListeningSocket.boundAddress(of: raw) {
      address = .network(network)
    } else if let path = unixPath(of: raw) {
      address = .unix(path)
    } else {
      throw refused("neither IP nor a unix socket")
    }
    let flags = try SystemError.check("fcntl") { fcntl(raw, F_GETFL) }
    _ = try SystemError.check("fcntl") { fcntl(raw, F_SETFL, flags | O_NONBLOCK) }
    return try ListeningSocket.listening(raw, at: address, isShared: true)
  }

  /// The path that a unix socket is bound to; nil of others.
  static func unixPath(of raw: CInt) -> String? {
    var path = [CChar](repeating: 0, count: SocketFile.pathBytesMax + 1)
    guard unsafe clinux_unix_name(raw, &path, path.count) == 0 else { return nil }
    let bytes = path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
