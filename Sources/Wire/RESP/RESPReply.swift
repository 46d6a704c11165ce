/// What a Redis server answers, in its protocol's second version (RESP2). The null bulk string and
/// the null array say the same: there is nothing.
package indirect enum RESPReply: Equatable, Sendable {
  /// A short text, such as `OK`.
  case text([UInt8])
  /// A refusal in the server's words, of which the first is a code. Old servers quote in it what
  /// they were sent, so that it must not be shown.
  case error([UInt8])
  case integer(Int64)
  case bulk([UInt8])
  case null
  case array([RESPReply])
}

/// What a RESP parser takes.
package struct RESPLimits: Sendable {
  /// Texts, errors and the lines that say a length.
  package var lineBytesMax: Int
  package var bulkBytesMax: Int
  /// Of arrays within arrays.
  package var depthMax: Int
  /// Of all arrays of one reply together.
  package var elementsMax: Int

  package init(
    lineBytesMax: Int = 4 << 10, bulkBytesMax: Int, depthMax: Int = 4, elementsMax: Int = 64
  ) {
    self.lineBytesMax = lineBytesMax
    self.bulkBytesMax = bulkBytesMax
    self.depthMax = depthMax
    self.elementsMax = elementsMax
  }
}

/// What is no RESP2, or more of it than is taken. Where a reply ends is not known then: the
/// connection can't be used again.
package enum RESPFault: Error, Equatable, Sendable {
  /// A first byte that begins none of the five kinds.
  case kind(UInt8)
  /// A carriage return without line feed, or the other way round, or a bulk string that goes on
  /// where it should have ended.
  case lineEnd
  /// No number, a negative length other than −1, leading zeros, or one that Int64 can't hold.
  case number
  case lineTooLong
  case bulkTooLong
  case tooDeep
  case tooManyElements
}
