/// How long what is ready waits to be run, at the least: the sign of a worker that is behind.
///
/// It is CoDel's sign (RFC 8289 §3.2): a crowd that comes at once waits and is gone, so the longest
/// wait says nothing, and the shortest of a window says that in all of it there was a queue. One
/// window above the target is not enough: a process that was stopped, by a debugger or by others
/// that want the core, sees one long wait and is abreast again.
package struct StandingWait {
  /// A wait below this is what any loop has that is busy (RFC 8289 §4.4).
  package static let targetMs: Int64 = 5
  /// A caller's way there and back, about (§4.3).
  package static let windowMs: Int64 = 100

  /// The shortest wait in the window that ended last, in milliseconds; 0 where it or the one before
  /// was within the target.
  package private(set) var ms: Int64 = 0
  private var windowEndsMs: Int64
  private var leastMs = Int64.max
  private var wasAbove = false

  package init(nowMs: Int64) { windowEndsMs = nowMs + Self.windowMs }

  /// Whether nothing was noted in this window yet.
  var isUnknown: Bool { leastMs == .max }

  /// Whether the present window is over.
  func isDue(nowMs: Int64) -> Bool { nowMs >= windowEndsMs }

  /// Notes how long something waited; 0 where nothing did.
  package mutating func note(_ waitedMs: Int64) { leastMs = min(leastMs, waitedMs) }

  /// Ends the window and begins another.
  package mutating func endWindow(nowMs: Int64) {
    let isAbove = leastMs > Self.targetMs && leastMs < .max
    ms = isAbove && wasAbove ? leastMs : 0
    wasAbove = isAbove
    leastMs = .max
    windowEndsMs = nowMs + Self.windowMs
  }
}
