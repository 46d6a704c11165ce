import Glibc
package import Reactor
import Wire

/// What a process tells the one that takes over from it: a version, its doors with the numbers of
/// their sockets, which the other inherits, and the keys of its session tickets.
///
///     tollgate-handover 2
///     ready                                    (or: not-ready)
///     door listener own 7 127.0.0.1:8443 NAME  (a line a socket, with tabs; or: shared)
///     tickets                                  (and the keys, which are no text)
///
/// The other tells which of the doors it has no use for, a line each: `left listener NAME`.
///
/// Names are those of `Door`: an address of the routes file, so both processes know a door by what
/// their files say. A door of another address is another door.
enum HandoverText {
  /// Of this text; one that says another is refused.
  static let greeting = "tollgate-handover 2"
  static let doorWord = "door"
  static let ownWord = "own"
  static let sharedWord = "shared"
  static let ticketsWord = "tickets"
  static let readyWord = "ready"
  static let notReadyWord = "not-ready"
  static let leftWord = "left"
}

/// Why nothing is handed over.
package struct HandoverFault: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// What a process has to hand over.
package struct Legacy: Sendable {
  private let sockets: [Door: [ListeningSocket.Bound]]
  private let tickets: TicketKeys

  init(doors: [Door: OpenDoor], tickets: TicketKeys) {
    sockets = doors.mapValues(\.sockets)
    self.tickets = tickets
  }

  /// The numbers of all sockets.
  package var numbers: [CInt] { sockets.values.joined().map(\.raw) }

  /// Tells the other process of them.
  ///
  /// - Parameter isReady: whether this one can serve; the other is to be able to as well then.
  package func send(over channel: HandoverChannel, isReady: Bool) throws(SystemError) {
    try channel.send(HandoverText.greeting)
    try channel.send(isReady ? HandoverText.readyWord : HandoverText.notReadyWord)
    for (door, sockets) in sockets {
      for socket in sockets {
        let words = [
          HandoverText.doorWord, door.kind,
          socket.isShared ? HandoverText.sharedWord : HandoverText.ownWord, "\(socket.raw)",
          "\(socket.address)", door.name,
        ]
        // A path may hold anything.
        guard words.allSatisfy({ !$0.contains { "\t\n".contains($0) } }) else {
          throw SystemError(call: "hand over \(socket.address)", code: EINVAL)
        }
        try channel.send(words.joined(separator: "\t"))
      }
    }
    try channel.send(HandoverText.ticketsWord)
    try tickets.send(over: channel)
  }
}

/// What a process was handed by the one that it takes over from.
package struct Inheritance: Sendable {
  let sockets: [Door: [ListeningSocket.Bound]]
  let tickets: TicketKeys
  /// Whether the other can serve.
  package let wasReady: Bool

  /// Takes it from the channel; what is not as it should be is refused, and the other goes on.
  package init(
    receivingFrom channel: HandoverChannel, withinMs milliseconds: Int64
  ) throws(HandoverFault) {
    func line() throws(HandoverFault) -> String {
      do throws(SystemError) {
        if let line = try channel.receive(withinMs: milliseconds) { return line }
      } catch {
        throw HandoverFault("the process that hands over is gone: \(error)")
      }
      throw HandoverFault("the process that hands over says nothing")
    }

    let greeting = try line()
    guard greeting == HandoverText.greeting else {
      throw HandoverFault("it is spoken to as \"\(ShownText.plain(greeting))\"")
    }
    wasReady = try line() == HandoverText.readyWord
    var sockets: [Door: [ListeningSocket.Bound]] = [:]
    while true {
      let text = try line()
      if text == HandoverText.ticketsWord { break }
      let (door, bound) = try Self.door(text)
      sockets[door, default: []].append(bound)
    }
    let tickets = TicketKeys()
    do throws(SystemError) {
      try tickets.receive(over: channel)
    } catch {
      throw HandoverFault("the keys of session tickets did not come: \(error)")
    }
    self.sockets = sockets
    self.tickets = tickets
  }

  private static func door(
    _ line: String
  ) throws(HandoverFault) -> (Door, ListeningSocket.Bound) {
    let words = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    guard words.count == 6, words[0] == HandoverText.doorWord,
      [HandoverText.ownWord, HandoverText.sharedWord].contains(words[2]),
      let door = Door(kind: words[1], name: words[5]), let number = CInt(words[3])
    else { throw HandoverFault("\"\(ShownText.plain(line))\" names no door") }
    let bound: ListeningSocket.Bound
    do throws(SystemError) {
      bound = try ListeningSocket.inherited(
        number, isShared: words[2] == HandoverText.sharedWord)
    } catch {
      throw HandoverFault("the socket of \(words[4]) did not come: \(error)")
    }
    guard "\(bound.address)" == words[4] else {
      throw HandoverFault("the socket of \(words[4]) listens at \(bound.address)")
    }
    return (door, bound)
  }
}

/// Doors that one process has and the one that takes over from it does not, by what their files
/// say.
package struct LeftDoors: Equatable, Sendable {
  private(set) var doors: Set<Door> = []

  package init() {}

  init(_ doors: Set<Door>) { self.doors = doors }

  /// What the other process is told.
  package var lines: [String] {
    doors.map { [HandoverText.leftWord, $0.kind, $0.name].joined(separator: "\t") }
  }

  /// Takes a line of those.
  ///
  /// - Returns: false when it is no such line.
  package mutating func take(_ line: String) -> Bool {
    let words = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    guard words.count == 3, words[0] == HandoverText.leftWord,
      let door = Door(kind: words[1], name: words[2])
    else { return false }
    doors.insert(door)
    return true
  }
}

extension Door {
  fileprivate var kind: String {
    switch self {
    case .listener: "listener"
    case .admin: "admin"
    case .probes: "probes"
    }
  }

  fileprivate var name: String {
    switch self {
    case .listener(let name), .admin(let name), .probes(let name): name
    }
  }

  fileprivate init?(kind: String, name: String) {
    switch kind {
    case "listener": self = .listener(name)
    case "admin": self = .admin(name)
    case "probes": self = .probes(name)
    default: return nil
    }
  }
}
