import Testing

@testable import Gateway

struct EjectionTests {
  @Test func `ejections that follow soon are longer each time, up to eight times the first`() {
    var ejection = Ejection()
    var nowMs: Int64 = 5_000
    for length: Int64 in [100, 200, 400, 800, 800, 800] {
      #expect(ejection.begin(nowMs: nowMs, baseMs: 100) == length)
      // It is tried at the end and fails at once.
      nowMs += length
    }
  }

  @Test func `a server that did well for as long as it was left out begins anew`() {
    var ejection = Ejection()
    #expect(ejection.begin(nowMs: 0, baseMs: 100) == 100)
    #expect(ejection.begin(nowMs: 100, baseMs: 100) == 200)
    ejection.end(nowMs: 300)
    #expect(ejection.begin(nowMs: 499, baseMs: 100) == 400)
    ejection.end(nowMs: 899)
    #expect(ejection.begin(nowMs: 1_299, baseMs: 100) == 100)
  }
}

struct HealthRecordTests {
  private let settings = UpstreamSettings.HealthCheck(
    path: "/", intervalMs: 1, timeoutMs: 1, healthyAfter: 2, unhealthyAfter: 3)

  private func changes(_ outcomes: String) -> String {
    var record = HealthRecord()
    return String(
      outcomes.map { outcome in
        switch record.note(isGood: outcome == "+", by: settings) {
        case .fell: "F"
        case .rose: "R"
        case nil: "."
        }
      })
  }

  @Test(arguments: [
    ("+++", "..."),
    // Never seen well: one failure is enough.
    ("-", "F"), ("--++", "F..R"), ("-+-+-++", "F.....R"),
    // Seen well: it takes three in a row.
    ("+--+---", "......F"), ("+---+-++", "...F...R"), ("+---++--", "...F.R.."),
    ("+---++---", "...F.R..F"),
  ])
  func `checks in a row change what is thought of a server`(outcomes: String, expected: String) {
    #expect(changes(outcomes) == expected)
  }
}

struct ResendBudgetTests {
  private func takeAll(_ budget: ResendBudget, adding requests: Int = 0, nowMs: Int64) -> Int {
    var count = 0
    while budget.take(adding: count == 0 ? requests : 0, nowMs: nowMs) { count += 1 }
    return count
  }

  @Test func `a fifth of the requests may be sent again, and ten where that is less`() {
    let budget = ResendBudget()
    #expect(takeAll(budget, nowMs: 1_000) == 10)
    #expect(takeAll(budget, adding: 4, nowMs: 1_000) == 0)
    budget.add(96, nowMs: 1_500)
    #expect(takeAll(budget, nowMs: 1_999) == 10)
    #expect(takeAll(budget, adding: 1_000, nowMs: 2_000) == 200)
  }

  @Test func `what is older than ten seconds counts for nothing`() {
    let budget = ResendBudget()
    budget.add(10_000, nowMs: 999)
    #expect(takeAll(budget, nowMs: 9_999) == 2_000)
    #expect(takeAll(budget, nowMs: 10_000) == 0, "what was sent again is still in the window")
    #expect(takeAll(budget, nowMs: 19_999) == 10)
    #expect(takeAll(budget, nowMs: 500_000) == 10)
  }
}
