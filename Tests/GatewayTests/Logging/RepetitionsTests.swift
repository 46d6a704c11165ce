import Testing

@testable import Gateway

struct RepetitionsTests {
  @Test
  func `the first few of a line are said and the rest is counted`() {
    var repetitions = Repetitions()
    let said = (0..<12).filter { repetitions.take("again", nowMs: Int64($0)) }
    #expect(said == Array(0..<Repetitions.saidMax))
    #expect(repetitions.takeOver(nowMs: Repetitions.windowMs - 1) == [])
    #expect(
      repetitions.takeOver(nowMs: Repetitions.windowMs) == [
        "again (left out here 7 times: it repeats)"
      ])
    #expect(repetitions.takeOver(nowMs: .max) == [])
    let isSaid = repetitions.take("again", nowMs: Repetitions.windowMs)
    #expect(isSaid)
  }

  @Test
  func `lines of another text or level are told apart`() {
    var repetitions = Repetitions()
    for _ in 0..<20 { _ = repetitions.take("again", nowMs: 0) }
    let other = repetitions.take("another", nowMs: 0)
    let level = repetitions.take(.warning("again"), nowMs: 0)
    #expect(other && level)
  }

  @Test
  func `a line that was said once is not told of`() {
    var repetitions = Repetitions()
    _ = repetitions.take("once", nowMs: 0)
    #expect(repetitions.takeOver(nowMs: .max) == [])
  }

  @Test
  func `a flood of different lines takes bounded room`() {
    var repetitions = Repetitions()
    let said = (0..<10_000).count { repetitions.take("line \($0)", nowMs: 0) }
    #expect(said == Repetitions.linesMax + Repetitions.saidMax)
    let over = repetitions.takeOver(nowMs: .max)
    #expect(over == ["other lines (left out here \(10_000 - said) times: it repeats)"])
  }
}

struct OperatorLineFormatTests {
  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test
  func `text says a level where it matters and stays one line`() {
    let format = OperatorLineFormat.text
    #expect(text(format.line("well \"done\"", atMs: 0)) == "tollgate: well \"done\"\n")
    #expect(
      text(format.line(.warning("a\nb\u{1B}[2J\u{202E}\\"), atMs: 0))
        == "tollgate: warning: a\\nb\\u001b[2J\\u202e\\\\\n")
    #expect(text(format.own(.error("tollgate: no"), atMs: 0)) == "tollgate: error: no\n")
    #expect(
      text(format.own(.warning("tollgate: warning: few"), atMs: 0)) == "tollgate: warning: few\n")
    let problem = "routes.json:1:1: no\n  ^"
    #expect(text(format.own(.error(problem), atMs: 0)) == "\(problem)\n")
  }

  @Test
  func `json is an object a line`() {
    let format = OperatorLineFormat.json
    #expect(
      text(format.line(.warning("a\n\"b\""), atMs: 0))
        == "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warning\","
        + "\"message\":\"a\\n\\\"b\\\"\"}\n")
    #expect(
      text(format.own(.error("tollgate: no"), atMs: 0))
        == "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"error\",\"message\":\"no\"}\n")
  }
}
