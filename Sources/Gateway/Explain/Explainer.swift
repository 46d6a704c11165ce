import Crypto
import Reactor
import Synchronization

/// Finds out what a gateway would do with a request, by doing it as far as nobody is called: its
/// routes, its checks, its words. Nothing listens, and nothing is sent but, where that is asked
/// for, the questions for an issuer's keys and metadata.
package enum Explainer {
  /// Explains one request by a configuration.
  ///
  /// - Throws: why a gateway would not start by this configuration.
  package static func explain(
    _ call: ExplainedCall, by configuration: Configuration
  ) throws(StartFailure) -> Explanation {
    try explain(.call(call), by: configuration)
  }

  /// Explains a request of the log: what its line says, and the way that it finds now.
  ///
  /// - Throws: the same.
  package static func explain(
    _ logged: LoggedRequest, by configuration: Configuration
  ) throws(StartFailure) -> Explanation {
    try explain(.logged(logged), by: configuration)
  }

  fileprivate enum Question: Sendable {
    case call(ExplainedCall)
    case logged(LoggedRequest)
  }

  /// On a thread of its own.
  private static func explain(
    _ question: Question, by configuration: Configuration
  ) throws(StartFailure) -> Explanation {
    let process = ProcessState(report: { _ in })
    let prepared = try Prepared(configuration, process)
    let shared = prepared.shared(process, log: nil, after: nil)
    let answer = Answer()
    do throws(SystemError) {
      let loop = try EventLoop()
      let worker = Worker(loop: loop, process: process, index: 0)
      loop.spawn { answer.give(await worker.explain(question, shared)) }
      let thread = try WorkerThread.start("tg-explain") { loop.run() }
      let made = answer.wait()
      loop.stop()
      thread.join()
      return try made.get()
    } catch {
      throw .system("\(error)")
    }
  }

  /// What one thread gives another.
  private final class Answer: Sendable {
    private let value = Mutex<Result<Explanation, SystemError>?>(nil)
    private let semaphore = Semaphore()

    func give(_ made: Result<Explanation, SystemError>) {
      value.withLock { $0 = made }
      semaphore.signal()
    }

    func wait() -> Result<Explanation, SystemError> {
      while true {
        if let made = value.withLock({ $0 }) { return made }
        semaphore.wait(milliseconds: 60_000)
      }
    }
  }
}

extension Worker {
  /// Explains one request, as this worker would serve it.
  fileprivate func explain(
    _ question: Explainer.Question, _ shared: SharedState
  ) async -> Result<Explanation, SystemError> {
    do throws(CryptoFault) {
      let engine = try Engine(
        shared, worker: self, index: 0, workers: 1, loop: loop,
        overload: Overload(shared.process, index: 0))
      let digester = try Digester()
      do throws(SystemError) {
        switch question {
        case .call(let call):
          return .success(try await ExplainedRequest(call, engine, digester).explain())
        case .logged(let logged):
          return .success(try await logged.explain(by: engine, digester))
        }
      } catch {
        return .failure(error)
      }
    } catch {
      return .failure(SystemError(call: "OpenSSL: \(error)", code: 0))
    }
  }
}
