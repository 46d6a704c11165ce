import Reactor
import TestSupport
import Testing

@testable import Gateway

struct NewcomersTests {
  @Test func `the one that came first ends first, once, and nobody who is in`() async throws {
    try await Stage.run { stage in
      var newcomers = Newcomers()
      let all = (1...3).map { serial in
        newcomers.enter(UInt64(serial), stage.makeWaiter(), nowMs: Int64(serial))
      }
      newcomers.leave(1)
      let isSecond = newcomers.giveUpOldest(since: 2)
      #expect(isSecond && all.map(\.isGivenUp) == [false, true, false])
      let isOneMore = newcomers.giveUpOldest(since: 2)
      #expect(!isOneMore)
      let isThird = newcomers.giveUpOldest(since: 3)
      #expect(isThird && all.map(\.isGivenUp) == [false, true, true])
      let isNobody = newcomers.giveUpOldest(since: .max)
      #expect(!isNobody)
    }
  }

  @Test func `who waits for a handshake's place gives that up too`() async throws {
    try await Stage.run { stage in
      let places = HandshakePlaces(1, graceMs: 60_000, loop: stage.loop)
      let first = HandshakePlaces.Place(stage.makeWaiter())
      let untilMs = stage.patience
      #expect(await places.enter(first, untilMs: untilMs))
      var newcomers = Newcomers()
      let waiter = stage.makeWaiter()
      let newcomer = newcomers.enter(1, waiter, nowMs: 0)
      let place = HandshakePlaces.Place(waiter)
      newcomer.place = place
      let isGivenUp = newcomers.giveUpOldest(since: 0)
      #expect(isGivenUp)
      #expect(await !places.enter(place, untilMs: untilMs))
      #expect(places.waitingCount == 0 && stage.loop.nowMs < untilMs)
    }
  }
}
