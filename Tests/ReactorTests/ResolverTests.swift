import TestSupport
import Testing

@testable import Reactor

struct ResolverTests {
  /// A label is at most 63 bytes long, so no name server is asked.
  private static let impossible = String(repeating: "x", count: 70) + ".invalid"

  private func resolve(
    _ host: String, port: UInt16 = 80, by resolver: Resolver, _ waiter: Waiter
  ) async throws(Resolver.Failure) -> [SocketAddress] {
    try await resolver.addresses(
      of: host, port: port, lifeMs: 60_000, waiter: waiter,
      untilMs: waiter.loop.nowMs + Stage.patienceMs)
  }

  @Test func `a literal address needs nobody`() async throws {
    try await Stage.run { stage in
      let waiter = stage.makeWaiter()
      for literal in ["127.0.0.1", "::1"] {
        let addresses = try await Resolver().addresses(
          of: literal, port: 8_080, lifeMs: 0, waiter: waiter, untilMs: .min)
        #expect(addresses == [SocketAddress(literal: literal, port: 8_080)])
      }
    }
  }

  @Test func `finds localhost, for every port and every caller`() async throws {
    try await Stage.run { stage in
      let resolver = Resolver()
      let waiter = stage.makeWaiter()
      for port in [80, 81, 82] as [UInt16] {
        let addresses = try await resolve("localhost", port: port, by: resolver, waiter)
        #expect(!addresses.isEmpty)
        #expect(addresses.allSatisfy { ["127.0.0.1", "::1"].contains($0.host) && $0.port == port })
      }
      // What is fresh is had without waiting.
      let again = try await resolver.addresses(
        of: "localhost", port: 80, lifeMs: 60_000, waiter: waiter, untilMs: .min)
      #expect(!again.isEmpty)
    }
    #expect(try !Resolver.resolve("localhost", port: 1).isEmpty)
  }

  @Test func `says why a name has no address, to everybody who asked`() async throws {
    try await Stage.run { stage in
      let resolver = Resolver()
      let (one, other) = (stage.makeWaiter(), stage.makeWaiter())
      for waiter in [one, other] {
        do throws(Resolver.Failure) {
          _ = try await resolve(Self.impossible, by: resolver, waiter)
          Issue.record("it has one")
        } catch {
          #expect(!error.text.isEmpty)
          #expect(error.text != "the name did not resolve in time")
        }
      }
    }
    #expect(throws: Resolver.Failure.self) {
      try Resolver.resolve(Self.impossible, port: 1)
    }
  }

  @Test func `a wake-up for another reason is no answer`() async throws {
    try await Stage.run { stage in
      let resolver = Resolver()
      let waiter = stage.makeWaiter()
      for _ in 0..<20 {
        waiter.signal()
        let addresses = try await resolve("localhost", by: resolver, waiter)
        #expect(!addresses.isEmpty)
      }
    }
  }
}
