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
    address = try LoopbackPort.bind(listening)
    guard listen(listening, 64) == 0 else { throw SystemError(call: "listen", code: errno) }
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
