/// For how long a server that fails requests is left out: a value, time being an argument.
///
/// Each ejection that follows soon after another is twice as long as that one, up to a bound: a
/// server that fails whenever it is tried costs less and less. One that did well for as long as it
/// had been left out begins anew.
struct Ejection {
  /// The longest one, in times of `ejectFor`.
  static let growthMax: Int64 = 8

  private var lengthMs: Int64 = 0
  private var endedAtMs = Int64.min / 2

  /// Begins another one.
  ///
  /// - Parameter baseMs: how long the first is.
  /// - Returns: how long this one is.
  mutating func begin(nowMs: Int64, baseMs: Int64) -> Int64 {
    let followsSoon = lengthMs > 0 && nowMs - endedAtMs < lengthMs
    lengthMs = followsSoon ? min(lengthMs * 2, baseMs * Self.growthMax) : baseMs
    // `end` comes when the server is tried and does well; until then this one goes on.
    endedAtMs = nowMs + lengthMs
    return lengthMs
  }

  /// The server did well again.
  mutating func end(nowMs: Int64) { endedAtMs = nowMs }
}

/// What checks have said of a server.
///
/// A server that was never checked counts as well, so that a gateway serves from its start; but
/// until a check has gone well once, one that fails is enough, so that a server that was down
/// before is not offered requests for long (HAProxy does the same).
struct HealthRecord {
  enum Change { case fell, rose }

  private(set) var isWell = true
  private var hasBeenSeenWell = false
  /// Checks in a row that contradict `isWell`.
  private var contradictions = 0

  /// Takes a check's outcome.
  ///
  /// - Returns: what it changed.
  mutating func note(isGood: Bool, by settings: UpstreamSettings.HealthCheck) -> Change? {
    defer { if isGood { hasBeenSeenWell = true } }
    if isGood == isWell {
      contradictions = 0
      return nil
    }
    contradictions += 1
    let needed =
      isGood ? settings.healthyAfter : hasBeenSeenWell ? settings.unhealthyAfter : 1
    guard contradictions >= needed else { return nil }
    contradictions = 0
    isWell = isGood
    return isGood ? .rose : .fell
  }
}
