package import Wire

/// What came of a command.
package enum RedisAnswer: Equatable, Sendable {
  case reply(RESPReply)
  /// It was not sent: there is no connection, or it may not be trusted with more.
  case skipped
  /// It was sent and no reply will be taken any more: the connection has been destroyed.
  case lost
}

/// What happened to a connection, for the operator and for counting.
package enum RedisEvent: Equatable, Sendable {
  case connected
  case lost(RedisFault)
}

/// Why there is no connection. None of it quotes the server: old ones repeat in their errors what
/// they were sent, passwords too.
package enum RedisFault: Error, Equatable, Sendable {
  /// In the words of `CallFault`.
  case unconnected(String)
  /// The server hung up.
  case ended
  /// A reply did not come in time.
  case late
  /// It sent what is no RESP2, too much of it, or what nobody had asked for.
  case nonsense
  /// It refused the password, the database or to answer at all.
  case refused(RedisErrorCode)
}

/// The first word of a server's error, where it is one.
package struct RedisErrorCode: Hashable, Sendable {
  package let text: String

  package init(_ error: [UInt8]) {
    let words = error.split(separator: 0x20, omittingEmptySubsequences: false)
    // Before version 7 what a script's command was refused for stands inside another error.
    let inner = words.dropFirst().first { $0.first == UInt8(ascii: "-") && $0.count > 2 }
    let first = words.first ?? []
    let code = first.elementsEqual("ERR".utf8) ? inner?.dropFirst() ?? first : first
    text = Self.isCode(code) ? String(decoding: code, as: UTF8.self) : "ERR"
  }

  private static func isCode(_ word: ArraySlice<UInt8>) -> Bool {
    (1...20).contains(word.count) && word.allSatisfy { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 }
  }
}
