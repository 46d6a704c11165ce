import Reactor
import Testing

@testable import Gateway

/// What becomes of a process that has taken over.
struct ProbationTests {
  private typealias Sights = [(Probation.Sight, atMs: Int64)]

  /// The verdict after all of these; each before the last leaves it open.
  private func verdict(_ sights: Sights) -> Probation.Verdict {
    var probation = Probation(fromMs: 1_000, lastingMs: 5_000)
    var verdict = Probation.Verdict.goesOn
    for (sight, atMs) in sights {
      #expect(verdict == .goesOn)
      verdict = probation.judge(sight, atMs: atMs)
    }
    return verdict
  }

  @Test func `one that lives for the whole time stays`() {
    let alive = Probation.Sight.line("alive")
    let life: Sights = stride(from: 1_000, to: 6_000, by: 250).flatMap { atMs in
      [(alive, atMs), (.nothing, atMs + 20), (.nothing, atMs + 200)]
    }
    #expect(verdict(life) == .goesOn)
    #expect(verdict(life + [(.nothing, 6_000)]) == .stands)
    // Whoever looked on stood still for an hour: then it reads what was said meanwhile.
    #expect(verdict([(.nothing, 1_100), (alive, 3_600_000)]) == .stands)
    #expect(verdict([(.nothing, 1_100), (.line("alone"), 5_000)]) == .stands)
  }

  @Test func `one that gives no sign of life is replaced`() {
    let silence = Probation.Verdict.failed("it gave no sign of life for 3 s")
    #expect(verdict([(.nothing, 1_000), (.nothing, 3_999), (.nothing, 4_000)]) == silence)
    let alive = Probation.Sight.line("alive")
    // In its last second, too: then it is waited for.
    let end: Sights = [(alive, 5_000), (.nothing, 5_020), (.nothing, 6_500)]
    #expect(verdict(end) == .goesOn)
    #expect(verdict(end + [(.nothing, 8_020)]) == silence)
    #expect(verdict(end + [(alive, 7_000)]) == .stands)
  }

  @Test func `one that dies is replaced, however late that is seen`() {
    for atMs: Int64 in [1_000, 5_999, 6_000, 3_600_000] {
      #expect(verdict([(.ended("signal 9 ended it"), atMs)]) == .failed("signal 9 ended it"))
    }
  }

  @Test func `one that says what it has no reason to is replaced, and nothing obeys its words`() {
    #expect(verdict([(.line("serving"), 2_000)]) == .failed("it says \"serving\""))
    #expect(verdict([(.line("\u{1b}[2J"), 2_000)]) == .failed("it says \"\u{FFFD}[2J\""))
  }

  @Test func `an end in good order is none to come back from`() {
    #expect(verdict([(.nothing, 1_000), (.line("ending"), 2_000)]) == .ends(.new))
    // Also where it is seen when all would be over.
    #expect(verdict([(.line("ending"), 6_000)]) == .ends(.new))
    for signal in [Signals.Signal.terminate, .interrupt] {
      #expect(verdict([(.signal(signal), 2_000)]) == .ends(.old))
    }
  }

  @Test func `a reload that was asked for is kept in mind, and no other signal matters`() {
    var probation = Probation(fromMs: 0, lastingMs: 10)
    for signal in [Signals.Signal.user1, .user2, .bell, .foldersTouched] {
      let verdict = probation.judge(.signal(signal), atMs: 1)
      #expect(verdict == .goesOn)
      #expect(!probation.wasHungUp)
    }
    let verdicts = [
      probation.judge(.signal(.hangUp), atMs: 2), probation.judge(.line("alive"), atMs: 10),
    ]
    #expect(verdicts == [.goesOn, .stands])
    #expect(probation.wasHungUp)
  }

  @Test func `it is no longer than the time for which the old one is there anyway`() {
    #expect(Limits.probationMs <= Limits.leaveSoftlyMs)
    #expect(Limits.probationMs < Limits.probationMsMax)
  }
}

/// What a process tells of the doors that it has no use for.
struct LeftDoorsTests {
  @Test func `is understood as it is told`() {
    let doors: Set<Door> = [
      .listener("127.0.0.1:8443"), .listener("unix:/run/a b.sock"), .admin("[::1]:9901"),
      .probes(""),
    ]
    var heard = LeftDoors()
    for line in LeftDoors(doors).lines {
      let isTaken = heard.take(line)
      #expect(isTaken)
    }
    #expect(heard.doors == doors)
  }

  @Test(
    arguments: [
      "", "left", "left\tlistener", "left\twindow\tx", "left\tlistener\tx\ty", "right\tlistener\tx",
      "serving", " left\tlistener\tx",
    ])
  func `is nothing else`(_ line: String) {
    var heard = LeftDoors()
    let isTaken = heard.take(line)
    #expect(!isTaken)
    #expect(heard == LeftDoors())
  }
}
