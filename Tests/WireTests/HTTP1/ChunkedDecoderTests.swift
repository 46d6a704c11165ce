import Testing
import Wire

/// What decoding came to: the content, the trailers, and how many bytes the message had.
private struct Decoded: Equatable {
  var content: [UInt8] = []
  var trailers: [UInt8] = []
  var consumed: Int?
}

/// Decodes input that arrives in pieces ending at `cuts`, throwing away what was consumed.
private func decode(
  _ input: [UInt8], cuts: [Int] = [], limits: ChunkedLimits = ChunkedLimits()
) -> Result<Decoded, ChunkFault> {
  var decoder = ChunkedDecoder(limits: limits)
  var decoded = Decoded()
  var start = 0
  for end in cuts + [input.count] where end >= start {
    let piece = Array(input[start..<end])
    var index = 0
    reading: while true {
      do throws(ChunkFault) {
        switch try decoder.next(piece.span, from: index) {
        case .data(let range):
          decoded.content += piece[range]
          index = range.upperBound
        case .needMore(let consumed):
          start += consumed
          break reading
        case .end(let consumed):
          decoded.trailers = decoder.trailers.bytes
          decoded.consumed = start + consumed
          return .success(decoded)
        }
      } catch {
        return .failure(error)
      }
    }
  }
  return .success(decoded)
}

private func expectSame(
  _ text: String, limits: ChunkedLimits = ChunkedLimits()
) -> Result<Decoded, ChunkFault> {
  let input = Array(text.utf8)
  let whole = decode(input, limits: limits)
  for cut in 0...input.count {
    #expect(decode(input, cuts: [cut], limits: limits) == whole, "cut after byte \(cut)")
  }
  let all = Array(0...input.count)
  #expect(decode(input, cuts: all, limits: limits) == whole, "byte by byte")
  return whole
}

