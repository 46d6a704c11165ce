package import Reactor

/// What becomes of a process that has taken over, by what the one before it sees of it for a while:
/// a value, which touches neither.
///
/// Whoever dies of the first requests that it serves, or of what it does a second after its start,
/// is not to take the service with it, nor who hangs or stands still. So the one before rests and
/// looks on, and comes back.
package struct Probation: Sendable {
  /// What the new one says where it is told to end.
  package static let endingWord = "ending"
  /// What it says again and again while all its workers run.
  package static let aliveWord = "alive"
  /// What it says when it was not let go for long: it goes on whatever the other thinks.
  package static let aloneWord = "alone"
  /// How often it says that it lives, and after how long without a word it does not.
  package static let aliveEveryMs: Int64 = 250
  static let silenceMsMax: Int64 = 3_000

  package enum Sight: Equatable, Sendable {
    case nothing
    /// A line over the channel between the two.
    case line(String)
    /// A signal to the process that looks on.
    case signal(Signals.Signal)
    /// It is gone, or has let go of the channel: how, for people.
    case ended(String)
  }

  package enum Verdict: Equatable, Sendable {
    /// It is too early to say.
    case goesOn
    /// It stays: the one before may go.
    case stands
    /// Somebody ends the service, in good order: nobody comes back.
    case ends(Asked)
    /// It is to be replaced by the one before.
    case failed(String)
  }

  /// Which of the two processes was told to end.
  package enum Asked: Equatable, Sendable { case old, new }

  /// The monotonic time at which it is over, in milliseconds.
  private let untilMs: Int64
  /// Since when there was no word from the new one, as far as was looked: words that came while the
  /// one before stood still itself are read one after the other.
  private var silentSinceMs: Int64?
  private var wasHeard = false
  /// Whether the one before was asked for a reload, which is for the one that is left in the end.
  package private(set) var wasHungUp = false

  package init(fromMs: Int64, lastingMs: Int64 = Limits.probationMs) {
    untilMs = fromMs + lastingMs
  }

  /// Takes what is seen at a time.
  package mutating func judge(_ sight: Sight, atMs: Int64) -> Verdict {
    switch sight {
    // However late it is seen: there is nobody else.
    case .ended(let how): return .failed(how)
    case .line(Self.endingWord): return .ends(.new)
    case .line(Self.aloneWord): return .stands
    case .line(Self.aliveWord):
      wasHeard = true
      silentSinceMs = nil
    case .line(let text): return .failed("it says \"\(ShownText.plain(text))\"")
    case .signal(.terminate), .signal(.interrupt): return .ends(.old)
    case .signal(.hangUp): wasHungUp = true
    case .signal(.user1), .signal(.user2), .signal(.bell), .signal(.foldersTouched): break
    case .nothing:
      let sinceMs = silentSinceMs ?? atMs
      silentSinceMs = sinceMs
      if atMs - sinceMs >= Self.silenceMsMax {
        return .failed("it gave no sign of life for \(Self.silenceMsMax / 1_000) s")
      }
    }
    let isSilent = silentSinceMs.map { atMs - $0 > 2 * Self.aliveEveryMs } ?? false
    return atMs >= untilMs && wasHeard && !isSilent ? .stands : .goesOn
  }
}
