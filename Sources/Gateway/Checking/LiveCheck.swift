import Crypto
import OAuth
import Reactor
import Synchronization

/// What was found out about one of those on whom a gateway depends.
package struct LiveFinding: Sendable, Equatable {
  package let isWell: Bool
  /// Who, by its key in the routes file, and how it is: one line, printable.
  package let text: String

  init(isWell: Bool, _ key: String, _ text: String) {
    self.isWell = isWell
    // Some words are others': they must look like nothing else on a terminal.
    self.text = String(
      String.UnicodeScalarView(
        "\(key): \(text)".unicodeScalars.map { scalar in
          scalar.value < 0x20 || 0x7F...0x9F ~= scalar.value ? "?" : scalar
        }))
  }
}

/// Asks everybody on whom a gateway of this configuration would depend, once, all at the same time
/// and each within its own timeout: issuers for their metadata and keys, token services for a
/// refusal (`TokenServiceProbe`), servers for a connection and for what their health checks ask.
///
/// Nothing listens, no credentials are sent, and what is asked is asked by the same code as a
/// gateway's: with its authorities, its certificates, its name resolution.
package enum LiveCheck {
  /// - Returns: issuers, exchanges and upstreams' servers, in the file's order.
  /// - Throws: why a gateway would not start by this configuration.
  package static func run(
    _ configuration: Configuration
  ) throws(StartFailure) -> [LiveFinding] {
    let process = ProcessState(report: { _ in })
    let prepared = try Prepared(configuration, process)
    let shared = prepared.shared(process, log: nil, after: nil)
    let findings = Findings(
      counts: [
        configuration.issuers.count, configuration.exchanges.count,
        configuration.upstreams.reduce(0) { $0 + $1.servers.count },
      ])
    do throws(SystemError) {
      let loop = try EventLoop()
      let checker = LiveChecker(loop: loop, process: process, shared, findings)
      loop.spawn { await checker.begin() }
      let thread = try WorkerThread.start("tg-check") { loop.run() }
      let found = findings.wait()
      loop.stop()
      thread.join()
      return found
    } catch {
      throw .system("\(error)")
    }
  }

  /// Filled by one thread and awaited by another.
  final class Findings: Sendable {
    private let slots: Mutex<[[LiveFinding?]]>
    private let isComplete = Semaphore()

    /// - Parameter counts: of each kind, how many there will be.
    init(counts: [Int]) {
      slots = Mutex(counts.map { [LiveFinding?](repeating: nil, count: $0) })
    }

    func note(_ finding: LiveFinding, kind: Int, index: Int) {
      slots.withLock { $0[kind][index] = finding }
      isComplete.signal()
    }

    func wait() -> [LiveFinding] {
      while true {
        let found = slots.withLock { slots in slots.flatMap { $0 } }
        if !found.contains(nil) { return found.compactMap { $0 } }
        isComplete.wait(milliseconds: 60_000)
      }
    }
  }
}
