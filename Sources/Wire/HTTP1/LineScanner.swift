/// Finds the ends of a head's lines, however the bytes arrive.
///
/// It is the only loop that sees every byte of a head, and it remembers where it stopped: one-byte
/// writes cost one look a byte. It refuses every control character but HTAB, and takes nothing
/// but CRLF for a line's end: a reader that took LF alone would see other fields than one that
/// does not (RFC 9112 §2.2 lets us choose).
struct LineScanner {
  enum Outcome {
    case incomplete
    /// The line with its CRLF does not fit below the limit.
    case overLimit
    /// The line is `start..<end`; the next one begins two bytes further.
    case line(start: Int, end: Int)
  }

  /// The first byte of the line being looked for.
  private(set) var lineStart = 0
  private var scanned = 0

  /// Looks for the line's end below `limit`, an offset like those in `bytes`.
  mutating func next(
    in bytes: Span<UInt8>, below limit: Int
  ) throws(Malformation) -> Outcome {
    let end = min(bytes.count, limit)
    while scanned < end {
      scanned = ByteScan.firstControl(in: bytes, from: scanned, to: end)
      guard scanned < end else { break }
      switch bytes[scanned] {
      case UInt8(ascii: "\t"):
        scanned &+= 1
      case UInt8(ascii: "\r"):
        let lineFeed = scanned &+ 1
        guard lineFeed < end else { return lineFeed >= limit ? .overLimit : .incomplete }
        guard bytes[lineFeed] == UInt8(ascii: "\n") else { throw .bareCarriageReturn }
        let line = Outcome.line(start: lineStart, end: scanned)
        lineStart = lineFeed &+ 1
        scanned = lineStart
        return line
      case UInt8(ascii: "\n"):
        throw .bareLineFeed
      default:
        throw .controlCharacter
      }
    }
    return scanned >= limit ? .overLimit : .incomplete
  }
}
