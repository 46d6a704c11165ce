import Reactor
import TestSupport
import Testing

@testable import Gateway

/// A gateway that rests while another process accepts at its sockets. Here there is no other, so
/// whoever comes waits.
struct RestingTests {
  private let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

  private func start(workers: Int) throws -> Gateway {
    let text = file([
      ("workers", "\(workers)"), ("admin", "\"off\""), ("accessLog", "\"off\""),
      ("listeners", #"[{"address": "127.0.0.1:0"}]"#), ("issuers", nil), ("exchanges", nil),
      ("upstreams", nil),
      (
        "routes",
        #"[{"match": {"path": "/*"}, "authenticate": "none", "respond": {"body": "well"}}]"#
      ),
    ])
    return try Gateway.start(configuration(text)) { _ in }
  }

  @Test(arguments: [1, 3])
  func `who waits meanwhile is served when it comes back, every time`(workers: Int) throws {
    let gateway = try start(workers: workers)
    defer { gateway.stop() }
    for _ in 0..<3 {
      gateway.rest(but: LeftDoors())
      // Each worker's turn after that in which its accepting ended.
      gateway.rest(but: LeftDoors())
      // More than there are workers, so that each has some.
      let waiting = try (0..<40).map { _ in try FarEnd.connect(to: gateway.addresses[0]) }
      for caller in waiting { try caller.send(get) }
      #expect(gateway.connectionCount == 0)
      gateway.comeBack(but: LeftDoors())
      for caller in waiting {
        let answer = try caller.receiveAnswer()
        #expect(answer.status == 200)
        #expect(!answer.head.lowercased().contains("connection: close"))
        caller.end()
      }
      let later = try FarEnd.connect(to: gateway.addresses[0])
      try later.send(get)
      #expect(try later.receiveAnswer().status == 200)
      later.end()
      for _ in 0..<10_000 where gateway.connectionCount > 0 { Semaphore().wait(milliseconds: 1) }
    }
  }

  @Test func `a connection that it has is told to come anew with its next answer`() throws {
    let gateway = try start(workers: 1)
    defer { gateway.stop() }
    let caller = try FarEnd.connect(to: gateway.addresses[0])
    try caller.send(get)
    #expect(try caller.receiveAnswer().head.lowercased().contains("connection: close") == false)
    gateway.rest(but: LeftDoors())
    try caller.send(get)
    #expect(try caller.receiveAnswer().head.lowercased().contains("connection: close"))
    #expect(try caller.isEnded())
  }

  @Test func `at a door that the other has left it accepts on`() throws {
    let gateway = try start(workers: 2)
    defer { gateway.stop() }
    let left = LeftDoors([.listener("127.0.0.1:0")])
    for step in [gateway.rest, gateway.comeBack] {
      step(left)
      let caller = try FarEnd.connect(to: gateway.addresses[0])
      try caller.send(get)
      #expect(try caller.receiveAnswer().status == 200)
    }
  }

  @Test func `what waits at a door that the other has left is served before it closes`() throws {
    let gateway = try start(workers: 2)
    defer { gateway.stop() }
    let left = LeftDoors([.listener("127.0.0.1:0")])
    let address = gateway.addresses[0]
    gateway.rest(but: left)
    let callers = try (0..<20).map { _ in try FarEnd.connect(to: address) }
    gateway.leave(left)
    for caller in callers {
      try caller.send(get)
      #expect(try caller.receiveAnswer().status == 200)
    }
    #expect(throws: (any Error).self) { try FarEnd.connect(to: address) }
  }
}
