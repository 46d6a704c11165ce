import Testing

@testable import HTTP

struct IdlingTests {
  @Test func `a few keep their tasks for long, and all others for a moment`() {
    let idling = Idling()
    let long = idling.patienceMs
    var count = 0
    while idling.patienceMs == long, count < 10_000 {
      idling.begin()
      count += 1
    }
    #expect(count < 1_000 && idling.patienceMs * 10 <= long)
    idling.end()
    #expect(idling.patienceMs == long)
  }
}
