import Synchronization

/// What all workers share of tracing: how many spans there were, and what the operator was told.
/// It outlives every configuration.
final class TraceNumbers: Sendable {
  private let sent = Atomic<UInt64>(0)
  private let dropped = Atomic<UInt64>(0)
  private let trouble = Mutex<String?>(nil)

  func countSent(_ count: Int) { sent.add(UInt64(max(0, count)), ordering: .relaxed) }
  func countDropped(_ count: Int) { dropped.add(UInt64(max(0, count)), ordering: .relaxed) }

  /// Notes why the collector takes nothing, or that it does: nil.
  ///
  /// - Returns: whether that is news.
  func note(trouble text: String?) -> Bool {
    trouble.withLock { trouble in
      defer { trouble = text }
      return trouble != text
    }
  }

  /// For Prometheus.
  func write(to text: inout MetricsText) {
    text.begin(
      "tollgate_trace_spans_sent_total", .counter, "Spans that the collector has taken.")
    text.sample(sent.load(ordering: .relaxed))
    text.begin(
      "tollgate_trace_spans_dropped_total", .counter,
      "Spans that are lost: the collector was down, too slow, or refused them.")
    text.sample(dropped.load(ordering: .relaxed))
  }
}
