/// What one connection has had of a turn of its worker's, before the others have theirs: so many
/// requests, where they are cheap, and fewer where their tokens are dear to verify. A signature by
/// a large curve costs as much as twenty requests, and whoever sends forged ones ahead pays for
/// none.
struct TurnShare {
  private var turn: UInt64
  private var taken = 0

  /// What a request may take for its one part of the share, in nanoseconds.
  private static let partNs: Int64 = 64_000

  init(turn: UInt64) { self.turn = turn }

  /// Whether the connection has to wait for the next turn.
  ///
  /// - Parameter isTight: whether each has one request only, so that whoever sends many ahead can't
  ///   make up most of a queue in which the others wait.
  mutating func isUsed(inTurn now: UInt64, isTight: Bool = false) -> Bool {
    if now != turn {
      turn = now
      taken = 0
    }
    return taken >= (isTight ? 1 : Limits.requestsPerTurn)
  }

  /// Counts a request.
  ///
  /// - Parameter authNs: how long its token took to verify.
  mutating func take(authNs: Int64) { taken += 1 + Int(authNs / Self.partNs) }
}
