import Gateway
import HTTP
import Reactor
import Synchronization
import Wire

/// Where a running gateway's admin address is.
struct AdminAddress {
  /// The routes file that names it; nil where the operator did, or nobody.
  let file: String?
  /// What the routes file's default is.
  static let usual = "127.0.0.1:\(usualPort)"
  private static let usualPort = 9901

  let host: String
  let port: UInt16
  /// As `Host` has it.
  let authority: String

  /// Reads `HOST:PORT`, `HOST` with the usual port, or `http://HOST:PORT`, where a URL without one
  /// means 80, as everywhere.
  init?(_ text: String, of file: String? = nil) {
    let isURL = text.contains("://")
    let hasPort = isURL || text.last != "]" && text.contains(":")
    let place = hasPort ? text : "\(text):\(Self.usualPort)"
    guard let url = try? HTTPURL(isURL ? place : "http://\(place)"),
      !url.origin.isSecure, ["", "/"].contains(url.suffix)
    else { return nil }
    host = url.origin.host
    port = url.origin.port
    authority = url.origin.authority
    self.file = file
  }

  /// For people.
  var description: String { file.map { "\(authority) (admin.address of \($0))" } ?? authority }
}

/// Asks a running gateway at its admin address.
enum AdminClient {
  /// Reads a command's one argument. Without one it is the address that the routes file names that
  /// `tollgate run` would take here; where there is no such file, the usual one.
  static func address(_ arguments: [String], command: String) throws(Wrong) -> AdminAddress {
    if let text = arguments.first {
      if arguments.count == 1, let address = AdminAddress(text) { return address }
      throw Wrong(
        text: "\"\(arguments.last ?? "")\" is no admin address, as 127.0.0.1:9901 is one")
    }
    var found = AdminAddress(AdminAddress.usual)
    if let file = RoutesArgument.path([]) {
      switch RoutesFile.adminPlace(
        path: file, environment: { Surroundings.variable($0) }, files: DiskFiles())
      {
      case .at(let text): found = AdminAddress(text, of: file)
      case .off:
        throw Wrong(
          text: "\(file) says \"admin\": \"off\": nobody can be asked",
          status: .couldNotRun)
      case .anyPort:
        throw Wrong(
          text: """
            \(file) leaves the port of admin.address to the system
            Name the address: tollgate \(command) 127.0.0.1:PORT
            """, status: .couldNotRun)
      case .unreadable(let problems):
        // Who has just broken the file wants to hear of it from the gateway, or goes on asking it.
        for problem in problems { Output.error("\(problem)") }
        Output.error("tollgate \(command): asking the usual address, \(AdminAddress.usual)")
      }
    }
    guard let found else {
      throw Wrong(text: "name the admin address", status: .couldNotRun)
    }
    return found
  }

  private final class Reply: Sendable {
    let result = Mutex<Result<CallAnswer, CallFault>?>(nil)
  }

  /// Makes one call and waits for its answer, on this thread.
  ///
  /// - Returns: nil after the operator was told why there is none.
  static func ask(
    _ method: Call.Method, _ target: String, at address: AdminAddress, withinMs timeoutMs: Int64
  ) -> CallAnswer? {
    // Whoever waits may be interrupted.
    Signals.unblock()
    let reply = Reply()
    do throws(SystemError) {
      let loop = try EventLoop()
      loop.spawn {
        let result = await call(method, target, at: address, withinMs: timeoutMs, on: loop)
        reply.result.withLock { $0 = result }
        loop.stop()
      }
      loop.run()
    } catch {
      Output.error("tollgate: \(error)")
      return nil
    }
    switch reply.result.withLock({ $0 }) {
    case .success(let answer): return answer
    case .failure(let fault):
      Output.error("tollgate: the gateway at \(address.description) \(fault.text)")
    case nil: break
    }
    return nil
  }

  private static func call(
    _ method: Call.Method, _ target: String, at address: AdminAddress, withinMs timeoutMs: Int64,
    on loop: EventLoop
  ) async -> Result<CallAnswer, CallFault> {
    let pool = UpstreamPool(
      Origin(host: address.host, port: address.port, isEncrypted: false),
      settings: UpstreamPool.Settings(
        connectTimeoutMs: 5_000, idleTimeoutMs: 5_000, idleMax: 1, resolveEveryMs: 60_000,
        headBytesMax: 32 << 10),
      tls: nil, resolver: Resolver(), buffers: BufferPool(),
      count: ConnectionCount(max: 1, queue: 0), loop: loop)
    let call = Call(
      method, target: target, authority: address.authority, answerBytesMax: 16 << 20)
    do throws(CallFault) {
      return .success(
        try await pool.call(call, waiter: Waiter(on: loop), untilMs: loop.nowMs + timeoutMs))
    } catch {
      return .failure(error)
    }
  }
}

/// `tollgate reload`: has a running gateway read its routes file again and waits for the outcome.
enum ReloadCommand {
  static func run(_ arguments: [String]) throws(Wrong) -> CommandLineTool.ExitStatus {
    let address = try AdminClient.address(
      try Options.arguments(arguments, of: .reload, max: 1), command: "reload")
    guard let answer = AdminClient.ask(.post, "/reload", at: address, withinMs: 70_000)
    else { return .couldNotRun }
    let text = String(decoding: answer.content, as: UTF8.self)
    switch answer.status {
    case 200:
      Output.line(text, terminator: "")
      return .well
    case 422:
      Output.error(text, terminator: "")
      return .badInput
    default:
      Output.error(text, terminator: "")
      return .couldNotRun
    }
  }
}

/// `tollgate health`: whether a running gateway can serve; for images without a shell.
enum HealthCommand {
  static func run(_ arguments: [String]) throws(Wrong) -> CommandLineTool.ExitStatus {
    let address = try AdminClient.address(
      try Options.arguments(arguments, of: .health, max: 1), command: "health")
    guard let answer = AdminClient.ask(.get, "/readyz", at: address, withinMs: 5_000)
    else { return .couldNotRun }
    let text = String(decoding: answer.content, as: UTF8.self)
    switch answer.status {
    case 200:
      Output.line("ready")
      return .well
    case 503:
      // What is there is of no interest to who asks what is missing.
      for line in text.split(separator: "\n") where !line.hasPrefix("[+]") {
        Output.error(String(line))
      }
      return .badInput
    default:
      Output.error(
        "tollgate health: \(address.description) is no gateway's admin address: it answered "
          + "\(answer.status) to /readyz")
      return .couldNotRun
    }
  }
}
