import Testing

@testable import Gateway

@Suite struct `Connections that give way, and those that are turned away` {
  @Test func `the one that idles longest is taken first, and only once`() {
    var queue = IdleQueue()
    for serial in 1...3 { queue.append(UInt64(serial), sinceMs: Int64(serial)) { _, _ in true } }
    let first = queue.takeFirst(since: 2) { _, _ in true }
    #expect(first == 1)
    let second = queue.takeFirst(since: 2) { _, _ in true }
    #expect(second == 2)
    let none = queue.takeFirst(since: 2) { _, _ in true }
    #expect(none == nil)
    let third = queue.takeFirst(since: 3) { _, _ in true }
    #expect(third == 3)
    let fourth = queue.takeFirst(since: 9) { _, _ in true }
    #expect(fourth == nil)
  }

  @Test func `one that woke meanwhile is passed over`() {
    var queue = IdleQueue()
    queue.append(1, sinceMs: 1) { _, _ in true }
    queue.append(2, sinceMs: 2) { _, _ in true }
    let onlyOne = queue.takeFirst(since: 5) { serial, _ in serial == 2 }
    #expect(onlyOne == 2)
  }

  @Test func `entries of connections that come and go do not pile up`() {
    var queue = IdleQueue()
    for number in 0..<100_000 {
      queue.append(7, sinceMs: Int64(number)) { _, sinceMs in sinceMs == Int64(number) }
    }
    #expect(queue.count <= 1_024)
    let last = queue.takeFirst(since: .max) { _, sinceMs in sinceMs == 99_999 }
    #expect(last == 7)
  }

  @Test func `so many are told at once, and so many handshakes made a second`() {
    var budget = ShedBudget()
    for _ in 0..<Limits.shedHandshakesPerSecond {
      let isTold = budget.take(handshake: true, nowMs: 5_000)
      #expect(isTold)
    }
    let oneMore = budget.take(handshake: true, nowMs: 5_999)
    #expect(!oneMore)
    let inTheNext = budget.take(handshake: true, nowMs: 6_000)
    #expect(inTheNext)
    var told = Limits.shedHandshakesPerSecond + 1
    while budget.take(handshake: false, nowMs: 6_000) { told += 1 }
    #expect(told == Limits.shedsMax)
    budget.give()
    let again = budget.take(handshake: false, nowMs: 6_000)
    #expect(again)
  }
}
