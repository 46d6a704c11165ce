package import Reactor
package import Wire

/// How content is framed where it goes. The framing is always the gateway's own, whatever it was
/// where it came from.
package enum OutgoingFraming: Equatable {
  /// No content follows the head.
  case none
  /// `Content-Length` in the head says how much.
  case length
  case chunked
  /// The connection's end is the message's end (to HTTP/1.0 callers).
  case untilClose
}

/// Why content can't go on.
package enum BodyFault: Error, Equatable {
  case malformedChunk
  /// More content than `limit` bytes.
  case tooLarge
}

/// One message's content on its way from the buffer it came in to the buffer it leaves by.
///
/// Holds no bytes itself: what the target has no room for stays in the source, which is then not
/// read any further, and so the sender waits (backpressure).
package struct BodyFlow {
  package enum Progress {
    /// The source is used up: read more into it.
    case needsSource
    /// The target is full: write it out.
    case needsRoom
    /// All content, and its end, is in the target.
    case done
  }

  /// Content bytes that were moved.
  package private(set) var byteCount: UInt64 = 0
  package private(set) var isDone: Bool
  /// Trailer fields that don't go on, `_` and `-` being one letter.
  package var withheldTrailers: [FieldNameKey] = []

  private var decoder: BodyDecoder
  private let framing: OutgoingFraming
  /// Bytes at the source's front that stay: the head.
  private let pinned: Int
  private var byteLimit: UInt64
  private var cursor: Int
  /// Content found in the source and not yet moved.
  private var found = 0..<0

  /// Room that `sourceEnded` needs.
  package static let endBytesMax = 16
  /// A rough bound of a chunk's own bytes: "8000\r\n" before it, "\r\n" after it.
  private static let chunkOverhead = 16

  /// - Parameters:
  ///   - pinned: bytes at the source's front that must stay.
  ///   - limit: the most content bytes allowed; more are `BodyFault.tooLarge`.
  package init(
    _ incoming: BodyFraming, as framing: OutgoingFraming, pinned: Int, limit: UInt64 = .max
  ) {
    decoder = BodyDecoder(incoming)
    self.framing = framing
    self.pinned = pinned
    byteLimit = limit
    cursor = pinned
    // Chunked content has an end of its own even where there is none.
    isDone = decoder.isDone && framing != .chunked
  }

  /// Bounds the content; to be called before any is moved.
  package mutating func limit(toBytes limit: UInt64) { byteLimit = limit }

  /// Whether the source's end is the content's end.
  package var endsWithConnection: Bool { decoder.endsWithConnection }

  /// Content bytes still to come, where the message said how many.
  package var remaining: UInt64? { decoder.remaining.map { $0 + UInt64(found.count) } }

  /// Index in the source of the first byte that is not this message's.
  package var end: Int { cursor }

  /// Moves what can be moved.
  package mutating func move(
    from source: Buffer, to target: Buffer
  ) throws(BodyFault) -> Progress {
    while !isDone {
      if !found.isEmpty {
        guard moveFound(from: source, to: target) else { return .needsRoom }
        continue
      }
      let event: BodyDecoder.Event
      do throws(ChunkFault) {
        event = try decoder.next(source.readable, from: cursor)
      } catch {
        throw .malformedChunk
      }
      switch event {
      case .data(let range):
        found = range
        cursor = range.upperBound
        byteCount += UInt64(range.count)
        if byteCount > byteLimit { throw .tooLarge }
      case .needMore(let consumed):
        source.remove(pinned..<consumed)
        cursor = pinned
        return .needsSource
      case .end(let consumed):
        cursor = consumed
        // The last chunk and its trailers go in one piece.
        guard framing != .chunked || target.room >= Self.chunkOverhead + decoder.trailers.count
        else { return .needsRoom }
        finish(target)
      }
    }
    return .done
  }

  /// The source's connection has ended: for content framed by it, that is the end.
  package mutating func sourceEnded(to target: Buffer) {
    if endsWithConnection { finish(target) }
  }

  private mutating func finish(_ target: Buffer) {
    isDone = true
    guard framing == .chunked else { return }
    target.append("0\r\n")
    target.append(decoder.trailers(without: withheldTrailers))
    target.append("\r\n")
  }

  /// - Returns: whether all of it found room.
  private mutating func moveFound(from source: Buffer, to target: Buffer) -> Bool {
    switch framing {
    case .none:
      found = found.upperBound..<found.upperBound
    case .length, .untilClose:
      let count = target.append(source.slice(found))
      found = (found.lowerBound + count)..<found.upperBound
    case .chunked:
      let count = min(found.count, target.room - Self.chunkOverhead)
      if count <= 0 { return false }
      target.append(hexadecimal: UInt64(count))
      target.append("\r\n")
      target.append(source.slice(found.lowerBound..<(found.lowerBound + count)))
      target.append("\r\n")
      found = (found.lowerBound + count)..<found.upperBound
    }
    return found.isEmpty
  }
}
