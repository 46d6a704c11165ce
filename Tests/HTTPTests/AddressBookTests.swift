import Reactor
import TestSupport
import Testing

@testable import HTTP

struct AddressBookTests {
  private func addresses(_ texts: String...) -> [SocketAddress] {
    texts.compactMap { SocketAddress(literal: $0, port: 80) }
  }

  @Test func `each connection begins with the next address`() {
    var book = AddressBook()
    let all = addresses("10.0.0.1", "::1", "10.0.0.3")
    book.note(all)
    var firsts: [SocketAddress] = []
    for _ in 0..<6 {
      let order = book.order(nowMs: 0)
      #expect(Set(order) == Set(all) && order.count == 3)
      firsts.append(order[0])
    }
    #expect(Set(firsts[..<3]) == Set(all))
    #expect(firsts[..<3] == firsts[3...])
  }

  @Test func `an address that took no connection comes last for ten seconds`() {
    var book = AddressBook()
    let all = addresses("10.0.0.1", "10.0.0.2", "10.0.0.3")
    book.note(all)
    book.noteFailure(of: all[1], nowMs: 0)
    for nowMs: Int64 in [0, 5_000, 9_999] {
      for _ in 0..<3 { #expect(book.order(nowMs: nowMs).last == all[1]) }
    }
    let firsts = Set((0..<3).map { _ in book.order(nowMs: 10_000)[0] })
    #expect(firsts == Set(all))
  }

  @Test func `another order is no news, and neither is nothing`() {
    var book = AddressBook()
    book.note(addresses("10.0.0.1", "10.0.0.2"))
    let generation = book.generation
    book.note(addresses("10.0.0.2", "10.0.0.1"))
    book.note([])
    #expect(book.generation == generation)
    #expect(book.list.count == 2)
    book.note(addresses("10.0.0.2"))
    #expect(book.generation == generation + 1)
    #expect(book.holds(addresses("10.0.0.2")[0]) && !book.holds(addresses("10.0.0.1")[0]))
    book.note(addresses("10.0.0.3"))
    #expect(book.generation == generation + 2)
  }
}
