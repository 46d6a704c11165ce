import Reactor

/// What one worker knows of the addresses behind a server's name.
///
/// All of them are the server's: each new connection begins with the next one, those that took none
/// lately come last, and when one does not answer at once the one after it is tried beside it
/// (RFC 8305 §5). IPv6 and IPv4 are treated alike.
struct AddressBook {
  /// How long an address that took no connection is put last.
  static let restMs: Int64 = 10_000

  private(set) var list: [SocketAddress] = []
  /// Counts the changes of `list`.
  private(set) var generation = 0
  private var next = Int.random(in: 0..<1 << 20)
  private var restUntilMs: [SocketAddress: Int64] = [:]

  /// Takes what the resolver says now. Nothing is no news: it keeps the last good addresses, too.
  mutating func note(_ addresses: [SocketAddress]) {
    if addresses.isEmpty || addresses == list { return }
    // The resolver may give them in another order each time.
    if addresses.count != list.count || !addresses.allSatisfy(holds) { generation += 1 }
    list = addresses
    restUntilMs = restUntilMs.filter { holds($0.key) }
  }

  func holds(_ address: SocketAddress) -> Bool { list.contains(address) }

  /// In which order the addresses are tried for one connection.
  mutating func order(nowMs: Int64) -> [SocketAddress] {
    guard list.count > 1 else { return list }
    next &+= 1
    let first = next % list.count
    let turned = list[first...] + list[..<first]
    if restUntilMs.isEmpty { return Array(turned) }
    restUntilMs = restUntilMs.filter { $0.value > nowMs }
    return turned.filter { restUntilMs[$0] == nil } + turned.filter { restUntilMs[$0] != nil }
  }

  /// Notes that an address took no connection.
  mutating func noteFailure(of address: SocketAddress, nowMs: Int64) {
    if list.count > 1 { restUntilMs[address] = nowMs + Self.restMs }
  }
}
