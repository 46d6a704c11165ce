import Reactor
import TestSupport
import Testing

@testable import Gateway

struct HandshakePlacesTests {
  @Test func `takes as many as there are places, and who came last is next`() async throws {
    try await Stage.run { stage in
      let places = HandshakePlaces(2, graceMs: 1_000_000, loop: stage.loop)
      let entered = Noted<Int>()
      let all = (0..<5).map { _ in HandshakePlaces.Place(stage.makeWaiter()) }
      for (number, place) in all.enumerated() {
        stage.loop.spawn {
          if await places.enter(place, untilMs: stage.patience) { entered.note(number) }
        }
      }
      await stage.turn()
      #expect(entered.values == [0, 1])
      #expect(places.waitingCount == 3)
      for (leaver, next) in [(1, 4), (4, 3), (0, 2)] {
        places.leave(all[leaver])
        places.leave(all[leaver])
        while !entered.values.contains(next) { await stage.turn() }
      }
      #expect(entered.values == [0, 1, 4, 3, 2])
      places.leave(all[2])
      places.leave(all[3])
      #expect(places.takenCount == 0 && places.waitingCount == 0)
    }
  }

  @Test func `who waits longer than its time leaves the line`() async throws {
    try await Stage.run { stage in
      let places = HandshakePlaces(1, graceMs: 1_000_000, loop: stage.loop)
      let holder = HandshakePlaces.Place(stage.makeWaiter())
      #expect(await places.enter(holder, untilMs: .max))
      let late = HandshakePlaces.Place(stage.makeWaiter())
      #expect(await !places.enter(late, untilMs: stage.loop.nowMs + 5))
      #expect(!holder.isLost && places.waitingCount == 0)
      places.leave(holder)
      let next = HandshakePlaces.Place(stage.makeWaiter())
      #expect(await places.enter(next, untilMs: .max))
    }
  }

  @Test func `who stalls beyond its grace makes room for who waits`() async throws {
    try await Stage.run { stage in
      let places = HandshakePlaces(3, graceMs: 20, loop: stage.loop)
      let lost = Noted<Int>()
      for number in 0..<3 {
        let waiter = stage.makeWaiter()
        let place = HandshakePlaces.Place(waiter)
        #expect(await places.enter(place, untilMs: .max))
        stage.loop.spawn {
          while await waiter.wait(untilMs: stage.patience), !place.isLost {}
          lost.note(number)
          places.leave(place)
        }
      }
      // Nobody is driven out while nobody waits.
      let pause = stage.makeWaiter()
      _ = await pause.wait(untilMs: stage.loop.nowMs + 50)
      #expect(lost.values.isEmpty)
      for number in 0..<2 {
        let place = HandshakePlaces.Place(stage.makeWaiter())
        #expect(await places.enter(place, untilMs: stage.patience))
        #expect(lost.values == Array(0...number))
      }
      #expect(places.takenCount == 3)
    }
  }

  @Test func `who loses a place before it has run leaves none taken and nobody waiting`()
    async throws
  {
    try await Stage.run { stage in
      // Without any grace a place may be lost in the turn in which it was given.
      let places = HandshakePlaces(1, graceMs: 0, loop: stage.loop)
      let entered = Noted<Int>()
      let all = (0..<3).map { _ in HandshakePlaces.Place(stage.makeWaiter()) }
      #expect(await places.enter(all[0], untilMs: .max))
      let second = all[1]
      stage.loop.spawn {
        entered.note(await places.enter(second, untilMs: stage.patience) ? 1 : -1)
        places.leave(second)
      }
      while places.waitingCount < 1 { await stage.turn() }
      // It is given the place, and the next one comes before it runs.
      let third = all[2]
      stage.loop.spawn {
        places.leave(all[0])
        entered.note(await places.enter(third, untilMs: stage.patience) ? 2 : -2)
        places.leave(third)
      }
      while entered.values.count < 2 { await stage.turn() }
      #expect(places.takenCount == 0 && places.waitingCount == 0)
      let next = HandshakePlaces.Place(stage.makeWaiter())
      #expect(await places.enter(next, untilMs: stage.patience))
    }
  }

