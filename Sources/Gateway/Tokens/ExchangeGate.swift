import OAuth
import Synchronization

/// What the calls of one exchange have said of its token service, and what follows: whether it is
/// called, and how often at once.
///
///     well ── failures in a row ──▶ open: not called for the cooldown, then by one to try
///      ▲ ▲                            │ an answer
///      │ └── all of the calls ── rising: a fifth of the calls at once, a tenth more each second
///      │                              ▲
///      └── failures get few ── throttled: as many are tried as it takes, twice
///                                     │ answers in a row: rising
///
/// A service that asks for patience (429 with `Retry-After`) is left alone until then, and rises
/// from there. Tokens that are kept know nothing of all this: they are always served.
///
/// A value without a clock: it is told of the time, in milliseconds of the monotonic clock.
struct ExchangeGuard {
  /// Why an exchange is not tried.
  enum Denial: Error, Equatable {
    /// Too many failures in a row; for so long nobody tries.
    case open(ms: Int64)
    /// The service asked for so much patience.
    case patience(ms: Int64)
    /// It fails often, and enough others try.
    case throttled
  }

  /// A call that may be made.
  struct Pass {
    /// Whether it is the one that tries how the service is.
    let isTrial: Bool
    /// How often the service had come back when it began: a call from before an outage that fails
    /// after it says nothing of the service as it is now.
    fileprivate let returns: Int
  }

  /// What came of a call.
  enum Outcome {
    /// A token.
    case issued
    /// A word about the caller or the target.
    case answered
    /// Nothing that helps anybody: the gateway is set up wrongly, or the answer is no good.
    case useless
    /// The service refuses the gateway itself, which counts as failing.
    case refusedGateway
    case failed
    /// It has too much to do (429).
    case busy
    /// It failed or has too much to do, and is asked once more by the same call.
    case again
  }

  /// A service that the operator was told of is well again.
  struct Return: Equatable {
    let outMs: Int64
    /// Exchanges that were not tried meanwhile.
    let notTried: Int
  }

  /// So many answers in a row, and no failure for so long, end the throttle. A service that takes
  /// half of what it is sent, which is what the throttle comes to, gives so many once in a thousand
  /// times by chance; one that takes so many a second gives more at the beginning of each.
  static let answersInRow = 10
  static let answersOnlyMs: Int64 = 2_000
  /// After so long without a failure an answer says that all is well.
  static let quietMs: Int64 = 10_000
  /// While one call tries, others are to come again after so long at most: its end is near.
  static let trialMs: Int64 = 1_000

  private let settings: ExchangeSettings.Breaker
  private var failures = 0
  private var openUntilMs = Int64.min
  /// When the one call that tries began.
  private var tryingSinceMs: Int64?
  private var heldUntilMs = Int64.min
  private var throttle: ExchangeThrottle
  private var ramp: ExchangeRamp?

  private var returns = 0
  private var answers = 0
  /// Whether a trial has worked since the last failure.
  private var isProven = false
  private var failedAtMs = Int64.min / 2
  private var outSinceMs: Int64?
  private var notTried = 0
  private var isTold = false

  init(_ settings: ExchangeSettings.Breaker, seed: UInt64) {
    self.settings = settings
    throttle = ExchangeThrottle(seed: seed)
  }

  /// Whether there were too many failures in a row, and no answer since.
  var isOpen: Bool { openUntilMs != .min }

  /// Why an exchange would not be tried now, chance aside; asks without taking anything.
  func denial(nowMs: Int64) -> Denial? {
    if nowMs < heldUntilMs { return .patience(ms: heldUntilMs - nowMs) }
    guard isOpen else { return nil }
    if nowMs < openUntilMs { return .open(ms: openUntilMs - nowMs) }
    return tryingSinceMs != nil ? .open(ms: min(settings.cooldownMs, Self.trialMs)) : nil
  }

  /// An exchange is wanted.
  mutating func admit(nowMs: Int64) throws(Denial) {
    if let denial = denial(nowMs: nowMs) { throw deny(denial) }
    if !isOpen, !throttle.admits(nowMs: nowMs) { throw deny(.throttled) }
  }

