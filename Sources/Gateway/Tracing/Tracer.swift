import HTTP
import Reactor
import Wire

/// One worker's part in tracing: decides which requests are recorded, gathers their spans, and
/// sends them to the collector in batches, beside the requests and never on their way.
///
/// A trace that a caller has begun goes on, whoever the caller is, and so does its decision whether
/// it is recorded; that is what W3C Trace Context is for, and what Envoy, Caddy and nginx's module
/// with `propagate` do. A stranger can therefore have requests recorded: the queue is bounded, and
/// what does not fit is dropped and counted.
final class Tracer {
  private let settings: TracingSettings
  private let numbers: TraceNumbers
  private let pool: UpstreamPool
  private let loop: EventLoop
  private let report: Report
  private let bell: Waiter
  private let callWaiter: Waiter
  private let sampledBelow: UInt64
  private var ids = SpanIDs()
  private var spans = SpanWriter()
  private var hasEnded = false
  /// Who takes the spans of requests that end after this one has.
  private var successor: Tracer?

  init(
    _ settings: TracingSettings, numbers: TraceNumbers, pool: UpstreamPool, loop: EventLoop,
    report: @escaping Report
  ) {
    self.settings = settings
    self.numbers = numbers
    self.pool = pool
    self.loop = loop
    self.report = report
    bell = Waiter(on: loop)
    callWaiter = Waiter(on: loop)
    sampledBelow = settings.sample >= 1 ? .max : UInt64(settings.sample * 0x1p64)
  }

  /// A request's part in its caller's trace, or in a new one.
  func begin(_ request: Request) -> RequestTrace {
    let head = request.connection.head
    let received = request.connection.received
    if let parent = TraceFields.parent(of: head, received) {
      return RequestTrace(
        parent.trace, span: ids.span(), parent: parent.span, flags: parent.flags,
        state: TraceFields.state(of: head, received), ids: self)
    }
    // Without a valid parent there is no state either (W3C Trace Context §4.3).
    let trace = ids.trace()
    return RequestTrace(
      trace, span: ids.span(), parent: nil,
      flags: isSampled(trace) ? [.sampled, .random] : .random, state: [], ids: self)
  }

  /// By the lower half of the trace's id, as OpenTelemetry's `TraceIdRatioBased` does: every
  /// process with the same share records the same traces.
  private func isSampled(_ trace: TraceID) -> Bool {
    settings.sample >= 1 || trace.low < sampledBelow
  }

  /// A name for a call to a server.
  func makeSpan() -> SpanID { ids.span() }

  /// Takes the spans of a request whose answer has ended.
  func record(_ request: Request, _ trace: RequestTrace, endedNs: Int64) {
    if let successor { return successor.record(request, trace, endedNs: endedNs) }
    guard !hasEnded, spans.bytes.count < Limits.traceQueuedBytesMax else {
      numbers.countDropped(1 + trace.calls.count)
      return
    }
    let mustRing = spans.count == 0
    let before = spans.bytes.count
    spans.write(request, trace, endedNs: endedNs, ids: &ids)
    let isFull =
      before < Limits.traceBatchBytes && spans.bytes.count >= Limits.traceBatchBytes
    if mustRing || isFull { bell.signal() }
  }

  /// Sends what there is, until `end`; the worker runs it as a task.
  func run() async {
    while true {
      if spans.count == 0 {
        if hasEnded { return }
        _ = await bell.wait()
        continue
      }
      if !hasEnded, spans.bytes.count < Limits.traceBatchBytes {
        _ = await bell.wait(untilMs: loop.nowMs + Limits.traceDelayMs)
      }
      await deliver(take())
    }
  }

  /// Another takes its place; what is queued is the other's to send.
  func end(for successor: Tracer?) {
    self.successor = successor
    hasEnded = true
    if let successor, spans.count > 0 { successor.adopt(take()) }
    bell.signal()
    callWaiter.signal()
  }

  /// At the process's end: sends what is queued, once, within the time given.
  func finish(withinMs: Int64) async {
    hasEnded = true
    let batch = take()
    guard batch.count > 0 else { return }
    switch await post(batch, Waiter(on: loop), untilMs: loop.nowMs + withinMs) {
    case .taken(let refused): note(refused, of: batch)
    case .again, .refused: numbers.countDropped(batch.count)
    }
  }

