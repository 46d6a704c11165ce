import HTTP
import Synchronization

/// How one server is doing, as all workers know it. It outlives a reload that keeps the server.
///
/// What every request looks at are atomics; what seldom changes is behind locks.
final class ServerState: Sendable {
  /// What keeps a server from getting requests.
  struct Trouble: OptionSet {
    let rawValue: UInt8
    /// Checks say so.
    static let unwell = Trouble(rawValue: 1)
    /// Its failures say so, for a while.
    static let ejected = Trouble(rawValue: 2)
    /// It does not answer at all: what waits for it waits in vain.
    static let silent = Trouble(rawValue: 4)
  }

  /// Whether a server may be given a request now.
  enum Standing: Equatable {
    case trusted
    /// It was left out for long enough: one request may try it.
    case due
    case ejected
    case unwell
  }

  /// Requests under way; kept where there are several servers to choose from.
  let inFlight = Atomic<Int>(0)
  private let trouble = Atomic<UInt8>(0)
  private let failuresInRow = Atomic<Int>(0)
  private let ejectedUntilMs = Atomic<Int64>(0)
  private let ejection = Mutex(Ejection())
  private let health = Mutex(HealthRecord())
  private let isChecked = Atomic<Bool>(false)
  private let ejections = Atomic<UInt64>(0)
  let tallies = ServerTallies()
  private let telling = Mutex(Telling())

  /// What the operator was told of connections that did not come about.
  private struct Telling {
    var atMs: [ConnectFault.Kind: Int64] = [:]
    /// Whether that is the last that was told of the server.
    var isLast = false
  }

  /// The same cause is told of at most so often: the first time at once, whatever comes of others.
  static let tellEveryMs: Int64 = 30_000

  var isTrusted: Bool { trouble.load(ordering: .relaxed) == 0 }
  var isUnwell: Bool { has(.unwell) }
  var isEjected: Bool { has(.ejected) }
  var isSilent: Bool { has(.silent) }
  var ejectionCount: UInt64 { ejections.load(ordering: .relaxed) }

  /// How many requests in a row have failed.
  var failureCount: Int { failuresInRow.load(ordering: .relaxed) }

  func standing(nowMs: Int64) -> Standing {
    if isTrusted { return .trusted }
    if isUnwell { return .unwell }
    return nowMs >= ejectedUntilMs.load(ordering: .relaxed) ? .due : .ejected
  }

  private func has(_ flag: Trouble) -> Bool {
    trouble.load(ordering: .relaxed) & flag.rawValue != 0
  }

  private func set(_ flags: Trouble, _ isSet: Bool) {
    if isSet {
      trouble.bitwiseOr(flags.rawValue, ordering: .relaxed)
    } else {
      trouble.bitwiseAnd(~flags.rawValue, ordering: .relaxed)
    }
  }

  // What requests say.

  /// A request was answered as it should be.
  ///
  /// - Returns: how many before it had failed in a row.
  func noteSuccess() -> Int {
    // Nearly always zero: only a look, on a line that nobody writes.
    if failuresInRow.load(ordering: .relaxed) == 0 { return 0 }
    return failuresInRow.exchange(0, ordering: .relaxed)
  }

  /// - Returns: how many requests in a row have failed now.
  func noteFailure() -> Int { failuresInRow.add(1, ordering: .relaxed).newValue }

  /// Takes the right to try a server that was left out: for one request, until it has ended or for
  /// `leaseMs`.
  func takeTrial(nowMs: Int64, leaseMs: Int64) -> Bool {
    let untilMs = ejectedUntilMs.load(ordering: .relaxed)
    guard nowMs >= untilMs, isEjected else { return false }
    return ejectedUntilMs.compareExchange(
      expected: untilMs, desired: nowMs + leaseMs, ordering: .relaxed
    ).exchanged
  }

  /// The trial said nothing: another request may have it.
  func giveTrialBack(nowMs: Int64) { ejectedUntilMs.store(nowMs, ordering: .relaxed) }

  /// Leaves the server out.
  ///
  /// - Returns: for how long.
  func eject(nowMs: Int64, baseMs: Int64, isSilent: Bool) -> Int64 {
    let lengthMs = ejection.withLock { $0.begin(nowMs: nowMs, baseMs: baseMs) }
    ejectedUntilMs.store(nowMs + lengthMs, ordering: .relaxed)
    set(isSilent ? [.ejected, .silent] : .ejected, true)
    ejections.add(1, ordering: .relaxed)
    failuresInRow.store(0, ordering: .relaxed)
    return lengthMs
  }

  /// Takes it back.
  ///
  /// - Returns: whether it was left out.
  func readmit(nowMs: Int64) -> Bool {
    guard isEjected else { return false }
    ejection.withLock { $0.end(nowMs: nowMs) }
    failuresInRow.store(0, ordering: .relaxed)
    set(isUnwell ? .ejected : [.ejected, .silent], false)
    return true
  }

  // What the operator is told.

  /// Whether it is time to tell that no connection came about for this cause.
  func takeTelling(_ kind: ConnectFault.Kind, nowMs: Int64) -> Bool {
    telling.withLock { telling in
      if let lastMs = telling.atMs[kind], nowMs - lastMs < Self.tellEveryMs { return false }
      telling.atMs[kind] = nowMs
      telling.isLast = true
      return true
    }
  }

  /// Whether that is the last that was told; not afterwards.
  func takeTold() -> Bool {
    telling.withLock { telling in
      defer { telling.isLast = false }
      return telling.isLast
    }
  }

  // What checks say.

  /// Takes a check's outcome.
  ///
  /// - Parameter isSilent: whether there was no answer at all.
  /// - Returns: what it changed.
  func noteCheck(
    isGood: Bool, isSilent: Bool, by settings: UpstreamSettings.HealthCheck
  ) -> HealthRecord.Change? {
    // The last one of a configuration that is no more: nobody would ever take it back.
    guard isChecked.load(ordering: .relaxed) else { return nil }
    let change = health.withLock { $0.note(isGood: isGood, by: settings) }
    switch change {
    case .fell: set(isSilent ? [.unwell, .silent] : .unwell, true)
    case .rose: set([.unwell, .silent], false)
    case nil: break
    }
    return change
  }

  /// Says whether checks are made. When they no longer are, what they said is of no use.
  func setChecked(_ isChecked: Bool) {
    self.isChecked.store(isChecked, ordering: .relaxed)
    if isChecked { return }
    health.withLock { $0 = HealthRecord() }
    if isUnwell { set([.unwell, .silent], false) }
  }
}

/// What one worker counts of one server. Only that worker writes, so that counting costs a load and
/// a store; whoever gathers the numbers reads them at any time.
final class ServerTally: Sendable {
  let requests = Count()
  let failures = Count()
  let resends = Count()
}

/// The tallies of one server, one for each worker.
final class ServerTallies: Sendable {
  private let byWorker = Mutex<[Int: ServerTally]>([:])

  func tally(of worker: Int) -> ServerTally {
    byWorker.withLock { tallies in
      if let tally = tallies[worker] { return tally }
      let tally = ServerTally()
      tallies[worker] = tally
      return tally
    }
  }

  /// All workers' numbers together.
  func sum(_ count: (ServerTally) -> Count) -> UInt64 {
    byWorker.withLock { tallies in tallies.values.reduce(0) { $0 + count($1).value } }
  }
}
