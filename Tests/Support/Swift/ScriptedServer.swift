import Glibc
package import Reactor
import Synchronization

/// A server that follows a script: one closure for each connection, in order, on a thread of its
/// own. Its port is the system's choice.
package final class ScriptedServer: Sendable {
  package typealias Script = @Sendable (FarEnd) throws -> Void

  package let address: SocketAddress
  private let listening: CInt
  private let failures = Mutex<[any Error]>([])
  private let accepted = Mutex(0)
  private let arrivals = Semaphore()
  private let threads = Mutex<[WorkerThread.Handle]>([])

  /// Each script plays one connection; connections beyond them are closed at once.
  package init(_ scripts: [Script]) throws {
    listening = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    var count = socklen_t(MemoryLayout<sockaddr_in>.size)
    let raw = listening
    let isListening = unsafe withUnsafeMutablePointer(to: &name) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(raw, $0, count) == 0 && listen(raw, 64) == 0
          && getsockname(raw, $0, &count) == 0
      }
    }
    guard isListening,
      let literal = SocketAddress(
        literal: "127.0.0.1", port: UInt16(bigEndian: name.sin_port))
    else { throw SystemError(call: "listen", code: errno) }
    address = literal
    let thread = try WorkerThread.start("script") { [self] in accept(scripts) }
    threads.withLock { $0.append(thread) }
  }

  private func accept(_ scripts: [Script]) {
    var index = 0
    while true {
      let raw = Glibc.accept(listening, nil, nil)
      if raw < 0 { return }
      let peer = FarEnd(adopting: raw)
      accepted.withLock { $0 += 1 }
      arrivals.signal()
      guard index < scripts.count else { continue }
      let script = scripts[index]
      index += 1
      // A connection's script may wait for a later connection's.
      let thread = try? WorkerThread.start("script-\(index)") { [self] in
        do { try script(peer) } catch { failures.withLock { $0.append(error) } }
      }
      if let thread { threads.withLock { $0.append(thread) } }
    }
  }

  /// How many connections came.
  package var connectionCount: Int { accepted.withLock { $0 } }

  /// Waits until the next connection has come: a caller is connected before it is accepted.
  package func waitForConnection() { arrivals.wait(milliseconds: Stage.patienceMs) }

  /// Ends the server and waits for its scripts.
  ///
  /// - Throws: what went wrong in one of them.
  package func finish() throws {
    _ = shutdown(listening, Int32(SHUT_RDWR))
    while let thread = threads.withLock({ $0.popLast() }) { thread.join() }
    close(listening)
    if let first = failures.withLock({ $0.first }) { throw first }
  }
}
