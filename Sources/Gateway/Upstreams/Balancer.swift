import Glibc
import HTTP
import OAuth
import Reactor
import Synchronization
import Wire

/// Chooses one of several servers, for one worker.
final class Balancer {
  private let balance: UpstreamSettings.Balance
  private let weights: [Int]
  /// Whether all weights are the same.
  private let isEven: Bool
  /// Of smooth weighted round robin, by server.
  private var turns: [Int]
  /// Where plain round robin goes on.
  private var next: Int
  /// Of rendezvous hashing, by server.
  private let names: [UInt64]
  private let field: FieldNameKey?
  private var random: SmallRandom

  /// So few are all looked at; of more two by chance are nearly as good (power of two choices).
  private static let allLookedAtMax = 4

  init(_ shared: SharedUpstream) {
    balance = shared.settings.balance
    let weights = shared.settings.servers.map(\.weight)
    self.weights = weights
    isEven = Set(weights).count == 1
    turns = weights.map { _ in 0 }
    random = SmallRandom(seed: UInt64.random(in: .min ... .max))
    // Workers begin at different servers.
    next = random.number(below: weights.count)
    // By what the servers are called, not by their places in the file: every gateway, and the next
    // file, assigns a value to the same server.
    names = shared.servers.map { KeyHash.of(Array($0.target.description.utf8).span) }
    if case .hash(.header(let name)) = balance {
      field = FieldNameKey(name.bytes)
    } else {
      field = nil
    }
  }

  /// Chooses one of `candidates`, which are not empty; it may leave some out of them.
  func choose(
    from candidates: inout [Int], of servers: [Upstream.Server], for request: Request
  ) -> Int {
    if candidates.count == 1 { return candidates[0] }
    if case .hash(let value) = balance, let key = hash(of: value, in: request) {
      return rendezvous(key, candidates)
    }
    // A server where the request would have to wait for a connection is not asked while there is
    // another.
    if !candidates.allSatisfy({ servers[$0].pool.hasRoom }) {
      let free = candidates.filter { servers[$0].pool.hasRoom }
      if !free.isEmpty { candidates = free }
      if free.count == 1 { return free[0] }
    }
    switch balance {
    case .roundRobin: return takeTurn(among: candidates)
    case .random: return byChance(among: candidates)
    case .leastRequests, .hash: return leastBusy(among: candidates, of: servers)
    }
  }

  /// The one with the fewest requests under way for its weight; among those that have as few,
  /// chance decides by weight.
  private func leastBusy(among candidates: [Int], of servers: [Upstream.Server]) -> Int {
    var best = byChance(among: candidates)
    var bestLoad = load(of: servers[best])
    func look(at index: Int) {
      let other = load(of: servers[index])
      if other * weights[best] < bestLoad * weights[index] {
        best = index
        bestLoad = other
      }
    }
    if candidates.count <= Self.allLookedAtMax {
      let start = random.number(below: candidates.count)
      for offset in candidates.indices {
        look(at: candidates[(start + offset) % candidates.count])
      }
    } else {
      look(at: byChance(among: candidates))
    }
    return best
  }

  private func load(of server: Upstream.Server) -> Int {
    server.shared.state.inFlight.load(ordering: .relaxed)
  }

  /// In turn, each as often as its weight says, and those of more weight spread out: whoever has
  /// waited longest for its weight is next.
  func takeTurn(among candidates: [Int]) -> Int {
    if isEven {
      // The first from `next` on.
      let index = candidates.first { $0 >= next } ?? candidates[0]
      next = index + 1
      return index
    }
    var total = 0
    var best = candidates[0]
    for index in candidates {
      turns[index] += weights[index]
      total += weights[index]
      if turns[index] > turns[best] { best = index }
    }
    turns[best] -= total
    return best
  }

  func byChance(among candidates: [Int]) -> Int {
    if isEven { return candidates[random.number(below: candidates.count)] }
    var rest = random.number(below: candidates.reduce(0) { $0 + weights[$1] })
    for index in candidates {
      rest -= weights[index]
      if rest < 0 { return index }
    }
    return candidates[0]
  }

  /// Weighted rendezvous hashing: each server scores the value, and the highest wins. A server that
  /// goes or comes moves only the values that are or become its own.
  func rendezvous(_ key: UInt64, _ candidates: [Int]) -> Int {
    var best = candidates[0]
    var bestScore = -Double.infinity
    for index in candidates {
      let score = KeyHash.score(key, server: names[index], weight: weights[index])
      if score > bestScore {
        best = index
        bestScore = score
      }
    }
    return best
  }

  /// The hash of a request's value; nil where it has none.
  private func hash(of value: UpstreamSettings.HashedValue, in request: Request) -> UInt64? {
    switch value {
    case .header:
      guard let field else { return nil }
      let received = request.connection.received
      for line in request.connection.head.fields
      where field.matches(line, in: received.readable) && !line.value.isEmpty {
        return KeyHash.of(received.slice(line.value))
      }
      return nil
    case .claim(let name):
      guard let claims = request.record.caller?.verified.claims, let node = name.value(in: claims)
      else { return nil }
      switch node.value {
      case .string(let text): return text.isEmpty ? nil : KeyHash.of(text.bytes.span)
      case .number(let number): return KeyHash.of(number.text.bytes.span)
      case .bool(let flag): return KeyHash.of([flag ? 1 : 0])
      case .null, .array, .object: return nil
      }
    }
  }
}

/// Hashes that are the same in every process: which server a value goes to must not depend on the
/// gateway that it came to. They defend against nothing; whoever chooses the value chooses the
/// server.
enum KeyHash {
  /// FNV-1a, mixed.
  static func of(_ bytes: Span<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for index in 0..<bytes.count {
      hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01b3
    }
    return SmallRandom.mixed(hash)
  }

  static func of(_ bytes: [UInt8]) -> UInt64 { of(bytes.span) }

  /// A server's score for a value (weighted rendezvous hashing, Schindelhauer and Schomaker 2005).
  static func score(_ key: UInt64, server: UInt64, weight: Int) -> Double {
    let mixed = SmallRandom.mixed(key ^ server &* 0x9e37_79b9_7f4a_7c15)
    // Above 0 and below 1.
    let part = (Double(mixed >> 11) + 0.5) / 9_007_199_254_740_992
    return -Double(weight) / log(part)
  }
}

/// Chance without a system call: SplitMix64.
struct SmallRandom {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// - Parameter bound: at least 1.
  mutating func number(below bound: Int) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    let wide = Self.mixed(state).multipliedFullWidth(by: UInt64(bound))
    return Int(wide.high)
  }

  static func mixed(_ value: UInt64) -> UInt64 {
    var value = value
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }
}
