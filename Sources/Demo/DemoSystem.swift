import Crypto
package import Gateway
package import Reactor
import Wire

/// The whole demo in one process on 127.0.0.1, ports chosen by the system so that any number of
/// them run side by side: the provider, the services, and the gateway before them.
package final class DemoSystem: Sendable {
  package enum LogOutput: Sendable {
    case standardOutput
    /// `accessLogPath`.
    case file
  }

  /// Why it did not start; nothing of it runs then.
  package struct Failure: Error, Sendable, CustomStringConvertible {
    package let description: String
  }

  package let gateway: Gateway
  package let shutdown: ShutdownSettings
  package let provider: IdentityProvider
  package let folder: TemporaryFolder
  /// "https://127.0.0.1:44321"
  package let gatewayURL: String
  package let providerURL: String
  let providerAddress: SocketAddress
  /// In the routes' order.
  package let services: [(name: String, url: String)]

  package var routesPath: String { folder.file(DemoRoutes.routesFile) }
  package var certificatePath: String { folder.file(DemoRoutes.certificateFile) }
  package var accessLogPath: String { folder.file(Self.accessLogFile) }

  let gatewaySecret: [UInt8]

  private let servers: DemoServers
  private let serversThread: WorkerThread.Handle

  private static let accessLogFile = "access.log"
  private static let serviceNames = ["orders", "billing"]
  private static let certificateDays = 7

  /// Starts all of it.
  ///
  /// - Parameters:
  ///   - temporary: the folder in which the demo's own is made.
  ///   - report: takes the gateway's lines for the operator; from any thread.
  package convenience init(
    temporary: String, log: LogOutput, report: @escaping @Sendable (String) -> Void
  ) throws(Failure) {
    try self.init(temporary: temporary, log: log, report: report, editing: { $0 })
  }

  /// - Parameter editing: changes the routes file's text: how tests get a gateway that does wrong.
  convenience init(
    temporary: String, log: LogOutput, report: @escaping @Sendable (String) -> Void,
    editing: (String) -> String
  ) throws(Failure) {
    do {
      try self.init(starting: temporary, log, report, editing)
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure(description: "\(error)")
    }
  }

  private init(
    starting temporary: String, _ log: LogOutput, _ report: @escaping @Sendable (String) -> Void,
    _ editing: (String) -> String
  ) throws {
    let folder = try TemporaryFolder(in: temporary, name: "tollgate-demo")
    self.folder = folder
    let providerSocket = try Self.bind()
    guard let providerAddress = providerSocket.networkAddress else {
      throw SystemError.timedOut("127.0.0.1")
    }
    let serviceSockets = try Self.serviceNames.map { _ in try Self.bind() }
    let issuer = "http://\(providerSocket.address)"
    let services = zip(Self.serviceNames, serviceSockets).map { name, socket in
      (name: name, url: "http://\(socket.address)")
    }
    providerURL = issuer
    self.providerAddress = providerAddress
    self.services = services
    gatewaySecret = Base64URL.encode(try RandomBytes.make(count: 24))
    let provider = try IdentityProvider(
      issuer: issuer, audiences: Self.serviceNames,
      clients: [
        DemoClient(id: DemoClient.gatewayID, secret: gatewaySecret, exchanges: true),
        DemoClient(
          id: DemoClient.systemID, secret: Array(DemoClient.systemSecret.utf8), exchanges: false),
      ])
    self.provider = provider

    let routes = DemoRoutes(
      issuer: issuer, services: services, accessLog: log == .file ? Self.accessLogFile : "-")
    let routesPath = folder.file(DemoRoutes.routesFile)
    try Self.write(editing(routes.text), secret: gatewaySecret, to: folder)
    if log == .file { _ = folder.file(Self.accessLogFile) }

    var sites = [DemoServers.Site(bound: providerSocket) { provider.answer($0) }]
    for (service, socket) in zip(services, serviceSockets) {
      let echo = EchoService(name: service.name, issuer: issuer, keys: provider.keys)
      sites.append(DemoServers.Site(bound: socket) { echo.answer($0) })
    }
    let loop = try EventLoop()
    let servers = DemoServers(loop: loop)
    let opened = sites
    loop.spawn { await servers.start(opened) }
    self.servers = servers
    serversThread = try WorkerThread.start("tg-demo") { loop.run() }
    do {
      (gateway, shutdown) = try Self.startGateway(routesPath, report)
    } catch {
      loop.stop()
      serversThread.join()
      throw error
    }
    gatewayURL = gateway.addresses.first.map { "https://\($0)" } ?? ""
  }

  /// Ends everything and removes the folder; to be called once, like `stopAfterGateway`.
  package func stop() {
    gateway.stop()
    stopAfterGateway()
  }

  /// Ends the rest where the gateway has been stopped.
  package func stopAfterGateway() {
    servers.loop.stop()
    serversThread.join()
    folder.remove()
  }

  /// Port 0 and nothing before it: the kernel picks a port that nobody else shares.
  private static func bind() throws(SystemError) -> ListeningSocket.Bound {
    guard let loopback = SocketAddress(literal: "127.0.0.1", port: 0) else {
      throw SystemError.timedOut("127.0.0.1")
    }
    return try ListeningSocket.bind(at: loopback)
  }

  private static func write(
    _ routes: String, secret: [UInt8], to folder: TemporaryFolder
  ) throws {
    let key = try PrivateKey(generate: .p256)
    let certificate = try SelfSignedCertificate.makePEM(
      key: key, hosts: ["localhost"], addresses: ["127.0.0.1"], now: Int(TokenMint.now()),
      days: certificateDays)
    try folder.write(certificate, to: DemoRoutes.certificateFile)
    try folder.write(try key.makePEM(), to: DemoRoutes.keyFile)
    try folder.write(secret, to: DemoRoutes.secretFile)
    try folder.write(Array(routes.utf8), to: DemoRoutes.routesFile)
  }

  /// What `tollgate run` does with a routes file.
  private static func startGateway(
    _ routesPath: String, _ report: @escaping @Sendable (String) -> Void
  ) throws(Failure) -> (Gateway, ShutdownSettings) {
    let loaded = RoutesFile.load(path: routesPath, environment: { _ in nil }, files: DiskFiles())
    for warning in loaded.warnings { report("\(warning)") }
    guard let configuration = loaded.configuration else {
      throw Failure(description: loaded.problems.map { "\($0)" }.joined(separator: "\n"))
    }
    do throws(StartFailure) {
      let gateway = try Gateway.start(configuration) { report($0.text) }
      return (gateway, configuration.shutdown)
    } catch {
      switch error {
      case .problems(let problems):
        let texts = problems.map { "\(loaded.problem(at: $0.place, $0.text))" }
        throw Failure(description: texts.joined(separator: "\n"))
      case .system(let text): throw Failure(description: text)
      }
    }
  }
}