  /// An exchange that was admitted has its turn.
  mutating func begin(nowMs: Int64) throws(Denial) -> Pass {
    if let denial = denial(nowMs: nowMs) { throw deny(denial) }
    if isOpen { tryingSinceMs = nowMs }
    return Pass(isTrial: isOpen, returns: returns)
  }

  /// Whether a call that failed may be sent once more.
  mutating func mayTryAgain(_ pass: Pass, nowMs: Int64) -> Bool {
    if pass.isTrial { return true }
    return !isOpen && nowMs >= heldUntilMs && throttle.admits(nowMs: nowMs)
  }

  private mutating func deny(_ denial: Denial) -> Denial {
    notTried += 1
    return denial
  }

  /// The part of all calls that may be under way at once; 1: all.
  func share(nowMs: Int64) -> Double { min(1, ramp?.share(nowMs: nowMs) ?? 1) }

  /// Whether the service is out, has just come back, or gets little for failing.
  func isWeak(nowMs: Int64) -> Bool {
    isOpen || share(nowMs: nowMs) < 1 || throttle.refusedPart(nowMs: nowMs) > 0
  }

  /// Makes no call until then, whatever comes of those under way.
  mutating func hold(untilMs: Int64) {
    guard untilMs > heldUntilMs else { return }
    heldUntilMs = untilMs
    ramp = ExchangeRamp(sinceMs: untilMs)
  }

  /// Notes what came of a call.
  ///
  /// - Returns: the service's return, where that is news.
  mutating func note(_ outcome: Outcome, of pass: Pass, nowMs: Int64) -> Return? {
    let isTrialsEnd = pass.isTrial && outcome != .again
    let triedMs = tryingSinceMs ?? nowMs
    if isTrialsEnd { tryingSinceMs = nil }
    switch outcome {
    case .issued, .answered, .useless: noteAnswer(isOfUse: outcome != .useless, nowMs: nowMs)
    case .busy, .again, .failed, .refusedGateway:
      if pass.returns != returns { break }
      noteTrouble(nowMs: nowMs)
      if outcome != .refusedGateway { spare(nowMs: nowMs) }
      switch outcome {
      case .failed, .refusedGateway:
        // After a trial the pause is counted from its beginning: one that was never answered has
        // taken long enough, and the service may have come back meanwhile.
        countFailure(since: isTrialsEnd ? triedMs : nowMs, isTrialsEnd, nowMs: nowMs)
      case .busy:
        failures = 0
        if isTrialsEnd, isOpen { rise(nowMs: nowMs) }
      case .again, .issued, .answered, .useless: break
      }
    }
    return outcome == .issued ? takeReturn(nowMs: nowMs) : nil
  }

  private mutating func noteAnswer(isOfUse: Bool, nowMs: Int64) {
    throttle.noteAnswer(nowMs: nowMs)
    failures = 0
    answers = isOfUse ? answers + 1 : 0
    if !isOfUse { failedAtMs = nowMs }
    if isOpen {
      let isPauseOver = nowMs >= openUntilMs
      rise(nowMs: nowMs)
      // A late answer to a call from before the pause says less.
      if isPauseOver { recover() }
    } else if answers >= Self.answersInRow, nowMs - failedAtMs >= Self.answersOnlyMs,
      throttle.refusedPart(nowMs: nowMs) > 0
    {
      rise(nowMs: nowMs)
      recover()
    }
  }

  /// Calls begin again, few at first.
  private mutating func rise(nowMs: Int64) {
    openUntilMs = .min
    ramp = ExchangeRamp(sinceMs: max(nowMs, heldUntilMs))
  }

  /// What was is over.
  private mutating func recover() {
    throttle.clear()
    isProven = true
    returns += 1
  }

  private mutating func countFailure(since beganMs: Int64, _ isTrialsEnd: Bool, nowMs: Int64) {
    failures += 1
    // A trial is one too many, however many failures a late answer has taken back.
    let isOneTooMany = failures >= settings.failures || isOpen && isTrialsEnd
    guard settings.failures > 0, isOneTooMany else { return }
    // Calls from before the pause that fail in it make it no longer.
    if !isOpen || isTrialsEnd { openUntilMs = max(nowMs, beganMs + settings.cooldownMs) }
  }

  /// It is asked less.
  private mutating func spare(nowMs: Int64) {
    throttle.noteFailure(nowMs: nowMs)
    if share(nowMs: nowMs) < 1 { ramp?.fall(nowMs: nowMs) } else { ramp = nil }
  }

