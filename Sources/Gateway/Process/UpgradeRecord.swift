import Synchronization

/// How the upgrades went after which this process still serves; of the others it is gone.
package final class UpgradeRecord: Sendable {
  package enum Failure: CaseIterable, Sendable {
    /// The new process did not come to accept.
    case notTakenOver
    /// It did, and died soon.
    case takenBack

    fileprivate var word: String {
      switch self {
      case .notTakenOver: "not-taken-over"
      case .takenBack: "taken-back"
      }
    }
  }

  private let notTakenOver = Atomic<UInt64>(0)
  private let takenBack = Atomic<UInt64>(0)

  /// Counts one.
  func note(_ failure: Failure) {
    switch failure {
    case .notTakenOver: notTakenOver.add(1, ordering: .relaxed)
    case .takenBack: takenBack.add(1, ordering: .relaxed)
    }
  }

  private func count(_ failure: Failure) -> UInt64 {
    switch failure {
    case .notTakenOver: notTakenOver.load(ordering: .relaxed)
    case .takenBack: takenBack.load(ordering: .relaxed)
    }
  }

  /// For Prometheus.
  func write(to text: inout MetricsText) {
    text.begin(
      "tollgate_failed_upgrades_total", .counter,
      "New processes that did not take over, or took over and died soon: this one serves on.")
    for failure in Failure.allCases { text.sample(count(failure), [("outcome", failure.word)]) }
  }
}
