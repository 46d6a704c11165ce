import COpenSSL
import Synchronization
import TestSupport
import Testing

@testable import Reactor

/// A clock that goes on when it is told to.
final class TestClock: Sendable {
  private let now = Mutex<Int64>(5_000_000_000)

  func advance(minutes: Int64) { now.withLock { $0 += minutes * 60_000 } }

  var keys: TicketKeys { TicketKeys { self.now.withLock { $0 } } }
}

struct TLSResumptionTests {
  /// Comes back with what the session before left, and says whether it resumed.
  private func visit(
    _ context: TLSServerContext, _ client: inout PlainClient
  ) async throws -> Bool {
    let seen = try await serve(context, to: client)
    #expect(seen.client.isConnected && seen.client.received.text == "hello")
    client.session = seen.client.session
    return seen.client.isResumed
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `a chain of renewals ends at the first handshake's lifetime`(
    _ version: CInt
  ) async throws {
    let clock = TestClock()
    let context = try TLSServerContext(TestIdentity(["a.test"]), tickets: clock.keys)
    var client = PlainClient(serverName: "a.test", version: version)
    #expect(try await !visit(context, &client))
    // 30, 60, 90 and 119 minutes after the first.
    for minutes in [30, 30, 30, 29] as [Int64] {
      clock.advance(minutes: minutes)
      // A ticket of TLS 1.2 is never renewed: its key is gone sooner.
      #expect(try await visit(context, &client))
    }
    clock.advance(minutes: 2)
    #expect(try await !visit(context, &client), "the chain went on")
    clock.advance(minutes: 1)
    #expect(try await visit(context, &client), "a new chain did not begin")
  }

  @Test func `each ticket of TLS 1·3 is used once and followed by another`() async throws {
    let context = try TLSServerContext(TestIdentity(["a.test"]))
    var client = PlainClient(serverName: "a.test", version: TLS1_3_VERSION)
    _ = try await visit(context, &client)
    var seen: Set<[UInt8]> = [client.session]
    for _ in 0..<5 {
      #expect(try await visit(context, &client))
      #expect(seen.insert(client.session).inserted, "the same ticket again")
    }
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `a ticket of a rotated-out key is a full handshake`(_ version: CInt) async throws {
    let clock = TestClock()
    let context = try TLSServerContext(TestIdentity(["a.test"]), tickets: clock.keys)
    let newcomer = PlainClient(serverName: "a.test", version: version)
    var first = newcomer
    _ = try await visit(context, &first)
    // The key of the hour before opens still.
    clock.advance(minutes: 61)
    var second = newcomer
    _ = try await visit(context, &second)
    var early = first
    #expect(try await visit(context, &early))
    // Two rotations later it is gone, well within what the ticket says of itself.
    clock.advance(minutes: 58)
    _ = try await visit(context, &second)
    clock.advance(minutes: 3)
    var third = newcomer
    _ = try await visit(context, &third)
    #expect(try await !visit(context, &first))
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `keys that nobody used for hours are not kept`(_ version: CInt) async throws {
    let clock = TestClock()
    let context = try TLSServerContext(TestIdentity(["a.test"]), tickets: clock.keys)
    var client = PlainClient(serverName: "a.test", version: version)
    _ = try await visit(context, &client)
    clock.advance(minutes: 600)
    #expect(try await !visit(context, &client))
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `a session of one name does not resume under another of its certificate`(
    _ version: CInt
  ) async throws {
    let context = try TLSServerContext(
      TestIdentity(["a.test", "b.test"]), TestIdentity(["c.test", "*.c.test"]))
    for names in [
      ["a.test", "b.test"], ["c.test", "x.c.test"], ["x.c.test", "y.c.test"],
      ["a.test", "unknown.test"], ["a.test", nil], [nil, "a.test"], ["other.test", "unknown.test"],
    ] {
      var client = PlainClient(serverName: names[0], version: version)
      #expect(try await !visit(context, &client))
      var stranger = client
      stranger.serverName = names[1]
      #expect(try await !visit(context, &stranger), "\(names)")
      #expect(try await visit(context, &client), "\(names)")
    }
  }

  @Test func `what makes a policy is never confused with what makes another`() {
    let base = TLSResumption.contextID([[2], [1, 2, 3]])
    #expect(base.count == 32)
    for other in [
      [[3], [1, 2, 3]], [[2], [1, 2]], [[2, 1], [2, 3]], [[2], [1, 2, 3], []], [[2, 1, 2, 3]],
    ] as [[[UInt8]]] {
      #expect(TLSResumption.contextID(other) != base, "\(other)")
    }
  }
}
