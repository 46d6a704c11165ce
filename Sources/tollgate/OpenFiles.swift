import Gateway
import Reactor

/// How many file descriptors the process may have, and how many its routes file asks for.
enum OpenFiles {
  /// What is neither a caller's nor their service's: listeners and loops of each worker, logs, the
  /// admin address, calls to issuers and token services.
  static let reserve = 256

  /// A line for the operator where there may be fewer than `limits.connections` need.
  static func warning(for configuration: Configuration) -> String? {
    let callers = configuration.limits.connectionsMax
    // Each caller's and one to the service behind.
    let wanted = 2 * callers + reserve
    let allowed = DescriptorShares.processLimit()
    guard allowed < wanted else { return nil }
    let enough = allowed > reserve + 2 ? "\((allowed - reserve) / 2)" : "less"
    return """
      tollgate: warning: \(callers) callers at once (limits.connections) may need \(wanted) file \
      descriptors, and the process may have \(allowed). Allow more (LimitNOFILE=\(wanted) in the \
      systemd unit, ulimit -n \(wanted) in a shell), or set limits.connections to \(enough)
      """
  }
}
