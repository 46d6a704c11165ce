import HTTP
import OAuth
import Reactor
import Synchronization
import Wire

/// What all workers share of one configuration, because every limit of the routes file is for the
/// whole process and a token costs one signature check and one exchange a process, not a core.
///
/// A reload makes another one, which goes on with what of this one still applies.
package final class SharedState: Sendable {
  let process: ProcessState
  let configuration: Configuration
  let configDigest: String
  let listenerContexts: [TLSServerContext?]
  /// Of the collector of spans, where it is spoken to over TLS.
  let tracingContext: TLSClientContext?
  let upstreams: [SharedUpstream]
  let tokens: SharedTokens
  let log: LogLease?
  let warnings: [PlacedProblem]
  /// The files that the configuration names and that are read outside the routes file's own
  /// reading: certificates, keys, authorities, key sets.
  let paths: Set<String>

  init(
    _ process: ProcessState, configuration: Configuration, configDigest: String,
    material: TLSMaterial, tokens: SharedTokens, log: LogLease?, after former: SharedState?
  ) {
    self.process = process
    self.configuration = configuration
    self.configDigest = configDigest
    self.tokens = tokens
    self.log = log
    listenerContexts = material.listeners
    tracingContext = material.tracing
    warnings = material.warnings
    paths = material.paths.union(
      configuration.issuers.compactMap { issuer in
        if case .file(let file) = issuer.keys { file.path } else { nil }
      })
    var formerByName: [String: SharedUpstream] = [:]
    for upstream in former?.upstreams ?? [] { formerByName[upstream.settings.name] = upstream }
    upstreams = configuration.upstreams.enumerated().map { index, settings in
      // Once: an upstream may be named like the URL of another.
      let former = formerByName.removeValue(forKey: settings.name)
      let material = material.upstreams[index]
      if let former, former.isFor(settings, material) { return former }
      return SharedUpstream(settings, material, after: former, report: process.report)
    }
  }

  /// What is kept for a configuration that is no more goes.
  func forgetFormer() {
    process.requests.keep(Set(configuration.routes.map(\.name)))
  }

  func report(_ line: OperatorLine) { process.report(line) }

  /// Whether the process is ending.
  var isDraining: Bool { process.isDraining }

  /// Counts a caller's connection in; false when that is one too many.
  func takeConnection() -> Bool {
    process.takeConnection(max: configuration.limits.connectionsMax)
  }

  func giveConnection() { process.giveConnection() }
}

/// The access log's writer, on loan to each configuration that writes to the same place; with the
/// last of them it ends.
final class LogLease: Sendable {
  let writer: LogWriter
  let output: LogWriter.Target
  let format: AccessLogSettings.Format
  private let thread: WorkerThread.Handle
  private let isJoined = Atomic<Bool>(false)

  /// Opens the log and starts its thread.
  init(
    _ output: LogWriter.Target, format: AccessLogSettings.Format,
    report: @escaping Report
  ) throws(SystemError) {
    self.output = output
    self.format = format
    writer = LogWriter(accessLog: output, format: format, report: report)
    thread = try writer.start()
  }

  deinit {
    if isJoined.load(ordering: .relaxed) { return }
    writer.endSoon()
    thread.detach()
  }

  /// Ends the thread when all is written, where that is not held up.
  func end(withinMs: Int64) {
    guard writer.end(withinMs: withinMs) else { return }
    isJoined.store(true, ordering: .relaxed)
    thread.join()
  }
}
