import HTTP
import Reactor
import Synchronization
import Wire

/// One upstream with what all workers share of it. It outlives a reload that changes nothing of it;
/// of one that is changed, the servers that stay keep their connections and what is known of them.
final class SharedUpstream: Sendable {
  let settings: UpstreamSettings
  let servers: [SharedServer]
  let budget: ResendBudget
  private let materialDigest: [UInt8]
  private let report: Report
  /// Held while it is decided whether a server is left out: never too many at once.
  private let ejecting = Mutex(())

  /// - Parameter former: of the same name, before a reload.
  init(
    _ settings: UpstreamSettings, _ material: TLSMaterial.Client, after former: SharedUpstream?,
    report: @escaping Report
  ) {
    self.settings = settings
    self.report = report
    materialDigest = material.digest
    budget = former?.budget ?? ResendBudget()
    servers = settings.servers.map { server in
      let known = former?.servers.first { $0.target == server.target }
      if let former, let known, known.isFor(settings), former.hasMaterial(material, settings) {
        return known
      }
      return SharedServer(
        server.target, settings, context: material.context, state: known?.state ?? ServerState())
    }
    for server in servers { server.state.setChecked(settings.healthCheck != nil) }
    if servers.count == 1, servers[0].state.readmit(nowMs: Clock.monotonicNs() / 1_000_000) {
      report("\(place(0)) takes requests again: there is no other")
    }
  }

  /// Whether nothing of it would be different.
  func isFor(_ settings: UpstreamSettings, _ material: TLSMaterial.Client) -> Bool {
    self.settings.isSame(as: settings) && materialDigest == material.digest
  }

  private func hasMaterial(_ material: TLSMaterial.Client, _ settings: UpstreamSettings) -> Bool {
    materialDigest == material.digest && self.settings.tls.isSame(as: settings.tls)
  }

  // Who is left out.

  /// Why a server failed a request.
  enum Failure {
    case unconnected(ConnectFault)
    /// It answered that it can't.
    case status(Int)
    /// It broke off, or its answer is no HTTP/1.1.
    case broken
    /// It was too slow.
    case slow

    var text: String {
      switch self {
      case .unconnected(let fault): "it \(fault.text)"
      case .status(let status): "it answered \(status)"
      case .broken: "it broke the connection, or its answer is not HTTP/1.1"
      case .slow: "it did not answer in time"
      }
    }

    /// Whether nothing came at all, and nothing is to be expected for requests that wait.
    var isSilence: Bool {
      switch self {
      case .slow, .unconnected(.timedOut): true
      case .unconnected, .status, .broken: false
      }
    }
  }

  /// No connection to a server came about: the cause, which a status or the access log's reason
  /// can't tell, is told at once.
  func noteUnconnected(_ fault: ConnectFault, of index: Int, nowMs: Int64) {
    switch fault {
    case .unreachable, .timedOut, .handshake, .shortage: break
    // Its limit was reached, or nobody was there any more: nothing to be mended.
    case .exhausted, .abandoned: return
    }
    guard servers[index].state.takeTelling(fault.kind, nowMs: nowMs) else { return }
    let advice = fault.advice.map { "; \($0)" } ?? ""
    report(.warning("\(place(index)): no connection: it \(fault.text)\(advice)"))
  }

