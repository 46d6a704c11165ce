package import Wire

/// Finds a message's content in the bytes that follow its head, whatever frames it.
///
/// Works in place: what comes out are ranges of what went in. The caller reads on, hands the bytes
/// in from where the last event ended, and never holds more than one buffer of them.
package struct BodyDecoder {
  private enum State {
    case done
    case length(UInt64)
    case chunked
    case untilClose
  }

  package enum Event {
    /// Content, as a range of the bytes handed in.
    case data(Range<Int>)
    /// All bytes up to `consumed` are used; more must be read.
    case needMore(consumed: Int)
    /// The message is complete; what follows `consumed` is the next one's.
    case end(consumed: Int)
  }

  private var state: State
  /// Of the chunked coding, and nil for any other.
  private var chunked: ChunkedState?

  package init(_ framing: BodyFraming) {
    switch framing {
    case .none, .length(0): state = .done
    case .length(let count): state = .length(count)
    case .chunked:
      state = .chunked
      chunked = ChunkedState()
    case .untilClose: state = .untilClose
    }
  }

  /// Whether all of the message has come.
  package var isDone: Bool {
    if case .done = state { return true }
    return false
  }

  /// Whether the connection's end is the message's end.
  package var endsWithConnection: Bool {
    if case .untilClose = state { return true }
    return false
  }

  /// Bytes that are still to come, where the head said how many.
  package var remaining: UInt64? {
    switch state {
    case .done: 0
    case .length(let count): count
    case .chunked, .untilClose: nil
    }
  }

  /// What comes next in `bytes`, from index `start` on.
  ///
  /// - Throws: a chunk that is none (RFC 9112 §7.1).
  package mutating func next(
    _ bytes: Span<UInt8>, from start: Int
  ) throws(ChunkFault) -> Event {
    switch state {
    case .done:
      return .end(consumed: start)
    case .length(let left):
      let available = bytes.count - start
      if available == 0 { return .needMore(consumed: start) }
      let count = left < UInt64(available) ? Int(left) : available
      state = left == UInt64(count) ? .done : .length(left - UInt64(count))
      return .data(start..<(start + count))
    case .untilClose:
      if bytes.count == start { return .needMore(consumed: start) }
      return .data(start..<bytes.count)
    case .chunked:
      guard let chunked else { return .end(consumed: start) }
      switch try chunked.decoder.next(bytes, from: start) {
      case .data(let range): return .data(range)
      case .needMore(let consumed): return .needMore(consumed: consumed)
      case .end(let consumed):
        state = .done
        return .end(consumed: consumed)
      }
    }
  }

  /// The trailer fields that came after the last chunk and may go on, each a whole line with CRLF.
  package var trailers: [UInt8] { chunked?.decoder.trailers.bytes ?? [] }

  /// The same without some fields.
  func trailers(without names: [FieldNameKey]) -> [UInt8] {
    guard let section = chunked?.decoder.trailers, !names.isEmpty else { return trailers }
    return section.bytes(without: names)
  }
}

/// The chunked coding's state, apart from the decoder: most messages have none of it, and what they
/// are held in stays small.
private final class ChunkedState {
  var decoder = ChunkedDecoder()
}
