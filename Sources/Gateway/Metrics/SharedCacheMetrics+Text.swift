extension SharedCacheMetrics {
  /// What the shared cache did, for Prometheus.
  func write(to text: inout MetricsText) {
    text.begin(
      "tollgate_shared_cache_lookups_total", .counter,
      "Tokens sought in the shared cache before an exchange: found there, found when another "
        + "gateway's exchange had been waited for, or not found.")
    // The numbers are read one after the other while workers count.
    text.sample(hits >= awaited ? hits - awaited : 0, [("outcome", "hit")])
    text.sample(awaited, [("outcome", "awaited")])
    text.sample(misses, [("outcome", "miss")])
    text.begin(
      "tollgate_shared_cache_skipped_total", .counter,
      "Look-ups that were not made, because there was no connection to be trusted.")
    text.sample(skipped)
    text.begin(
      "tollgate_shared_cache_errors_total", .counter,
      "Replies that were errors, late or missing, and entries that did not open.")
    text.sample(errors)
    text.begin(
      "tollgate_shared_cache_stored_total", .counter, "Tokens put into the shared cache.")
    text.sample(stored)
    text.begin(
      "tollgate_shared_cache_removed_total", .counter,
      "Tokens taken out of the shared cache because a service had refused them.")
    text.sample(removed)
    text.begin(
      "tollgate_shared_cache_connections", .gauge,
      "Workers whose connection to the shared cache stands.")
    text.sample(connections)
    text.begin(
      "tollgate_shared_cache_reply_duration_seconds", .summary,
      "Replies of the shared cache that an exchange waited for.")
    text.sample(count: replies, totalNs: replyNs)
  }
}
