import Synchronization

/// How many requests of one upstream may be sent again: a fifth of all that it was sent in the last
/// ten seconds, by all workers, and ten where that is little (ROUTES.md, "Sending again").
///
/// A share of the traffic and no number in itself: when all servers fail, they are asked a fifth
/// more often and no more, and when one of several dies under load, what was on its way there is
/// not lost. The window is what keeps a calm hour from paying for a storm.
final class ResendBudget: Sendable {
  /// What may be sent again in a window whatever the traffic.
  static let floor = 10
  static let requestsForOne = 5
  static let windowSeconds = 10

  private struct Second {
    var number = Int64.min
    var requests = 0
    var resends = 0
  }

  private let seconds = Mutex([Second](repeating: Second(), count: windowSeconds))

  /// Counts requests sent for the first time.
  func add(_ requests: Int, nowMs: Int64) {
    seconds.withLock { seconds in
      let index = Self.present(&seconds, nowMs)
      seconds[index].requests += requests
    }
  }

  /// Takes one out.
  ///
  /// - Parameter requests: sent for the first time and not counted yet.
  func take(adding requests: Int, nowMs: Int64) -> Bool {
    seconds.withLock { seconds in
      let index = Self.present(&seconds, nowMs)
      seconds[index].requests += requests
      let oldest = nowMs / 1_000 - Int64(Self.windowSeconds)
      var sent = 0
      var again = 0
      for second in seconds where second.number > oldest {
        sent += second.requests
        again += second.resends
      }
      guard again < max(sent / Self.requestsForOne, Self.floor) else { return false }
      seconds[index].resends += 1
      return true
    }
  }

  /// Where the present second's numbers are: in the place of those of ten seconds ago.
  private static func present(_ seconds: inout [Second], _ nowMs: Int64) -> Int {
    let number = nowMs / 1_000
    let index = Int(number % Int64(windowSeconds))
    if seconds[index].number != number { seconds[index] = Second(number: number) }
    return index
  }
}
