import HTTP
import Reactor

/// Asks one server again and again how it is. For each server one worker of the process does.
///
/// Each check has a connection of its own, outside the server's limit: a server whose connections
/// are all in use must not look unwell, and one that accepts none must. A status of 2xx or 3xx is
/// well. The first check is made at once.
final class HealthChecker {
  private let upstream: SharedUpstream
  private let index: Int
  private let settings: UpstreamSettings.HealthCheck
  private let pool: UpstreamPool
  private let loop: EventLoop
  private let waiter: Waiter
  private var hasEnded = false

  /// How much earlier or later than said a check is made, as a part of the interval: gateways that
  /// began at the same time must not all ask at once.
  private static let jitter = 0.1

  init(
    _ upstream: SharedUpstream, server index: Int, settings: UpstreamSettings.HealthCheck,
    resolver: Resolver, buffers: BufferPool, loop: EventLoop
  ) {
    self.upstream = upstream
    self.index = index
    self.settings = settings
    self.loop = loop
    waiter = Waiter(on: loop)
    let server = upstream.servers[index]
    pool = UpstreamPool(
      server.origin,
      settings: UpstreamPool.Settings(
        connectTimeoutMs: settings.timeoutMs, idleTimeoutMs: 1, idleMax: 0,
        resolveEveryMs: server.connections.resolveEveryMs,
        headBytesMax: Limits.answerHeadBytesMax),
      tls: server.context, resolver: resolver, buffers: buffers, count: ConnectionCount(max: 1),
      loop: loop)
  }

  /// Checks, until `end`.
  func run() async {
    let call = Call(
      .get, target: settings.path, authority: upstream.servers[index].target.authority,
      fields: Array("Accept: */*\r\nConnection: close\r\n".utf8), answerBytesMax: 0)
    while !hasEnded {
      let beganMs = loop.nowMs
      await check(call)
      let part = Double.random(in: 1 - Self.jitter...1 + Self.jitter)
      let nextMs = beganMs + Int64((Double(settings.intervalMs) * part).rounded(.up))
      while !hasEnded, loop.nowMs < nextMs { _ = await waiter.wait(untilMs: nextMs) }
    }
    pool.close()
  }

  /// Ends what `run` does, after the check that is under way, whose outcome no longer counts.
  func end() {
    hasEnded = true
    waiter.signal()
  }

  private func check(_ call: Call) async {
    var fault: String?
    var isSilent = false
    do throws(CallFault) {
      let status = try await pool.status(
        of: call, waiter: waiter, untilMs: loop.nowMs + settings.timeoutMs)
      if !(200...399).contains(status) { fault = "it answered \(status)" }
    } catch {
      // Nothing is wrong with a server that this machine can't reach for want of its own.
      if case .unconnected(.shortage) = error { return }
      fault = "it \(error.text)"
      isSilent = true
    }
    if hasEnded { return }
    upstream.noteCheck(
      of: index, fault: fault, isSilent: isSilent, by: settings, nowMs: loop.nowMs)
  }
}
