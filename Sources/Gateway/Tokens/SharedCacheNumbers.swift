import Synchronization

/// What the shared cache has done since the process began, for the metrics.
struct SharedCacheMetrics: Equatable, Sendable {
  /// Tokens had from it, and exchanges for which it had none.
  var hits: UInt64 = 0
  var misses: UInt64 = 0
  /// Of the hits, those that another gateway's exchange under way was waited for.
  var awaited: UInt64 = 0
  /// Replies that were errors, came late or not at all, and entries that did not open.
  var errors: UInt64 = 0
  /// Exchanges that did not ask, because there was no connection to be trusted.
  var skipped: UInt64 = 0
  /// Entries put and taken away.
  var stored: UInt64 = 0
  var removed: UInt64 = 0
  /// Workers whose connection stands.
  var connections: UInt64 = 0
  /// Replies that somebody waited for, and how long that took together.
  var replies: UInt64 = 0
  var replyNs: UInt64 = 0
}

/// The same, counted by all workers.
final class SharedCacheNumbers: Sendable {
  let hits = Atomic<UInt64>(0)
  let misses = Atomic<UInt64>(0)
  let awaited = Atomic<UInt64>(0)
  let errors = Atomic<UInt64>(0)
  let skipped = Atomic<UInt64>(0)
  let stored = Atomic<UInt64>(0)
  let removed = Atomic<UInt64>(0)
  let connections = Atomic<UInt64>(0)
  let replies = Atomic<UInt64>(0)
  let replyNs = Atomic<UInt64>(0)

  var metrics: SharedCacheMetrics {
    SharedCacheMetrics(
      hits: hits.load(ordering: .relaxed), misses: misses.load(ordering: .relaxed),
      awaited: awaited.load(ordering: .relaxed), errors: errors.load(ordering: .relaxed),
      skipped: skipped.load(ordering: .relaxed), stored: stored.load(ordering: .relaxed),
      removed: removed.load(ordering: .relaxed), connections: connections.load(ordering: .relaxed),
      replies: replies.load(ordering: .relaxed), replyNs: replyNs.load(ordering: .relaxed))
  }
}

extension Atomic where Value == UInt64 {
  /// Counts one.
  func count() { add(1, ordering: .relaxed) }
}
