/// Answers that go on long after they have begun: event streams, downloads over thin lines.
///
/// Their length tells how long somebody listened, and nothing of how quick the service is; nor does
/// a tunnel's. Where latency is shown to people they count by when they began, and tunnels not at
/// all. The histograms for Prometheus have them at their full length, as OpenTelemetry's semantic
/// conventions ask (`http.server.request.duration` is as long as the request's span); tunnels have
/// the status 101 there.
enum LongAnswers {
  /// An answer is one of them when it went on for longer than this: beyond the last bound of
  /// OpenTelemetry's buckets, where all durations look alike.
  static let afterMicros: Int64 = 10_000_000

  /// The status of a tunnel's line.
  static let tunnelStatus = 101

  /// - Parameters:
  ///   - micros: how long the request took, in microseconds.
  ///   - beforeMicros: how much of that went by before the answer began.
  static func isLong(_ micros: Int64, beforeMicros: Int64) -> Bool {
    micros - beforeMicros > afterMicros
  }
}
