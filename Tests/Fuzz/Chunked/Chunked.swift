import FuzzSupport
import Wire

/// Chunked content is the same in one piece, in two, and byte by byte; what was decoded, written as
/// chunks again, is the same content.
@c(LLVMFuzzerTestOneInput)
func chunked(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe fuzz(start, count) { input in
    guard let cut = input.first.map({ Int($0) % input.count }) else { return }
    let message = Array(input.dropFirst())
    let whole = decode(message, cuts: [])
    check(decode(message, cuts: [cut]) == whole, "the same in two pieces")
    check(decode(message, cuts: Array(0...message.count)) == whole, "the same byte by byte")
    guard case .success(let decoded) = whole, let consumed = decoded.consumed else { return }
    check(consumed <= message.count, "no more is taken than is there")
    check(decode(Array(message[..<consumed]), cuts: []) == whole, "what follows is not looked at")
    var again = decoded
    let written = write(decoded)
    again.consumed = written.count
    check(decode(written, cuts: []) == .success(again), "written again it is the same content")
  }
}

private struct Decoded: Equatable {
  var content: [UInt8] = []
  var trailers: [UInt8] = []
  var consumed: Int?
}

/// Decodes what arrives in pieces that end at `cuts`, throwing away what was consumed.
private func decode(_ message: [UInt8], cuts: [Int]) -> Result<Decoded, ChunkFault> {
  var decoder = ChunkedDecoder()
  var decoded = Decoded()
  var start = 0
  for end in cuts + [message.count] where end >= start {
    let piece = Array(message[start..<end])
    var index = 0
    reading: while true {
      do throws(ChunkFault) {
        switch try decoder.next(piece.span, from: index) {
        case .data(let range):
          check(!range.isEmpty && range.lowerBound >= index, "content moves on")
          decoded.content += piece[range]
          index = range.upperBound
        case .needMore(let consumed):
          check(consumed == piece.count, "everything is used before more is asked for")
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

private func write(_ decoded: Decoded) -> [UInt8] {
  var bytes: [UInt8] = []
  if !decoded.content.isEmpty {
    bytes += Array("\(String(decoded.content.count, radix: 16))\r\n".utf8)
    bytes += decoded.content + Array("\r\n".utf8)
  }
  return bytes + Array("0\r\n".utf8) + decoded.trailers + Array("\r\n".utf8)
}
