import Reactor
import Synchronization

/// How the last attempt to take up a configuration went, and since when the one runs that does:
/// since it was last taken up, also where it says the same as the one before, as Prometheus has it
/// (`prometheus_config_last_reload_success_timestamp_seconds`). Who has changed a secret or just
/// wants to know whether their reload came about looks there.
final class ConfigRecord: Sendable {
  private let sinceMs = Atomic<Int64>(0)
  private let isRefused = Atomic<Bool>(false)

  /// When the running configuration was last taken up, in milliseconds since 1970.
  var runningSinceMs: Int64 { sinceMs.load(ordering: .relaxed) }

  /// Whether the last attempt was a success.
  var isLastSuccessful: Bool { !isRefused.load(ordering: .relaxed) }

  func noteSuccess() {
    sinceMs.store(Clock.wallMs(), ordering: .relaxed)
    isRefused.store(false, ordering: .relaxed)
  }

  func noteRefusal() { isRefused.store(true, ordering: .relaxed) }
}
