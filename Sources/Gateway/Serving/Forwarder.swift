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
    /// No connection to the server came about.
    case unconnected(ConnectFault)
    /// The server answered that it can't (502, 503, 504), or is known not to answer at all, and
    /// another one is asked.
    case declined(SharedUpstream.Failure)
    /// The server has switched protocols on this connection, and the 101 is in the caller's buffer.
    case switched(UpstreamConnection)
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
    let loop = connection.waiter.loop
    let upstream = forward.upstream
    let deadlineMs = forward.timeoutMs.map { loop.nowMs + $0 } ?? .max
    upstream.noteRequest(nowMs: loop.nowMs)
    var tried = ServerSet()
    var resends = 0
    var last: Refusal?
    while let choice = upstream.pick(for: request, except: tried, nowMs: loop.nowMs) {
      let server = choice.server
      request.record.upstreamJSON = server.nameJSON
      let mayResend =
        resends < forward.retries && mayRepeat(request)
        && upstream.hasOther(than: server, except: tried)
      upstream.begin(choice)
      if let trace = request.trace, trace.isSampled { trace.beginCall() }
      var attempt = await attempt(
        request, bearing, route, forward, server, mayReplay: tried.isEmpty,
        mayDecline: mayResend, deadlineMs)
      if case .switched(let connection) = attempt {
        upstream.noteSuccess(choice, nowMs: loop.nowMs)
        var tunnel = Tunnel(request, connection, route, forward)
        attempt = await tunnel.run()
        server.pool.drop(connection)
        upstream.endTunnel(choice)
      } else {
        if case .unconnected(let fault) = attempt {
          upstream.shared.noteUnconnected(fault, of: server.index, nowMs: loop.nowMs)
        }
        upstream.end(choice, verdict(on: attempt, of: request), nowMs: loop.nowMs)
      }
      if let trace = request.trace, trace.isSampled {
        trace.endCall(server, attempt, answered: request.record.upstreamStatus)
      }
      switch attempt {
      case .answered, .switched:
        return request.record.tokenWasRefused ? .tokenRefused(isAnswered: true) : .answered
      case .tokenRefused: return .tokenRefused(isAnswered: false)
      case .refused(let refusal): throw refusal
      case .aborted(let side, let reason):
        request.record.aborted = side
        request.record.reason = reason
        connection.abort()
        return .answered
      case .declined:
        resends += 1
        server.tally.resends.increment()
      case .unconnected(let fault):
        // Not one byte was written: whatever the method, another server may have it.
        last = refusal(for: fault)
        if case .abandoned = fault { throw Refusal(.callerGone) }
      case .unanswered(let refusal):
        last = refusal
        if connection.lastUpstreamHadWritten {
          guard mayResend, upstream.mayResend(nowMs: loop.nowMs) else { throw refusal }
          resends += 1
          server.tally.resends.increment()
        }
      }
      tried.insert(server.index)
      if loop.nowMs >= deadlineMs { break }
    }
    throw last ?? Refusal(.upstreamUnavailable)
  }

  /// What an attempt says of the server.
  private static func verdict(on attempt: Attempt, of request: Request) -> Upstream.Verdict {
    switch attempt {
    case .answered:
      let status = request.record.upstreamStatus
      return (502...504).contains(status) ? .failed(.status(status)) : .well
    case .tokenRefused, .switched: return .well
    case .declined(let failure): return .failed(failure)
    case .unanswered: return .failed(.broken)
    case .unconnected(let fault):
      switch fault {
      case .unreachable, .timedOut, .handshake: return .failed(.unconnected(fault))
      case .exhausted, .shortage, .abandoned: return .nothing
      }
    case .refused(let refusal): return verdict(on: refusal.reason)
    case .aborted(.upstream, let reason): return verdict(on: reason)
    case .aborted(.client, _): return .nothing
    }
  }

  private static func verdict(on reason: Refusal.Reason) -> Upstream.Verdict {
    switch reason {
    case .upstreamTimeout: .failed(.slow)
    case .upstreamFailed: .failed(.broken)
    default: .nothing
    }
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

  /// Sends the request to one server. A connection that turns out to have been closed while it
  /// idled says nothing about the server: a fresh one takes its place, where not a byte was written
  /// or the request may be repeated. That is no sending again to another server, and is counted
  /// neither as one of `retries` nor in the budget. It is bounded all the same: it uses up a
  /// connection over which this server has answered before, and what may have been received, by a
  /// server that dies of it, is repeated once a request.
  ///
  /// - Parameter mayReplay: whether this is the first server that the request goes to.
  private static func attempt(
    _ request: Request, _ bearing: borrowing Bearing, _ route: Route, _ forward: Route.Forward,
    _ server: Upstream.Server, mayReplay: Bool, mayDecline: Bool, _ deadlineMs: Int64
  ) async -> Attempt {
    let connection = request.connection
    request.record.attempts += 1
    if let idle = server.pool.takeIdle(for: connection.waiter) {
      let attempt = await send(
        request, bearing, route, forward, to: server, over: idle, mayDecline: mayDecline,
        deadlineMs)
      guard case .unanswered = attempt,
        !connection.lastUpstreamHadWritten || mayReplay && mayRepeat(request)
      else { return attempt }
      request.record.attempts += 1
    }
    let beganNs = Clock.monotonicNs()
    let fresh: UpstreamConnection
    do throws(ConnectFault) {
      fresh = try await server.pool.connect(
        for: connection.waiter, untilMs: deadlineMs,
        isGone: { connection.content.isDone && connection.hasCallerGone() })
    } catch {
      request.record.connectNs += Clock.monotonicNs() - beganNs
      return .unconnected(error)
    }
    request.record.connectNs += Clock.monotonicNs() - beganNs
    return await send(
      request, bearing, route, forward, to: server, over: fresh, mayDecline: mayDecline,
      deadlineMs)
  }

  private static func send(
    _ request: Request, _ bearing: borrowing Bearing, _ route: Route, _ forward: Route.Forward,
    to server: Upstream.Server, over upstream: UpstreamConnection, mayDecline: Bool,
    _ deadlineMs: Int64
  ) async -> Attempt {
    let connection = request.connection
    let content = connection.content.isDone ? nil : connection.content
    let sentNs = Clock.monotonicNs()
    RequestWriter.write(
      request, bearing, to: server, forward, pathRules: route.settings.pathRules, into: upstream)
    var relay = Relay(
      request, upstream, of: server, route, forward, sentNs: sentNs, mayDecline: mayDecline,
      tokenKeptAtMs: bearing.keptAtMs, deadlineMs: deadlineMs)
    let attempt = await relay.run()
    connection.lastUpstreamHadWritten = upstream.hasWritten
    // To be sent again whole. Once a byte was written, content that is gone is gone: the flow must
    // know how much of it, or what follows on this connection would be taken for it.
    if case .unanswered = attempt, !upstream.hasWritten, let content {
      connection.content = content
    }
    if case .switched = attempt { return attempt }
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
    case .exhausted: .overloaded
    case .abandoned: Refusal(.callerGone)
    case .timedOut, .unreachable, .handshake, .shortage: Refusal(.upstreamUnavailable)
    }
  }
}
