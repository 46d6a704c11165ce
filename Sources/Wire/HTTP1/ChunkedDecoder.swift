/// Bounds of what surrounds chunked content. None of it is content, so none of it is counted there.
package struct ChunkedLimits: Sendable, Equatable {
  /// One chunk's size and extensions, without CRLF. A size has 16 digits at most; the rest is room
  /// for extensions, which next to nobody sends (signed uploads to object stores have 90 bytes).
  package var lineBytesMax = 256
  /// All extensions of one message. A sender that puts 200 bytes in front of each byte of content
  /// makes us read 200 times what any limit on content sees.
  package var extensionBytesMax = 64 * 1024
  /// The trailer section with its CRLFs.
  package var trailerBytesMax = 8 * 1024
  package var trailerCountMax = 64

  package init() {}
}

/// Why content is no chunked content; the connection can't go on then.
package enum ChunkFault: Error, Equatable, Sendable {
  case malformed(Malformation)
  case trailersTooLarge
}

/// Takes the chunked coding off content (RFC 9112 §7.1), in place.
///
///     size ──CRLF──▶ data ──CRLF──▶ size … ──"0" CRLF──▶ trailers ──empty line──▶ done
///
/// Content is handed out as ranges of the bytes handed in, nothing is copied but trailers, and
/// every byte is looked at once: what `needMore` calls consumed may be thrown away. It does not
/// bound the content; who copies it counts it.
///
/// The size is hexadecimal digits and nothing else, extensions begin with `;` behind it, lines
/// end in CRLF: the ways in which decoders disagree on these are how requests are smuggled.
package struct ChunkedDecoder: Sendable {
  package enum Event: Equatable, Sendable {
    /// Content, as a range of the bytes handed in; never empty. Go on from its end.
    case data(Range<Int>)
    /// Everything up to `consumed` is used; more must come.
    case needMore(consumed: Int)
    /// The content has ended, trailers included; what follows is the next message's.
    case end(consumed: Int)
  }

  private enum State: Equatable {
    /// In a size of which `digits` were read.
    case size(value: UInt64, digits: Int, lineBytes: Int)
    case extensions(value: UInt64, lineBytes: Int)
    /// Behind the CR of a size line.
    case sizeEnd(value: UInt64)
    case content(left: UInt64)
    case contentCarriageReturn
    case contentLineFeed
    case trailers
    case done
  }

  package let limits: ChunkedLimits
  /// What came behind the last chunk and may go on; complete once `end` was returned.
  package private(set) var trailers = TrailerSection()
  private var state = State.size(value: 0, digits: 0, lineBytes: 0)
  private var extensionBytes = 0
  /// The trailer section's bytes so far: its lines may be cut anywhere.
  private var received: [UInt8] = []
  private var scanner = LineScanner()
  private var section = FieldSection()

  package init(limits: ChunkedLimits = ChunkedLimits()) {
    self.limits = limits
  }

  /// What comes next in `bytes`, from index `start` on. Called again behind `end`, it says so
  /// again.
  package mutating func next(
    _ bytes: Span<UInt8>, from start: Int
  ) throws(ChunkFault) -> Event {
    let count = bytes.count
    var index = start
    while index < count {
      let byte = bytes[index]
      switch state {
      case .size(let value, let digits, let lineBytes):
        index &+= 1
        state = try stateInSize(byte, value: value, digits: digits, lineBytes: lineBytes + 1)
      case .extensions(let value, let lineBytes):
        index &+= 1
        state = try stateInExtensions(byte, value: value, lineBytes: lineBytes + 1)
      case .sizeEnd(let value):
        guard byte == UInt8(ascii: "\n") else { throw .malformed(.bareCarriageReturn) }
        index &+= 1
        state = value == 0 ? .trailers : .content(left: value)
      case .content(let left):
        let available = UInt64(count &- index)
        let taken = min(left, available)
        state = taken == left ? .contentCarriageReturn : .content(left: left &- taken)
        return .data(index..<(index &+ Int(taken)))
      case .contentCarriageReturn:
        guard byte == UInt8(ascii: "\r") else { throw .malformed(.chunkEndMissing) }
        index &+= 1
        state = .contentLineFeed
      case .contentLineFeed:
        guard byte == UInt8(ascii: "\n") else { throw .malformed(.chunkEndMissing) }
        index &+= 1
        state = .size(value: 0, digits: 0, lineBytes: 0)
      case .trailers:
        // Up to a line's end at a time, so that nothing behind the section is taken.
        while index < count, received.count < limits.trailerBytesMax {
          let next = bytes[index]
          received.append(next)
          index &+= 1
          if next == UInt8(ascii: "\n") { break }
        }
        if try readTrailers() { state = .done }
      case .done:
        return .end(consumed: index)
      }
    }
    return state == .done ? .end(consumed: index) : .needMore(consumed: index)
  }

  private func stateInSize(
    _ byte: UInt8, value: UInt64, digits: Int, lineBytes: Int
  ) throws(ChunkFault) -> State {
    if let digit = ByteClass.hexValue(byte) {
      // One digit more must leave it below 2^63, which whoever counts in `Int` relies on.
      guard value < 1 << 59 else { throw .malformed(.chunkSizeTooLarge) }
      guard lineBytes <= limits.lineBytesMax else { throw .malformed(.chunkLineTooLong) }
      return .size(value: value << 4 | UInt64(digit), digits: digits + 1, lineBytes: lineBytes)
    }
    // "5 ;x" has a space that RFC 9112 §7.1.1 lets us accept and no sender has to send.
    guard digits > 0 else { throw .malformed(.chunkSizeInvalid) }
    switch byte {
    case UInt8(ascii: "\r"): return .sizeEnd(value: value)
    case UInt8(ascii: ";"): return .extensions(value: value, lineBytes: lineBytes)
    case UInt8(ascii: "\n"): throw .malformed(.bareLineFeed)
    default: throw .malformed(.chunkSizeInvalid)
    }
  }

  /// Extensions are dropped unread (RFC 9112 §7.1.1), but only text may be in them.
  private mutating func stateInExtensions(
    _ byte: UInt8, value: UInt64, lineBytes: Int
  ) throws(ChunkFault) -> State {
    switch byte {
    case UInt8(ascii: "\r"):
      return .sizeEnd(value: value)
    case UInt8(ascii: "\n"):
      throw .malformed(.bareLineFeed)
    case 0x20...0x7E, UInt8(ascii: "\t"):
      guard lineBytes <= limits.lineBytesMax else { throw .malformed(.chunkLineTooLong) }
      extensionBytes += 1
      guard extensionBytes <= limits.extensionBytesMax else {
        throw .malformed(.chunkExtensionsTooLong)
      }
      return .extensions(value: value, lineBytes: lineBytes)
    default:
      throw .malformed(.controlCharacter)
    }
  }

  /// Reads the trailer line that has become whole, if one has; true when it is the section's last,
  /// the empty one.
  private mutating func readTrailers() throws(ChunkFault) -> Bool {
    let bytes = received
    do throws(Malformation) {
      switch try scanner.next(in: bytes.span, below: limits.trailerBytesMax) {
      case .incomplete:
        return false
      case .line(let start, let end) where start == end:
        section.markNominated(bytes.span)
        trailers = TrailerSection(keeping: section.lines, of: bytes.span)
        return true
      case .line(let start, let end):
        if section.lines.count < limits.trailerCountMax {
          try section.append(bytes.span, from: start, to: end)
          return false
        }
      case .overLimit:
        break
      }
    } catch {
      throw .malformed(error)
    }
    throw .trailersTooLarge
  }
}
