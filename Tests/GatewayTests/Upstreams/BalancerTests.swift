import TestSupport
import Testing

@testable import Gateway

/// The shared side of an upstream as a routes file describes it.
func sharedUpstream(
  _ json: String, after former: SharedUpstream? = nil,
  report: @escaping Report = { _ in }
) throws -> SharedUpstream {
  let text = file([
    ("upstreams", "{\"u\": \(json)}"), ("issuers", nil), ("exchanges", nil), ("routes", "[]"),
  ])
  let settings = try configuration(text).upstreams[0]
  return SharedUpstream(
    settings, TLSMaterial.Client(context: nil, digest: []), after: former, report: report)
}

struct BalancerTests {
  private func balancer(_ weights: [Int], _ balance: String) throws -> Balancer {
    let servers = weights.enumerated().map { "{\"url\": \"http://s\($0)\", \"weight\": \($1)}" }
    return Balancer(
      try sharedUpstream(
        "{\"servers\": [\(servers.joined(separator: ","))], \"balance\": \"\(balance)\"}"))
  }

  private func counts(_ weights: [Int], _ times: Int, _ choose: () -> Int) -> [Int] {
    var counts = weights.map { _ in 0 }
    for _ in 0..<times { counts[choose()] += 1 }
    return counts
  }

  @Test func `turns are as many as weights say, and spread out`() throws {
    for weights in [[1, 1, 1], [5, 1, 1], [3, 2], [2, 2, 1, 7]] {
      let balancer = try balancer(weights, "round-robin")
      let total = weights.reduce(0, +)
      var order: [Int] = []
      for _ in 0..<(3 * total) { order.append(balancer.takeTurn(among: Array(weights.indices))) }
      for index in weights.indices {
        #expect(order.filter { $0 == index }.count == 3 * weights[index])
      }
    }
    let order = try balancer([5, 1, 1], "round-robin")
    let seven = (0..<7).map { _ in order.takeTurn(among: [0, 1, 2]) }
    #expect(seven == [0, 0, 1, 0, 2, 0, 0])
  }

  @Test func `a server that is not there loses its turn and nothing else`() throws {
    let balancer = try balancer([1, 1, 1, 1], "round-robin")
    let counts = counts([1, 1, 1, 1], 300) { balancer.takeTurn(among: [0, 1, 3]) }
    #expect(counts == [100, 100, 0, 100])
  }

  @Test func `chance goes by weight`() throws {
    let weights = [1, 3, 6]
    let balancer = try balancer(weights, "random")
    let counts = counts(weights, 100_000) { balancer.byChance(among: [0, 1, 2]) }
    for index in weights.indices {
      // Six standard deviations are less than 1,000.
      #expect(abs(counts[index] - 10_000 * weights[index]) < 1_000)
    }
  }

  @Test func `hashed values are spread by weight`() throws {
    let weights = [1, 3, 6]
    let balancer = try balancer(weights, "hash:header:x")
    var counts = [0, 0, 0]
    for value in 0..<100_000 {
      counts[balancer.rendezvous(KeyHash.of(Array("user-\(value)".utf8)), [0, 1, 2])] += 1
    }
    for index in weights.indices {
      #expect(abs(counts[index] - 10_000 * weights[index]) < 1_000)
    }
  }

  @Test func `a server that goes moves only its own values, and gets them back`() throws {
    let balancer = try balancer([1, 2, 1, 1], "hash:header:x")
    for value in 0..<5_000 {
      let key = KeyHash.of(Array("v\(value)".utf8))
      let all = balancer.rendezvous(key, [0, 1, 2, 3])
      let without = balancer.rendezvous(key, [0, 1, 3])
      #expect(all == 2 || all == without)
      #expect(balancer.rendezvous(key, [3, 2, 1, 0]) == all)
    }
  }

  @Test func `a value has the same server whatever the order of a file`() throws {
    let one = Balancer(
      try sharedUpstream(
        #"{"servers": ["http://a", "http://b", "http://c"], "balance": "hash:claim:sub"}"#))
    let other = Balancer(
      try sharedUpstream(
        #"{"servers": ["http://c", "http://a", "http://b"], "balance": "hash:claim:sub"}"#))
    for value in 0..<1_000 {
      let key = KeyHash.of(Array("v\(value)".utf8))
      let name = ["a", "b", "c"][one.rendezvous(key, [0, 1, 2])]
      #expect(["c", "a", "b"][other.rendezvous(key, [0, 1, 2])] == name)
    }
  }

  @Test func `hashes are the same in every version of the gateway`() {
    // FNV-1a of "hello" is a430d84680aabd0b (the authors' test vectors); then mixed.
    #expect(KeyHash.of(Array("hello".utf8)) == SmallRandom.mixed(0xa430_d846_80aa_bd0b))
    // SplitMix64's first number from seed 0 is e220a8397b1dcdaf.
    #expect(SmallRandom.mixed(0x9e37_79b9_7f4a_7c15) == 0xe220_a839_7b1d_cdaf)
  }

  @Test func `sets of servers hold any index`() {
    var set = ServerSet()
    #expect(set.isEmpty)
    for index in [0, 63, 64, 1_000] {
      #expect(!set.contains(index))
      set.insert(index)
      #expect(set.contains(index))
    }
    #expect(!set.isEmpty)
    #expect(!set.contains(1))
  }
}
