import Reactor
import Synchronization

/// How the last attempt to take up a configuration went, and since when the one runs that does:
/// since it was last taken up, also where it says the same as the one before, as Prometheus has it
/// (`prometheus_config_last_reload_success_timestamp_seconds`). Who has changed a secret or just
/// wants to know whether their reload came about looks there.
final class ConfigRecord: Sendable {
  private let sinceMs = Atomic<Int64>(0)
  private let isRefused = Atomic<Bool>(false)
  private let reloads = Atomic<UInt64>(0)
  private let refusedReloads = Atomic<UInt64>(0)

  /// How many configurations were taken up since the start, without the first.
  var reloadsTotal: UInt64 { reloads.load(ordering: .relaxed) }

  /// How many were not.
  var refusedReloadsTotal: UInt64 { refusedReloads.load(ordering: .relaxed) }

  /// When the running configuration was last taken up, in milliseconds since 1970.
  var runningSinceMs: Int64 { sinceMs.load(ordering: .relaxed) }

  /// Whether the last attempt was a success.
  var isLastSuccessful: Bool { !isRefused.load(ordering: .relaxed) }

  /// The first configuration runs.
  func noteStart() { sinceMs.store(Clock.wallMs(), ordering: .relaxed) }

  /// Another one does.
  func noteReload() {
    sinceMs.store(Clock.wallMs(), ordering: .relaxed)
    isRefused.store(false, ordering: .relaxed)
    reloads.add(1, ordering: .relaxed)
  }

  /// Another one was not taken up.
  func noteRefusal() {
    isRefused.store(true, ordering: .relaxed)
    refusedReloads.add(1, ordering: .relaxed)
  }
}