  /// A server failed a request: with enough of them in a row it is left out for a while.
  ///
  /// - Parameter isTrial: whether the request was to find out how a server does that is left out.
  func noteFailure(_ failure: Failure, of index: Int, isTrial: Bool, nowMs: Int64) {
    let state = servers[index].state
    let inRow = state.noteFailure()
    defer {
      // Nothing else would say why every request to it fails.
      if inRow == settings.outlier.failures, !state.isEjected {
        report(
          .warning(
            "\(place(index)) failed \(inRow) requests in a row, the last: \(failure.text); "
              + "there is no other to trust in its place, so it is asked on"))
      }
    }
    guard servers.count > 1, settings.outlier.maxEjected > 0, isTrial || !state.isEjected,
      isTrial || inRow >= settings.outlier.failures
    else { return }
    let lengthMs = ejecting.withLock { _ -> Int64? in
      if state.isEjected, !isTrial { return nil }
      if !state.isEjected, !mayEject(index) { return nil }
      return state.eject(
        nowMs: nowMs, baseMs: settings.outlier.ejectForMs, isSilent: failure.isSilence)
    }
    guard let lengthMs else { return }
    let reason = isTrial ? "tried again, it failed" : "\(inRow) failures in a row"
    report(
      .warning(
        "\(place(index)) is left out for \(Self.people(lengthMs)): \(reason), the last: "
          + failure.text))
  }

  /// A server has answered a request as it should, after it failed some in a row.
  func noteReturn(of index: Int, after failures: Int) {
    // One that was asked on, because there was no other, or that no connection could be had to,
    // was told of: so is its return.
    let state = servers[index].state
    if !state.isEjected, state.takeTold() || failures >= settings.outlier.failures {
      report("\(place(index)) answers again")
    }
  }

  /// The server that was left out has answered the request that tried it.
  func noteTrialSuccess(of index: Int, nowMs: Int64) {
    if servers[index].state.readmit(nowMs: nowMs) {
      _ = servers[index].state.takeTold()
      report("\(place(index)) takes requests again")
    }
  }

  /// Whether another server may be left out: so many at once, one at least, and never the last one
  /// that is trusted.
  private func mayEject(_ index: Int) -> Bool {
    let share = Int(Double(servers.count) * settings.outlier.maxEjected)
    let most = min(servers.count - 1, max(1, share))
    return servers.count { $0.state.isEjected } < most
      && servers.indices.contains { $0 != index && servers[$0].state.isTrusted }
  }

  // What checks say.

  /// Takes a check's outcome: `fault` says what went wrong.
  func noteCheck(
    of index: Int, fault: String?, isSilent: Bool, by settings: UpstreamSettings.HealthCheck,
    nowMs: Int64
  ) {
    let state = servers[index].state
    switch state.noteCheck(isGood: fault == nil, isSilent: isSilent, by: settings) {
    case .fell:
      report(.warning("\(place(index)) is unwell: GET \(settings.path): \(fault ?? "")"))
    case .rose:
      // What its failures said is overtaken.
      _ = state.readmit(nowMs: nowMs)
      _ = state.takeTold()
      report("\(place(index)) is well again")
    case nil: break
    }
  }

  private func place(_ index: Int) -> String {
    let server = servers[index].target.description
    return settings.name == server ? "upstream \(server)" : "upstream \(settings.name): \(server)"
  }

  private static func people(_ milliseconds: Int64) -> String {
    milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000) s" : "\(milliseconds) ms"
  }
}

/// One server of an upstream with what all workers share of it.
final class SharedServer: Sendable {
  let target: ServerTarget
  /// What connections to it are opened and kept by.
  let connections: UpstreamSettings.Connections
  let origin: Origin
  let context: TLSClientContext?
  let count: ConnectionCount
  let state: ServerState

  fileprivate init(
    _ target: ServerTarget, _ settings: UpstreamSettings, context: TLSClientContext?,
    state: ServerState
  ) {
    self.target = target
    connections = settings.connections
    self.context = context
    self.state = state
    origin =
      switch target {
      case .web(let origin):
        Origin(
          host: origin.host, port: origin.port, isEncrypted: origin.isSecure,
          serverName: settings.tls.serverName?.text)
      case .unix(let path): Origin(path: path)
      }
    count = ConnectionCount(
      max: settings.connections.max, queue: settings.connections.queueMax)
  }

  /// Whether connections to it would be opened and kept in the same way.
  fileprivate func isFor(_ settings: UpstreamSettings) -> Bool {
    connections == settings.connections
  }
}
