import Wire

/// What a worker's callers' connections share while they wait for their next requests.
///
/// Who is in a hurry sends the next one soon, and finds its connection's task still there. But a
/// task is some 9 KiB, ten times what else an idle connection takes, and what many of them leave in
/// the heap is not had back. So a few wait like that, and the others give their tasks back at once.
package final class Idling {
  /// How many keep their task meanwhile.
  private(set) var taskCount = 0
  /// The head of those who have none.
  let noHead = RequestHead()

  private static let tasksMax = 128
  private static let patienceMs: Int64 = 200
  /// Of those who are too many: an answer's way to its caller and a request's way back.
  private static let patienceMsMin: Int64 = 10

  package init() {}

  /// How long one more waits for its next request with its task.
  ///
  /// - Parameter lastTurnMs: how long the loop's last turn took: where turns are long, a request
  ///   that has come is seen a turn or two later, and is soon all the same.
  func patienceMs(lastTurnMs: Int64) -> Int64 {
    if taskCount < Self.tasksMax { return Self.patienceMs }
    return min(Self.patienceMs, Self.patienceMsMin + 4 * lastTurnMs)
  }

  func begin() { taskCount += 1 }

  func end() { taskCount -= 1 }
}
