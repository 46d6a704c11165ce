import Testing
import Wire

/// A request as its parser saw it, in text that a test can compare.
struct RequestReading: Equatable, CustomStringConvertible, Sendable {
  var description: String
  var byteCount: Int

  init(_ head: RequestHead, _ bytes: [UInt8]) {
    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
    let fields = head.fields.map { line in
      "\(line.isHopByHop ? "-" : "+")\(text(line.name))=\(text(line.value))"
    }
    var authority: [UInt8] = []
    head.authority.append(to: &authority, omitting: 80)
    let parts: [String?] = [
      text(head.methodRange), "\(head.targetForm)", text(head.path),
      head.query.map { "?\(text($0))" }, "@\(String(decoding: authority, as: UTF8.self))",
      "1.\(head.minorVersion)", "[\(fields.joined(separator: ", "))]", "\(head.framing)",
      head.keepAlive ? "keepAlive" : nil, head.expectsContinue ? "expectsContinue" : nil,
      head.upgradeRequested ? "upgrade" : nil,
    ]
    description = parts.compactMap { $0 }.joined(separator: " ")
    byteCount = head.byteCount
  }
}

let wideLimits = RequestHeadLimits(
  requestLineBytesMax: 8192, headBytesMax: 32768, fieldCountMax: 100)

/// Parses a request in as many calls as there are `cuts` and one more.
func parseRequest(
  _ input: [UInt8], cuts: [Int] = [], limits: RequestHeadLimits = wideLimits
) -> Result<RequestReading?, RequestFault> {
  var parser = RequestHeadParser(limits: limits)
  var head = RequestHead()
  for end in cuts + [input.count] {
    do throws(RequestFault) {
      if try parser.parse(input.span.extracting(0..<end), into: &head) == .complete {
        return .success(RequestReading(head, input))
      }
    } catch {
      return .failure(error)
    }
  }
  return .success(nil)
}

/// The same request in every two pieces, and byte by byte: all must read as it does in one.
func expectSameReading(
  _ input: [UInt8], limits: RequestHeadLimits = wideLimits,
  sourceLocation: Testing.SourceLocation = #_sourceLocation
) -> Result<RequestReading?, RequestFault> {
  let whole = parseRequest(input, limits: limits)
  for cut in 0...input.count {
    let cutReading = parseRequest(input, cuts: [cut], limits: limits)
    #expect(cutReading == whole, "cut after byte \(cut)", sourceLocation: sourceLocation)
  }
  let bytewise = parseRequest(input, cuts: Array(0...input.count), limits: limits)
  #expect(bytewise == whole, "byte by byte", sourceLocation: sourceLocation)
  return whole
}

/// Numbers that only look random: a failure comes back with the same seed.
struct SplitMix64 {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
