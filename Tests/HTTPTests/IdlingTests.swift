import Testing

@testable import HTTP

struct IdlingTests {
  @Test func `a few and those in a hurry keep their tasks for long, others for a moment`() {
    let idling = Idling()
    let long = idling.patienceMs(isInHurry: false)
    var count = 0
    while idling.patienceMs(isInHurry: false) == long, count < 10_000 {
      idling.begin()
      count += 1
    }
    #expect(count < 1_000 && idling.patienceMs(isInHurry: false) * 10 <= long)
    #expect(idling.patienceMs(isInHurry: true) == long)
    idling.end()
    #expect(idling.patienceMs(isInHurry: false) == long)
  }
}
