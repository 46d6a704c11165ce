import HTTP
import Reactor
import Wire

/// One request's part in a trace: which trace, which spans of it are the gateway's.
final class RequestTrace {
  /// A call to a server.
  struct Call {
    let span: SpanID
    let startedNs: Int64
    let endedNs: Int64
    let server: Upstream.Server
    /// 0: no answer.
    let status: Int
    /// Why there is no answer that could be given on.
    let error: String?
  }

  let trace: TraceID
  /// Of the whole request.
  let span: SpanID
  /// The caller's; nil where the trace begins here.
  let parent: SpanID?
  let flags: TraceParent.Flags
  /// The caller's `tracestate`, as it goes on.
  let state: [UInt8]
  private(set) var calls: [Call] = []
  /// The span under which the server that is asked works.
  private var callSpan: SpanID
  private var callStartedNs: Int64 = 0

  private let ids: Tracer

  init(
    _ trace: TraceID, span: SpanID, parent: SpanID?, flags: TraceParent.Flags, state: [UInt8],
    ids: Tracer
  ) {
    self.trace = trace
    self.span = span
    self.parent = parent
    self.flags = flags
    self.state = state
    callSpan = span
    self.ids = ids
  }

  var isSampled: Bool { flags.contains(.sampled) }

  /// A server is about to be asked.
  func beginCall() {
    callSpan = ids.makeSpan()
    callStartedNs = Clock.monotonicNs()
  }

  /// What was asked of a server has ended; of many calls that failed the last ones are left out.
  func endCall(_ server: Upstream.Server, _ attempt: Forwarder.Attempt, answered status: Int) {
    guard calls.count < Self.callsMax else { return }
    let (status, error) = Self.outcome(of: attempt, answered: status)
    calls.append(
      Call(
        span: callSpan, startedNs: callStartedNs, endedNs: Clock.monotonicNs(), server: server,
        status: status, error: error))
  }

  private static let callsMax = 16

  private static func outcome(
    of attempt: Forwarder.Attempt, answered status: Int
  ) -> (status: Int, error: String?) {
    switch attempt {
    case .answered, .switched: (status, status >= 400 ? "\(status)" : nil)
    case .tokenRefused: (401, "401")
    case .refused(let refusal), .unanswered(let refusal): (0, refusal.reason.word)
    case .unconnected(.timedOut): (0, "timeout")
    case .unconnected: (0, "connection_failed")
    case .declined(.status(let status)): (status, "\(status)")
    case .declined(.slow): (0, "timeout")
    case .declined(.unconnected): (0, "connection_failed")
    case .declined(.broken): (0, "upstream_failed")
    case .aborted(_, let reason): (status, reason.word)
    }
  }

  /// The most that `write` writes, in bytes.
  var byteCountMax: Int { 64 + TraceParent.byteCount + state.count }

  /// Writes the fields that tell a server of the trace, the gateway's own span being its parent.
  ///
  /// - Parameter tellsState: whether `tracestate` is one of them.
  func write(to out: Buffer, tellsState: Bool) {
    var value: [UInt8] = []
    value.reserveCapacity(TraceParent.byteCount)
    TraceParent(trace: trace, span: callSpan, flags: flags).append(to: &value)
    out.append("traceparent: ")
    out.append(value)
    out.append("\r\n")
    if state.isEmpty || !tellsState { return }
    out.append("tracestate: ")
    out.append(state)
    out.append("\r\n")
  }
}

extension Request {
  /// The trace that it belongs to: its caller's, also where the gateway takes no part in it.
  var traceID: TraceID? {
    if let trace { return trace.trace }
    guard connection.head.byteCount > 0 else { return nil }
    return TraceFields.parent(of: connection.head, connection.received)?.trace
  }
}
