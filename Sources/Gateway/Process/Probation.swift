package import Reactor

/// What becomes of a process that has taken over, by what the one before it sees of it for a while:
/// a value, which touches neither.
///
/// Whoever dies of the first requests that it serves, or of what it does a second after its start,
/// is not to take the service with it. So the one before rests and looks on, and comes back.
package struct Probation: Sendable {
  /// What the new one says where it is told to end.
  package static let endingWord = "ending"

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
    case .line(let text): return .failed("it says \"\(ShownText.plain(text))\"")
    case .signal(.terminate), .signal(.interrupt): return .ends(.old)
    case .signal(.hangUp): wasHungUp = true
    case .signal(.user1), .signal(.user2), .signal(.bell), .signal(.foldersTouched), .nothing:
      break
    }
    return atMs >= untilMs ? .stands : .goesOn
  }
}
