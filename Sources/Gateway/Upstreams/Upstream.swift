import HTTP
import Reactor
import Synchronization
import Wire

/// A group of equal servers, as one worker uses it.
final class Upstream {
  final class Server {
    let index: Int
    let shared: SharedServer
    let pool: UpstreamPool
    /// What `Host` says to it.
    let authority: [UInt8]
    /// For the access log, as JSON text with its quotes.
    let nameJSON: [UInt8]
    let tally: ServerTally
    fileprivate let state: ServerState

    init(_ shared: SharedServer, index: Int, pool: UpstreamPool, worker: Int) {
      self.index = index
      self.shared = shared
      self.pool = pool
      state = shared.state
      tally = state.tallies.tally(of: worker)
      authority = Array(shared.target.authority.utf8)
      var name: [UInt8] = []
      JSONWriter.appendString(shared.target.shortName, to: &name)
      nameJSON = name
    }

    /// Whether it does not answer at all, so that what waits for it waits in vain.
    var isSilent: Bool { state.isSilent }
  }

  /// The server that a request goes to.
  struct Choice {
    let server: Server
    /// Whether the request is to find out how a server does that was left out.
    let isTrial: Bool
  }

  let shared: SharedUpstream
  let servers: [Server]
  /// Those of the servers that this worker checks.
  let checkers: [HealthChecker]
  private let balancer: Balancer
  /// What the balancer chooses from; kept for its room.
  private var candidates: [Int] = []
  /// Requests that the budget was not yet told of, and when it is.
  private var untold = 0
  private var tellAtMs = Int64.min

  private static let tellEveryMs: Int64 = 500

  init(_ shared: SharedUpstream, servers: [Server], checkers: [HealthChecker]) {
    self.shared = shared
    self.servers = servers
    self.checkers = checkers
    balancer = Balancer(shared)
  }

  /// Whether there is nothing to choose.
  private var isLone: Bool { servers.count == 1 }

  /// The server for a request, other than those tried; nil where none is to be asked.
  ///
  /// - Parameter tried: by the servers' indexes.
  func pick(for request: Request, except tried: ServerSet, nowMs: Int64) -> Choice? {
    if isLone {
      if !tried.isEmpty || servers[0].state.isUnwell { return nil }
      return Choice(server: servers[0], isTrial: false)
    }
    candidates.removeAll(keepingCapacity: true)
    for server in servers where !tried.contains(server.index) {
      switch server.state.standing(nowMs: nowMs) {
      case .trusted: candidates.append(server.index)
      case .due:
        let leaseMs = shared.settings.outlier.ejectForMs
        if server.state.takeTrial(nowMs: nowMs, leaseMs: leaseMs) {
          return Choice(server: server, isTrial: true)
        }
      case .ejected, .unwell: break
      }
    }
    if candidates.isEmpty {
      // A server that no check calls unwell is better than none, whatever its failures say.
      guard tried.isEmpty else { return nil }
      for server in servers where !server.state.isUnwell { candidates.append(server.index) }
      if candidates.isEmpty { return nil }
    }
    let index = balancer.choose(from: &candidates, of: servers, for: request)
    return Choice(server: servers[index], isTrial: false)
  }

  /// Whether there is a server to ask beside this one and those tried.
  func hasOther(than server: Server, except tried: ServerSet) -> Bool {
    if isLone { return false }
    return servers.contains {
      $0 !== server && $0.state.isTrusted && !tried.contains($0.index)
    }
  }

  /// Counts a request.
  func noteRequest(nowMs: Int64) {
    if isLone { return }
    untold += 1
    if nowMs >= tellAtMs {
      shared.budget.add(untold, nowMs: nowMs)
      untold = 0
      tellAtMs = nowMs + Self.tellEveryMs
    }
  }

  /// Takes a request that is sent again out of the budget.
  func mayResend(nowMs: Int64) -> Bool {
    defer { untold = 0 }
    return shared.budget.take(adding: untold, nowMs: nowMs)
  }

  // What became of a request.

  /// What a request has said of the server that it was sent to.
  enum Verdict {
    case well
    case failed(SharedUpstream.Failure)
    /// Nothing: the caller went, or this machine had no port left.
    case nothing
  }

  func begin(_ choice: Choice) {
    choice.server.tally.requests.increment()
    if !isLone { choice.server.state.inFlight.add(1, ordering: .relaxed) }
  }

  func end(_ choice: Choice, _ verdict: Verdict, nowMs: Int64) {
    let server = choice.server
    let state = server.state
    if !isLone { state.inFlight.subtract(1, ordering: .relaxed) }
    switch verdict {
    case .well: noteSuccess(choice, nowMs: nowMs)
    case .failed(let failure):
      server.tally.failures.increment()
      shared.noteFailure(failure, of: server.index, isTrial: choice.isTrial, nowMs: nowMs)
    case .nothing:
      if choice.isTrial { state.giveTrialBack(nowMs: nowMs) }
    }
  }
}

// A request that becomes a tunnel.

extension Upstream {
  /// The server is well as of now; the tunnel, which may last for days, is counted to its end.
  func noteSuccess(_ choice: Choice, nowMs: Int64) {
    let failed = choice.server.state.noteSuccess()
    if failed > 0 { shared.noteReturn(of: choice.server.index, after: failed) }
    if choice.isTrial { shared.noteTrialSuccess(of: choice.server.index, nowMs: nowMs) }
  }

  /// A tunnel's end, whoever's doing it was, says nothing of the server.
  func endTunnel(_ choice: Choice) {
    if !isLone { choice.server.state.inFlight.subtract(1, ordering: .relaxed) }
  }
}

/// Servers by their indexes; the first 64, which is all there are nearly always, in one word.
struct ServerSet {
  private var first: UInt64 = 0
  private var others: Set<Int> = []

  var isEmpty: Bool { first == 0 && others.isEmpty }

  func contains(_ index: Int) -> Bool {
    index < 64 ? first & (1 << UInt64(index)) != 0 : others.contains(index)
  }

  mutating func insert(_ index: Int) {
    if index < 64 { first |= 1 << UInt64(index) } else { others.insert(index) }
  }
}
