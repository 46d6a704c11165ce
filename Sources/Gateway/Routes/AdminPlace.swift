import Wire

/// Where a routes file says that its gateway's admin address is: for the commands that ask one.
package enum AdminPlace: Equatable, Sendable {
  /// `HOST:PORT` as a caller on this machine reaches it.
  case at(String)
  /// The gateway has none.
  case off
  /// The system chooses the port, so the file can't tell.
  case anyPort
  /// What is wrong with the file, or with what it says of it.
  case unreadable([ConfigProblem])

  init(_ address: ListenAddress) {
    if address.port == 0 {
      self = .anyPort
    } else if let bound = address.host.address, bound.bits == 0 {
      // All of this machine's addresses, the loopback one among them.
      self = .at("\(bound.isV6 ? "[::1]" : "127.0.0.1"):\(address.port)")
    } else {
      self = .at("\(address)")
    }
  }
}