  /// The operator has been told that something is the matter.
  mutating func noteTold(nowMs: Int64) {
    isTold = true
    noteTrouble(nowMs: nowMs)
  }

  private mutating func noteTrouble(nowMs: Int64) {
    answers = 0
    isProven = false
    failedAtMs = nowMs
    outSinceMs = outSinceMs ?? nowMs
  }

  private mutating func takeReturn(nowMs: Int64) -> Return? {
    guard let outSinceMs, !isOpen, throttle.refusedPart(nowMs: nowMs) == 0,
      isProven || answers >= Self.answersInRow || nowMs - failedAtMs >= Self.quietMs
    else { return nil }
    let back = Return(outMs: nowMs - outSinceMs, notTried: notTried)
    defer { isTold = false }
    self.outSinceMs = nil
    notTried = 0
    return isTold ? back : nil
  }
}

/// The same for all workers. A lock for each exchange is nothing beside the call; and a service
/// that each worker had to find out about by itself would get as many trials and as much at once.
final class ExchangeGate: Sendable {
  private let guarded: Mutex<ExchangeGuard>
  private let counts = Mutex(NotTried())

  /// Exchanges that were not tried, by why.
  struct NotTried {
    var open: UInt64 = 0
    var patience: UInt64 = 0
    var throttled: UInt64 = 0
  }

  /// - Parameter former: whose numbers go on; what it knows of its service does not.
  init(_ settings: ExchangeSettings.Breaker, after former: ExchangeGate? = nil) {
    guarded = Mutex(ExchangeGuard(settings, seed: UInt64.random(in: 0 ... .max)))
    if let numbers = former?.notTried { counts.withLock { $0 = numbers } }
  }

  var isOpen: Bool { guarded.withLock { $0.isOpen } }
  var notTried: NotTried { counts.withLock { $0 } }

  /// Whether it is no time for what can wait: nobody would try, or callers are short of calls.
  func isShort(nowMs: Int64, callersWait: Bool) -> Bool {
    guarded.withLock { $0.denial(nowMs: nowMs) != nil || callersWait && $0.isWeak(nowMs: nowMs) }
  }

  func admit(nowMs: Int64) throws(ExchangeGuard.Denial) {
    do throws(ExchangeGuard.Denial) {
      try guarded.withLock { (state) throws(ExchangeGuard.Denial) in try state.admit(nowMs: nowMs) }
    } catch {
      count(error)
      throw error
    }
  }

  func begin(nowMs: Int64) throws(ExchangeGuard.Denial) -> ExchangeGuard.Pass {
    do throws(ExchangeGuard.Denial) {
      return try guarded.withLock { (state) throws(ExchangeGuard.Denial) in
        try state.begin(nowMs: nowMs)
      }
    } catch {
      count(error)
      throw error
    }
  }

  func mayTryAgain(_ pass: ExchangeGuard.Pass, nowMs: Int64) -> Bool {
    guarded.withLock { $0.mayTryAgain(pass, nowMs: nowMs) }
  }

  /// Of so many calls, how many may be under way at once now: one at least.
  func callsMax(of calls: Int, nowMs: Int64) -> Int {
    Self.callsMax(of: calls, share: guarded.withLock { $0.share(nowMs: nowMs) })
  }

  static func callsMax(of calls: Int, share: Double) -> Int {
    share >= 1 ? calls : max(1, Int((share * Double(calls)).rounded(.up)))
  }

  func hold(untilMs: Int64) { guarded.withLock { $0.hold(untilMs: untilMs) } }

  func note(
    _ outcome: ExchangeGuard.Outcome, of pass: ExchangeGuard.Pass, nowMs: Int64
  ) -> ExchangeGuard.Return? {
    guarded.withLock { $0.note(outcome, of: pass, nowMs: nowMs) }
  }

  func noteTold(nowMs: Int64) { guarded.withLock { $0.noteTold(nowMs: nowMs) } }

  private func count(_ denial: ExchangeGuard.Denial) {
    counts.withLock { counts in
      switch denial {
      case .open: counts.open += 1
      case .patience: counts.patience += 1
      case .throttled: counts.throttled += 1
      }
    }
  }
}
