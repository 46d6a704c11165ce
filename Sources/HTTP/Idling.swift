import Wire

/// What a worker's callers' connections share while they wait for their next requests.
///
/// Who is in a hurry sends the next one soon, and finds its connection's task still there. But a
/// task is some 9 KiB, ten times what else an idle connection takes, and what many of them leave in
/// the heap is not had back. So a few wait like that, and those whose last request came soon after
/// the one before; the others give their tasks back at once.
package final class Idling {
  /// How many keep their task meanwhile.
  private(set) var taskCount = 0
  /// The head of those who have none.
  let noHead = RequestHead()

  private static let tasksMax = 128
  static let patienceMs: Int64 = 200
  /// Of those who are too many: an answer's way to its caller and a request's way back.
  private static let patienceMsMin: Int64 = 10

  package init() {}

  /// How long one more waits for its next request with its task.
  ///
  /// - Parameter isInHurry: whether its last request came within `patienceMs`.
  func patienceMs(isInHurry: Bool) -> Int64 {
    isInHurry || taskCount < Self.tasksMax ? Self.patienceMs : Self.patienceMsMin
  }

  func begin() { taskCount += 1 }

  func end() { taskCount -= 1 }
}
