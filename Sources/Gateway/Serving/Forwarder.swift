import HTTP
import Reactor
import Wire

/// Sends one request to a server and its answer to the caller, both streamed through a buffer.
///
/// What is read on one side goes out on the other; a side that takes nothing stops the reading of
/// the other. One task does both directions: it moves what can be moved, then waits for any event
/// on either socket. So it sees at once when the caller goes, and drops the call to the server.
enum Forwarder {
  /// What came of a request that was forwarded.
  enum Outcome {
    case answered
    /// The service says that the token, which was kept for some time, is no good. Its answer has
    /// gone to the caller where the request can't be sent again.
    case tokenRefused(isAnswered: Bool)
  }

  /// What became of one attempt.
  enum Attempt {
    case answered
    /// The server refused the token, and a fresh one may do.
    case tokenRefused
    /// The caller is to be told; no byte of an answer has gone out.
    case refused(Refusal)
    /// No byte of an answer came from the server; the request may be sent again if the rules allow.
    case unanswered(Refusal)
    /// The server answered that it can't (502, 503, 504), and another one may be asked.
    case declined
    /// The answer had begun and can't be completed: the caller sees a broken connection.
    case aborted(AccessRecord.Aborted, Refusal.Reason)
  }

  /// Interim answers passed on before the server is taken for broken.
  static let interimAnswersMax = 16
  /// How long a caller waits for a server's `100 Continue` before it gets the gateway's own: as
  /// long as curl would wait for either.
  static let continueWaitMs: Int64 = 1_000

  /// Forwards the request; when this returns the answer has gone out, whole or aborted, unless the
  /// token was refused before any of it has.
  ///
  /// - Throws: what the caller is to be told instead.
  static func forward(
    _ request: Request, _ bearing: borrowing Bearing, along route: Route,
    _ forward: Route.Forward
  ) async throws(Refusal) -> Outcome {
    let connection = request.connection
    let upstream = forward.upstream
    let deadlineMs = forward.timeoutMs.map { connection.waiter.loop.nowMs + $0 } ?? .max
    upstream.noteRequest()
    var tried: UInt64 = 0
    var resends = 0
    var isFreshOnly = false
    var last: Refusal?
    while let index = upstream.pick(except: tried) {
      let server = upstream.servers[index]
      request.record.upstreamJSON = server.nameJSON
      let mayDecline =
        resends < forward.retries && index < 64 && mayRepeat(request)
        && tried.nonzeroBitCount + 1 < upstream.servers.count
      let attempt = await attempt(
        request, bearing, route, forward, server, isFreshOnly: isFreshOnly,
        mayDecline: mayDecline, deadlineMs)
      switch attempt {
      case .answered:
        return request.record.tokenWasRefused ? .tokenRefused(isAnswered: true) : .answered
      case .tokenRefused: return .tokenRefused(isAnswered: false)
      case .refused(let refusal): throw refusal
      case .declined:
        tried |= 1 << UInt64(index)
        resends += 1
        isFreshOnly = false
      case .aborted(let side, let reason):
        request.record.aborted = side
        request.record.reason = reason
        connection.abort()
        return .answered
      case .unanswered(let refusal):
        last = refusal
        let wasStale = request.connection.lastUpstreamWasReused && !isFreshOnly
        let hadWritten = request.connection.lastUpstreamHadWritten
        if hadWritten, !mayRepeat(request) { throw refusal }
        if wasStale {
          // A connection that the server closed while it idled says nothing about the server.
          isFreshOnly = true
          continue
        }
        if index < 64 { tried |= 1 << UInt64(index) }
        isFreshOnly = false
        guard
          !hadWritten
            || resends < forward.retries && upstream.mayRetry(nowMs: connection.waiter.loop.nowMs)
        else { throw refusal }
        resends += hadWritten ? 1 : 0
        if index >= 64 { throw refusal }
      }
    }
    throw last ?? Refusal(.upstreamUnavailable)
  }

  /// ROUTES.md, "Sending again": after a byte was written only these, without content.
  static func mayRepeat(_ request: Request) -> Bool {
    guard request.connection.head.framing == .none || request.connection.head.framing == .length(0)
    else { return false }
    switch request.method {
    case .get, .head, .options, .put, .delete: return true
    case .post, .connect, .trace, .patch, .other: return false
    }
  }

  private static func attempt(
    _ request: Request, _ bearing: borrowing Bearing, _ route: Route, _ forward: Route.Forward,
    _ server: Upstream.Server, isFreshOnly: Bool, mayDecline: Bool, _ deadlineMs: Int64
  ) async -> Attempt {
    let connection = request.connection
    connection.lastUpstreamWasReused = false
    connection.lastUpstreamHadWritten = false
    request.record.attempts += 1
    let upstream: UpstreamConnection
    if !isFreshOnly, let idle = server.pool.takeIdle(for: connection.waiter) {
      upstream = idle
    } else {
      let beganNs = Clock.monotonicNs()
      do throws(ConnectFault) {
        upstream = try await server.pool.connect(for: connection.waiter, untilMs: deadlineMs)
      } catch {
        request.record.connectNs += Clock.monotonicNs() - beganNs
        return .unanswered(refusal(for: error))
      }
      request.record.connectNs += Clock.monotonicNs() - beganNs
    }
    connection.lastUpstreamWasReused = upstream.isReused
    let content = connection.content
    let sentNs = Clock.monotonicNs()
    RequestWriter.write(
      request, bearing, to: server, forward, pathRules: route.settings.pathRules, into: upstream)
    var relay = Relay(
      request, upstream, of: server.pool, route, forward, sentNs: sentNs, mayDecline: mayDecline,
      tokenKeptAtMs: bearing.keptAtMs, deadlineMs: deadlineMs)
    let attempt = await relay.run()
    connection.lastUpstreamHadWritten = upstream.hasWritten
    // To be sent again whole. Once a byte was written, content that is gone is gone: the flow must
    // know how much of it, or what follows on this connection would be taken for it.
    if case .unanswered = attempt, !upstream.hasWritten { connection.content = content }
    if case .answered = attempt, relay.isReusable,
      upstream.finishAnswer(contentEnd: relay.answerEnd)
    {
      server.pool.giveBack(upstream)
    } else {
      server.pool.drop(upstream)
    }
    return attempt
  }

  private static func refusal(for fault: ConnectFault) -> Refusal {
    switch fault {
    case .exhausted: Refusal(.overloaded)
    case .timedOut, .unreachable, .handshake: Refusal(.upstreamUnavailable)
    }
  }
}
