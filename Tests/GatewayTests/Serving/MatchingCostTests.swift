import Glibc
import Testing

@testable import Gateway

/// What it costs to find a route among many, beside a few, by the CPU time of this thread.
struct MatchingCostTests {
  private static let literals = 10_000

  /// Paths `/service-NNNNN/items/{id}`, of which the first `count` are patterns.
  private static func tree(_ count: Int) -> PathTree {
    var patterns = PathPatterns()
    for number in 0..<count {
      patterns.insert(
        [.literal(Array(path(number).dropFirst())), .literal(Array("items".utf8)), .parameter],
        value: number)
    }
    return PathTree(patterns)
  }

  private static func path(_ number: Int) -> [UInt8] {
    let digits = String(number)
    return Array("/service-\(String(repeating: "0", count: 5 - digits.count))\(digits)".utf8)
  }

  private static func cpuNs() -> Int64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  /// Nanoseconds for each of so many look-ups, spread over the first `count` paths.
  private static func cost(_ tree: PathTree, _ count: Int) -> Double {
    // One path whose digits change, as a request's path stands in one buffer.
    var path = path(0) + "/items/7".utf8
    let lookups = 20_000
    var number = 0
    var found = 0
    let began = cpuNs()
    for _ in 0..<lookups {
      number = (number + 7_919) % count
      var rest = number
      for place in stride(from: 13, through: 9, by: -1) {
        path[place] = UInt8(ascii: "0") + UInt8(rest % 10)
        rest /= 10
      }
      if let place = tree.find(path.span, where: { _ in true }), tree[place.lowerBound] == number {
        found += 1
      }
    }
    let took = cpuNs() - began
    #expect(found == lookups)
    return Double(took) / Double(lookups)
  }

  @Test func `matching among ten thousand routes costs at most twice matching among ten`() {
    let few = Self.tree(10)
    let many = Self.tree(Self.literals)
    var ratios: [Double] = []
    for _ in 0..<9 { ratios.append(Self.cost(many, Self.literals) / Self.cost(few, 10)) }
    ratios.sort()
    #expect(ratios[ratios.count / 2] <= 2, "\(ratios)")
  }
}
