import Crypto
import JOSE
import OAuth
import Reactor
import TestSupport
import Testing
import Wire

@testable import Gateway

extension KeyRing.Answer {
  var word: String { "\(self)" }
}

struct IssuerKeysTests {
  @Test func `who lacks keys waits for the fetch, and is woken when it ends`() async throws {
    try await Stage.run { stage in
      let issuer = try TestIssuer()
      let keys = IssuerKeys(issuer.rules)
      #expect(keys.keys == nil)
      #expect(keys.trouble == "not fetched yet")
      let keeper = stage.makeWaiter()
      keys.setKeeper(keeper.remote)
      let (one, other) = (stage.makeWaiter(), stage.makeWaiter())
      #expect(keys.answer(isKnown: false, waiter: one.remote).word == "fetch")
      #expect(keys.answer(isKnown: false, waiter: other.remote).word == "fetch")
      // The keeper is woken once and makes one fetch.
      #expect(await keeper.wait(untilMs: stage.patience))
      #expect(!(await keeper.wait(untilMs: stage.loop.nowMs)))
      #expect(keys.takeFetch().isDue)
      #expect(!keys.takeFetch().isDue)
      let before = keys.generation
      #expect(keys.endFetch(with: issuer.keys))
      #expect(keys.generation != before)
      for waiter in [one, other] { #expect(await waiter.wait(untilMs: stage.patience)) }
      #expect(keys.trouble == nil)
      #expect(keys.keys?.keys.count == 1)
    }
  }

  @Test func `a fetch that fails wakes all the same, and the reason is told`() async throws {
    try await Stage.run { stage in
      let keys = IssuerKeys(try TestIssuer().rules)
      let waiter = stage.makeWaiter()
      #expect(keys.answer(isKnown: false, waiter: waiter.remote).word == "fetch")
      #expect(keys.takeFetch().isDue)
      keys.endFetchFailed("nobody is there")
      #expect(await waiter.wait(untilMs: stage.patience))
      #expect(keys.trouble == "nobody is there")
      #expect(keys.answer(isKnown: false, waiter: waiter.remote).word == "unavailable")
      let (isDue, nextAtMs) = keys.takeFetch()
      #expect(!isDue)
      // In the future, or the keeper would never rest.
      #expect(nextAtMs > Clock.monotonicNs() / 1_000_000 - 1)
    }
  }

  @Test func `a generation changes with the keys and not with each fetch`() async throws {
    let (one, other) = (try TestIssuer(), try TestIssuer(keyID: "k2"))
    let keys = IssuerKeys(one.rules)
    func fetch(_ set: JWKSet) -> Bool { keys.endFetch(with: set) }
    #expect(fetch(one.keys))
    let generation = keys.generation
    #expect(!fetch(one.keys))
    #expect(keys.generation == generation)
    let both = JWKSet(one.keys.keys + other.keys.keys)
    #expect(fetch(both))
    #expect(!fetch(JWKSet(both.keys.reversed())))
    #expect(fetch(other.keys))
    #expect(keys.generation == generation + 2)
  }

  @Test func `an unknown key is asked for once in a while, and never for nothing`() async throws {
    try await Stage.run { stage in
      let issuer = try TestIssuer()
      let keys = IssuerKeys(issuer.rules)
      let waiter = stage.makeWaiter()
      #expect(keys.takeFetch().isDue)
      #expect(keys.endFetch(with: issuer.keys))
      #expect(keys.answer(isKnown: true, waiter: waiter.remote).word == "found")
      #expect(keys.answer(isKnown: false, waiter: waiter.remote).word == "fetch")
      #expect(keys.takeFetch().isDue)
      #expect(!keys.endFetch(with: issuer.keys))
      #expect(await waiter.wait(untilMs: stage.patience))
      #expect(keys.answer(isKnown: false, waiter: waiter.remote).word == "unknown")
      #expect(!keys.takeFetch().isDue)
    }
  }
}

struct ExchangeFlightTests {
  @Test func `one call for all who wait, and a new one when it has ended`() async throws {
    try await Stage.run { stage in
      let issuer = try TestIssuer()
      let settings = try configuration(file(), environment: ["SECRET": "s"])
      let shared = try SharedTokens(settings, material: .load(settings), report: { _ in })
      let target = shared.target(
        exchange: 0, ExchangeTarget(audiences: ["a"], resources: [], scopes: []), issuer.digester)
      let (bytes, verified) = try issuer.token()
      let key = issuer.digester.digest(bytes)
      let flights = ExchangeFlights()
      func join() -> (flight: ExchangeFlight, isNew: Bool) {
        flights.join(key) {
          ExchangeFlight(key: key, target: target, subject: verified, subjectToken: bytes)
        }
      }
      let first = join()
      let second = join()
      #expect(first.isNew && !second.isNew)
      #expect(first.flight === second.flight)
      let waiters = (0..<3).map { _ in stage.makeWaiter() }
      for waiter in waiters {
        guard case nil = first.flight.outcome(orWake: waiter.remote) else {
          throw Impatience("no outcome yet")
        }
      }
      flights.end(first.flight, .refused(.timedOut))
      for waiter in waiters {
        #expect(await waiter.wait(untilMs: stage.patience))
        guard case .refused(let refusal) = first.flight.outcome(orWake: waiter.remote) else {
          throw Impatience("an outcome")
        }
        #expect(refusal == .timedOut)
      }
      #expect(join().isNew)
    }
  }
}
