import Reactor
import Synchronization

/// How the last attempt to take up a configuration went, and since when the one runs that does.
final class ConfigRecord: Sendable {
  private let sinceMs = Atomic<Int64>(0)
  private let isRefused = Atomic<Bool>(false)

  /// Since when the running configuration runs, in milliseconds since 1970.
  var runningSinceMs: Int64 { sinceMs.load(ordering: .relaxed) }

  /// Whether the last attempt was a success.
  var isLastSuccessful: Bool { !isRefused.load(ordering: .relaxed) }

  func noteSuccess() {
    sinceMs.store(Clock.wallMs(), ordering: .relaxed)
    isRefused.store(false, ordering: .relaxed)
  }

  func noteRefusal() { isRefused.store(true, ordering: .relaxed) }
}
