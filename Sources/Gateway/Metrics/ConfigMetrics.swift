extension SharedState {
  /// Which configuration runs, and whether the last attempt at another was refused, for Prometheus
  /// and by the names that it has for its own.
  func writeConfig(to text: inout MetricsText) {
    text.begin(
      "tollgate_config_last_reload_successful", .gauge,
      "1 where the last routes file that was read is the one that runs; 0: it was refused.")
    text.sample(UInt64(process.config.isLastSuccessful ? 1 : 0))
    text.begin(
      "tollgate_config_last_reload_success_timestamp_seconds", .gauge,
      "When a routes file was last taken up, be it the same as before.")
    text.sample(Double(process.config.runningSinceMs) / 1_000)
    text.begin(
      "tollgate_config_reloads_total", .counter,
      "Routes files read again: done, or refused and what ran before went on.")
    text.sample(process.config.reloadsTotal, [("outcome", "done")])
    text.sample(process.config.refusedReloadsTotal, [("outcome", "refused")])
    text.begin("tollgate_config_info", .gauge, "The digest of the running configuration.")
    text.sample(1 as UInt64, [("digest", configDigest)])
  }
}