  @Test func `one step is taken in each turn of the loop, in order`() async throws {
    try await Stage.run { stage in
      let places = HandshakePlaces(
        10, graceMs: 1_000_000, loop: stage.loop, lastTurnMs: { 0 })
      let turns = Noted<UInt64>()
      let order = Noted<Int>()
      for number in 0..<10 {
        let place = HandshakePlaces.Place(stage.makeWaiter())
        #expect(await places.enter(place, untilMs: .max))
        stage.loop.spawn {
          for _ in 0..<3 {
            #expect(await places.awaitTurn(place))
            turns.note(stage.loop.turn)
            order.note(number)
          }
        }
      }
      while order.values.count < 30 { await stage.turn() }
      #expect(Set(turns.values).count == 30, "two in one turn")
      #expect(order.values == [0] + Array(0...9) + Array(0...9) + Array(1...9))
    }
  }
}

extension HandshakePlacesTests {
  @Test func `an eighth of a long turn is for steps`() async throws {
    try await Stage.run { stage in
      let places = HandshakePlaces(
        20, graceMs: 1_000_000, loop: stage.loop, lastTurnMs: { 24 })
      let turns = Noted<UInt64>()
      let order = Noted<Int>()
      for number in 0..<12 {
        let place = HandshakePlaces.Place(stage.makeWaiter())
        #expect(await places.enter(place, untilMs: .max))
        stage.loop.spawn {
          #expect(await places.awaitTurn(place))
          turns.note(stage.loop.turn)
          order.note(number)
        }
      }
      while order.values.count < 12 { await stage.turn() }
      #expect(order.values == Array(0..<12))
      let counts = Dictionary(grouping: turns.values) { $0 }.sorted { $0.key < $1.key }
      // The fourth wakes by itself, and those behind it by its step.
      #expect(counts.map(\.value.count) == [3, 1, 3, 3, 2])
    }
  }

  @Test func `dear steps are fewer in a turn, and cheap ones more`() async throws {
    for (stepNs, count) in [(Int64(50_000_000), 1), (100_000, 20)] {
      try await Stage.run { stage in
        let places = HandshakePlaces(
          20, graceMs: 1_000_000, loop: stage.loop, lastTurnMs: { 80 })
        for _ in 0..<200 { places.noteStep(ns: stepNs) }
        let turns = Noted<UInt64>()
        for _ in 0..<20 {
          let place = HandshakePlaces.Place(stage.makeWaiter())
          #expect(await places.enter(place, untilMs: .max))
          stage.loop.spawn {
            #expect(await places.awaitTurn(place))
            turns.note(stage.loop.turn)
          }
        }
        while turns.values.count < 20 { await stage.turn() }
        let first = turns.values.first
        #expect(turns.values.count { $0 == first } == count)
      }
    }
  }

  @Test func `who waits for its worker loses no place by it`() async throws {
    try await Stage.run { stage in
      let places = HandshakePlaces(3, graceMs: 20, loop: stage.loop, lastTurnMs: { 0 })
      let stepped = Noted<Int>()
      let turns = Noted<UInt64>()
      for number in 0..<3 {
        let place = HandshakePlaces.Place(stage.makeWaiter())
        #expect(await places.enter(place, untilMs: .max))
        stage.loop.spawn {
          if await places.awaitTurn(place) { stepped.note(number) }
          turns.note(stage.loop.turn)
          places.leave(place)
        }
      }
      let last = HandshakePlaces.Place(stage.makeWaiter())
      stage.loop.spawn {
        if await places.enter(last, untilMs: stage.patience) { stepped.note(3) }
      }
      while stepped.values.count < 4 {
        // A turn that is longer than the grace.
        let endNs = Clock.monotonicNs() + 30_000_000
        while Clock.monotonicNs() < endNs {}
        await stage.turn()
      }
      #expect(stepped.values.sorted() == [0, 1, 2, 3])
      #expect(Set(turns.values).count == 3)
    }
  }
}

/// What came, in order, on one loop's thread.
private final class Noted<Value> {
  private(set) var values: [Value] = []

  func note(_ value: Value) { values.append(value) }
}
