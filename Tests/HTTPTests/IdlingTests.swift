import Testing

@testable import HTTP

struct IdlingTests {
  @Test func `a few keep their tasks for long, and all others for a moment`() {
    let idling = Idling()
    let long = idling.patienceMs(lastTurnMs: 0)
    var count = 0
    while idling.patienceMs(lastTurnMs: 0) == long, count < 10_000 {
      idling.begin()
      count += 1
    }
    #expect(count < 1_000 && idling.patienceMs(lastTurnMs: 0) * 10 <= long)
    // Longer than a turn or two, in which nobody looks.
    #expect(idling.patienceMs(lastTurnMs: 20) > 2 * 20)
    #expect(idling.patienceMs(lastTurnMs: 1_000) == long)
    idling.end()
    #expect(idling.patienceMs(lastTurnMs: 0) == long)
  }
}