struct ChunkedDecoderTests {
  @Test(arguments: [
    ("0\r\n\r\n", "", ""),
    ("000\r\n\r\n", "", ""),
    ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
    ("00000005\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", ""),
    ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", ""),
    ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""),
    ("5;a=b;c=\"d \t;e\"\r\nhello\r\n0;x\r\n\r\n", "hello", ""),
    ("5;\r\nhello\r\n0\r\n\r\n", "hello", ""),
    ("0\r\nX-Sum:  abc \r\nGrpc-Status: 0\r\n\r\n", "", "X-Sum: abc\r\nGrpc-Status: 0\r\n"),
    // What a trailer must not say (RFC 9110 §6.5.1).
    (
      "0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\nHost: a\r\nAuthorization: x\r\n"
        + "Cookie: a\r\nSet-Cookie: a\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Any: 1\r\n"
        + "X_Forwarded_For: 1\r\nTrailer: X\r\nConnection: Y\r\nY: 2\r\nX-Ok: 1\r\n\r\n",
      "", "X-Ok: 1\r\n"
    ),
  ])
  func `takes the coding off however the bytes arrive`(
    _ input: String, _ content: String, _ trailers: String
  ) {
    let expected = Decoded(
      content: Array(content.utf8), trailers: Array(trailers.utf8), consumed: input.utf8.count)
    #expect(expectSame(input) == .success(expected))
    #expect(decode(Array("\(input)GET /\0".utf8)) == .success(expected))
  }

  @Test(arguments: [
    ("\r\n", Malformation.chunkSizeInvalid),
    (";a\r\n", .chunkSizeInvalid),
    ("g\r\n", .chunkSizeInvalid),
    ("0x5\r\nhello\r\n", .chunkSizeInvalid),
    ("+5\r\nhello\r\n", .chunkSizeInvalid),
    ("-5\r\nhello\r\n", .chunkSizeInvalid),
    (" 5\r\nhello\r\n", .chunkSizeInvalid),
    ("5 \r\nhello\r\n", .chunkSizeInvalid),
    ("5 ;a\r\nhello\r\n", .chunkSizeInvalid),
    ("5,\r\nhello\r\n", .chunkSizeInvalid),
    ("5\nhello\r\n", .bareLineFeed),
    ("5;a\nhello\r\n", .bareLineFeed),
    ("5\rhello\r\n", .bareCarriageReturn),
    ("5;a\rb\r\nhello\r\n", .bareCarriageReturn),
    ("5;a\0\r\nhello\r\n", .controlCharacter),
    ("5;é\r\nhello\r\n", .controlCharacter),
    ("5\r\nhello0\r\n\r\n", .chunkEndMissing),
    ("5\r\nhello\n0\r\n\r\n", .chunkEndMissing),
    ("5\r\nhello\r0\r\n\r\n", .chunkEndMissing),
    ("5\r\nhello!\r\n0\r\n\r\n", .chunkEndMissing),
    ("8000000000000000\r\n", .chunkSizeTooLarge),
    ("10000000000000005\r\n", .chunkSizeTooLarge),
    ("0\r\nX\r\n\r\n", .colonMissing),
    ("0\r\n X: 1\r\n\r\n", .foldedLine),
    ("0\r\nX : 1\r\n\r\n", .spaceBeforeColon),
    ("0\r\nX: 1\n\r\n", .bareLineFeed),
    ("0\r\nX: \0\r\n\r\n", .controlCharacter),
    ("0\r\n\n", .bareLineFeed),
    ("0\r\n\rX", .bareCarriageReturn),
    ("0\r\nContent_Length: 5\r\n\r\n", .framingDisguised),
  ])
  func `refuses what decoders disagree on`(_ input: String, _ fault: Malformation) {
    #expect(expectSame(input) == .failure(ChunkFault.malformed(fault)))
  }

  @Test func `counts what surrounds the content`() {
    var limits = ChunkedLimits()
    limits.lineBytesMax = 4
    #expect(expectSame("1;ab\r\nx\r\n0\r\n\r\n", limits: limits).isSuccess)
    #expect(
      expectSame("1;abc\r\nx\r\n0\r\n\r\n", limits: limits)
        == .failure(ChunkFault.malformed(.chunkLineTooLong)))
    #expect(
      expectSame("00001\r\nx\r\n0\r\n\r\n", limits: limits)
        == .failure(ChunkFault.malformed(.chunkLineTooLong)))
    limits = ChunkedLimits()
    limits.extensionBytesMax = 3
    #expect(expectSame("1;ab\r\nx\r\n0;c\r\n\r\n", limits: limits).isSuccess)
    #expect(
      expectSame("1;ab\r\nx\r\n0;cd\r\n\r\n", limits: limits)
        == .failure(ChunkFault.malformed(.chunkExtensionsTooLong)))
    limits = ChunkedLimits()
    limits.trailerBytesMax = 8
    limits.trailerCountMax = 1
    #expect(expectSame("0\r\nA: b\r\n\r\n", limits: limits).isSuccess)
    #expect(
      expectSame("0\r\nA: bc\r\n\r\n", limits: limits) == .failure(ChunkFault.trailersTooLarge))
    #expect(
      expectSame("0\r\nA:\r\nB:\r\n\r\n", limits: limits)
        == .failure(ChunkFault.trailersTooLarge))
  }

  @Test func `hands out a large chunk as it comes`() throws {
    var decoder = ChunkedDecoder()
    let first = Array("7fffffffffffffff\r\nabc".utf8)
    #expect(try decoder.next(first.span, from: 0) == .data(18..<21))
    #expect(try decoder.next(first.span, from: 21) == .needMore(consumed: 21))
    let second = [UInt8](repeating: 0, count: 100)
    #expect(try decoder.next(second.span, from: 0) == .data(0..<100))
  }

  @Test func `says the end again`() throws {
    var decoder = ChunkedDecoder()
    let input = Array("0\r\n\r\nGET".utf8)
    #expect(try decoder.next(input.span, from: 0) == .end(consumed: 5))
    #expect(try decoder.next(input.span, from: 5) == .end(consumed: 5))
    #expect(try decoder.next(input.span, from: 8) == .end(consumed: 8))
  }

  @Test func `never traps on anything`() {
    var random = SplitMix64(seed: 7)
    let seed = Array("5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: 1\r\nY: 2\r\n\r\n".utf8)
    let spice = Array("\r\n\t :;0f\0\u{7F}gF".utf8) + [0x80, 0xFF]
    for _ in 0..<20_000 {
      var input = seed
      for _ in 0..<(1 + random.next() % 4) {
        let at = Int(random.next() % UInt64(input.count))
        let byte = spice[Int(random.next() % UInt64(spice.count))]
        switch random.next() % 3 {
        case 0: input[at] = byte
        case 1: input.insert(byte, at: at)
        default: if input.count > 1 { input.remove(at: at) }
        }
      }
      let whole = decode(input)
      let cut = Int(random.next() % UInt64(input.count + 1))
      #expect(decode(input, cuts: [cut]) == whole)
    }
  }
}

extension Result {
  fileprivate var isSuccess: Bool {
    if case .success = self { return true }
    return false
  }
}
