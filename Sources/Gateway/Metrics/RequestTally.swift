import Synchronization
import Wire

/// Requests of one kind: of a route, with a method, an answer and a reason.
struct RequestKind: Hashable, Sendable {
  let method: Method
  let status: Int
  let reason: Refusal.Reason?
}

/// What one worker counts of one route's requests. What was seen before costs a look at a short
/// list and a few stores.
final class RouteTally {
  private let numbers: RouteNumbers
  private let worker: Int
  private var known: [(kind: RequestKind, durations: DurationTally)] = []
  /// The kind counted last: most often the next one's too.
  private var last: (kind: RequestKind, durations: DurationTally)?
  private let upstream: DurationTally
  /// Of long answers; made for the first one.
  private var begins: DurationTally?

  /// Servers answer with what they like: further statuses are counted as 0.
  private static let kindsMax = 64

  init(_ numbers: RouteNumbers, worker: Int) {
    self.numbers = numbers
    self.worker = worker
    upstream = numbers.upstream(of: worker)
  }

  /// Counts a request whose answer has ended.
  func count(_ kind: RequestKind, ns: Int64, upstreamNs: Int64) {
    if let last, last.kind.status == kind.status,
      last.kind.method.rawValue == kind.method.rawValue, last.kind.reason == nil, kind.reason == nil
    {
      last.durations.add(ns: ns)
    } else {
      let durations = durations(of: kind)
      durations.add(ns: ns)
      last = (kind, durations)
    }
    if upstreamNs > 0 { upstream.add(ns: upstreamNs) }
  }

  /// Notes of a request that was counted that its answer was a long one (`LongAnswers`).
  ///
  /// - Parameter ns: how long it took to begin.
  func noteLong(beganAfterNs ns: Int64) {
    let tally = begins ?? numbers.begins(of: worker)
    begins = tally
    tally.add(ns: ns)
  }

  private func durations(of kind: RequestKind) -> DurationTally {
    for entry in known
    where entry.kind.status == kind.status && entry.kind.method == kind.method
      && entry.kind.reason == kind.reason
    {
      return entry.durations
    }
    let counted =
      known.count < Self.kindsMax ? kind : RequestKind(method: .other, status: 0, reason: nil)
    let durations = numbers.durations(of: counted, worker)
    if known.count < Self.kindsMax { known.append((kind, durations)) }
    return durations
  }
}

/// What all workers count of one route's requests.
final class RouteNumbers: Sendable {
  private struct State {
    var kinds: [RequestKind: [Int: DurationTally]] = [:]
    var upstream: [Int: DurationTally] = [:]
    var begins: [Int: DurationTally] = [:]
  }

  private let state = Mutex(State())

  func durations(of kind: RequestKind, _ worker: Int) -> DurationTally {
    state.withLock { state in
      if let tally = state.kinds[kind]?[worker] { return tally }
      let tally = DurationTally(DurationTally.requestBoundsMs)
      state.kinds[kind, default: [:]][worker] = tally
      return tally
    }
  }

  func upstream(of worker: Int) -> DurationTally {
    state.withLock { state in
      if let tally = state.upstream[worker] { return tally }
      let tally = DurationTally()
      state.upstream[worker] = tally
      return tally
    }
  }

  func begins(of worker: Int) -> DurationTally {
    state.withLock { state in
      if let tally = state.begins[worker] { return tally }
      let tally = DurationTally(DurationTally.requestBoundsMs)
      state.begins[worker] = tally
      return tally
    }
  }

  /// How long long answers took to begin.
  var begins: DurationNumbers {
    Self.sum(state.withLock { $0.begins }.values, DurationTally.requestBoundsMs)
  }

  /// By kind: all workers' durations together.
  var kinds: [(kind: RequestKind, durations: DurationNumbers)] {
    let kinds = state.withLock { $0.kinds }
    return kinds.map { kind, tallies in
      (kind, Self.sum(tallies.values, DurationTally.requestBoundsMs))
    }
  }

  /// How long servers took to begin their answers.
  var upstream: DurationNumbers {
    Self.sum(state.withLock { $0.upstream }.values, DurationTally.boundsMs)
  }

  private static func sum(
    _ tallies: some Sequence<DurationTally>, _ boundsMs: [Double]
  ) -> DurationNumbers {
    var numbers = DurationNumbers(boundsMs)
    for tally in tallies { numbers.add(tally) }
    return numbers
  }
}

/// All routes' numbers, by the routes' names; nil stands for requests that no route had.
///
/// They outlive configurations: a reload sets no number back. Those of routes that are no more go.
final class RequestNumbers: Sendable {
  private let routes = Mutex<[String?: RouteNumbers]>([:])
  /// Checks of tokens that were not known, by worker.
  private let authentications = Mutex<[Int: DurationTally]>([:])

  func numbers(of route: String?) -> RouteNumbers {
    routes.withLock { routes in
      if let numbers = routes[route] { return numbers }
      let numbers = RouteNumbers()
      routes[route] = numbers
      return numbers
    }
  }

  func authentication(of worker: Int) -> DurationTally {
    authentications.withLock { tallies in
      if let tally = tallies[worker] { return tally }
      let tally = DurationTally(DurationTally.shortBoundsMs)
      tallies[worker] = tally
      return tally
    }
  }

  /// Forgets all routes but these.
  func keep(_ names: Set<String>) {
    routes.withLock { routes in
      routes = routes.filter { name, _ in name.map(names.contains) ?? true }
    }
  }

  var byRoute: [(route: String?, numbers: RouteNumbers)] {
    routes.withLock { $0.map { ($0, $1) } }.sorted { ($0.route ?? "") < ($1.route ?? "") }
  }

  var authentication: DurationNumbers {
    var numbers = DurationNumbers(DurationTally.shortBoundsMs)
    for tally in authentications.withLock({ Array($0.values) }) { numbers.add(tally) }
    return numbers
  }
}
