/// Who called most, in constant memory.
///
/// While there are no more callers than places the counts are exact. Beyond that requests of new
/// ones pass uncounted, and each time as many have passed as there are places the lesser half gives
/// its places up: who calls often is soon there again, with a count that is somewhat too low.
struct TopCallers {
  private var table = ByteTable()
  private var counts: [(requests: UInt64, refused: UInt64)] = []
  private(set) var isExact = true
  /// Requests that passed uncounted since places were last given up.
  private var passing = 0
  private let places: Int

  init(places: Int = 8_192) { self.places = places }

  mutating func add(_ caller: Span<UInt8>, isRefused: Bool) {
    if let number = table.number(of: caller, max: places) {
      if number == counts.count { counts.append((0, 0)) }
      counts[number].requests += 1
      if isRefused { counts[number].refused += 1 }
      return
    }
    isExact = false
    passing += 1
    if passing > places { thinOut() }
  }

  /// Forgets the lesser half, whose counts are small, and makes room for others.
  private mutating func thinOut() {
    passing = 0
    let kept = byRequests.prefix(places / 2)
    var next = ByteTable()
    var nextCounts: [(requests: UInt64, refused: UInt64)] = []
    for index in kept {
      let key = table.keys[index]
      if next.number(of: key.span, max: places) != nil { nextCounts.append(counts[index]) }
    }
    table = next
    counts = nextCounts
  }

  /// Those with the most requests.
  func top(_ count: Int) -> [(caller: [UInt8], requests: UInt64, refused: UInt64)] {
    byRequests.prefix(count).map {
      (table.keys[$0], counts[$0].requests, counts[$0].refused)
    }
  }

  private var byRequests: [Int] {
    counts.indices.sorted { counts[$0].requests > counts[$1].requests }
  }
}