  private func take() -> SpanWriter {
    defer { spans = SpanWriter() }
    return spans
  }

  /// Takes over what another had queued.
  private func adopt(_ batch: SpanWriter) {
    if spans.count == 0 {
      spans = batch
      bell.signal()
    } else {
      numbers.countDropped(batch.count)
    }
  }

  // Sending.

  private enum Outcome {
    /// Though not all of them.
    case taken(refused: Int)
    /// It may take them later.
    case again(String, afterMs: Int64?)
    case refused(String)
  }

  /// Sends a batch, again where the collector may take it then, and drops it in the end.
  private func deliver(_ batch: SpanWriter) async {
    var pauseMs = Limits.tracePauseMs
    for attempt in 1...Limits.traceAttemptsMax {
      let untilMs = loop.nowMs + Limits.traceTimeoutMs
      switch await post(batch, callWaiter, untilMs: untilMs) {
      case .taken(let refused): return note(refused, of: batch)
      case .refused(let text):
        numbers.countDropped(batch.count)
        return tell(text)
      case .again(let text, let afterMs):
        tell(text)
        if attempt == Limits.traceAttemptsMax || hasEnded { break }
        let againMs = loop.nowMs + min(afterMs ?? pauseMs, Limits.tracePauseMsMax)
        while !hasEnded, await callWaiter.wait(untilMs: againMs) {}
        pauseMs *= 2
      }
      if hasEnded { break }
    }
    numbers.countDropped(batch.count)
  }

  private func post(
    _ batch: SpanWriter, _ waiter: Waiter, untilMs: Int64
  ) async -> Outcome {
    let call = Call(
      .post, target: settings.target, authority: settings.endpoint.origin.authority,
      fields: Array("Content-Type: application/json\r\n".utf8),
      content: SpanWriter.request(of: batch.bytes, service: settings.service),
      answerBytesMax: Limits.traceAnswerBytesMax)
    let answer: CallAnswer
    do throws(CallFault) {
      answer = try await pool.call(call, waiter: waiter, untilMs: untilMs)
    } catch {
      return .again(error.text, afterMs: nil)
    }
    switch answer.status {
    case 200...299: return .taken(refused: Self.refusedCount(in: answer.content))
    // OTLP/HTTP, "Failures": only these may be sent again.
    case 429, 502, 503, 504:
      let seconds = answer.retryAfter.flatMap { Decimal.parse($0.span) }
      return .again(
        "answered \(answer.status)", afterMs: seconds.map { Int64(min($0, 86_400)) * 1_000 })
    default: return .refused("answered \(answer.status)")
    }
  }

  /// `partialSuccess.rejectedSpans`, a number or the string of one.
  private static func refusedCount(in answer: [UInt8]) -> Int {
    let parser = JSONParser(.strict, bytesMax: Limits.traceAnswerBytesMax)
    guard let rejected = (try? parser.parse(answer))?["partialSuccess"]?["rejectedSpans"]
    else { return 0 }
    let text = rejected.string.flatMap { Decimal.parse($0.bytes.span) }
    return Int(clamping: text ?? UInt64(clamping: rejected.integer ?? 0))
  }

  private func note(_ refused: Int, of batch: SpanWriter) {
    let refused = min(refused, batch.count)
    numbers.countSent(batch.count - refused)
    numbers.countDropped(refused)
    if refused > 0 {
      tell("refuses some of the spans; its own log says why")
    } else if numbers.note(trouble: nil) {
      report(.info("tracing: \(settings.endpoint) takes spans"))
    }
  }

  /// Said once for all workers, and anew when the reason is another.
  private func tell(_ text: String) {
    guard numbers.note(trouble: text) else { return }
    report(
      .warning(
        "tracing: \(settings.endpoint) \(text); spans are dropped and requests go on without "
          + "them: see tollgate_trace_spans_dropped_total, and that tracing.endpoint is an "
          + "OTLP/HTTP receiver"))
  }
}
