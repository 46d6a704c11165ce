import Testing
import Wire

/// Text to bytes, for inputs that are written as literals.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A request as its parser saw it, in text that a test can compare.
struct RequestReading: Equatable, CustomStringConvertible {
  var method = ""
  var form = TargetForm.origin
  var path = ""
  var query: String?
  var host = ""
  var port: UInt16?
  var minor: UInt8 = 1
  var fields: [String] = []
  var byteCount = 0
  var framing = BodyFraming.none
  var flags: Set<Flag> = []

  enum Flag { case keepAlive, expectsContinue, upgrade }

  init(_ head: RequestHead, _ bytes: [UInt8]) {
    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
    method = text(head.methodRange)
    form = head.targetForm
    path = text(head.path)
    query = head.query.map(text)
    host = String(decoding: head.authority.host, as: UTF8.self)
    port = head.authority.port
    minor = head.minorVersion
    fields = head.fields.map { line in
      "\(line.isHopByHop ? "-" : "+")\(text(line.name))=\(text(line.value))"
    }
    byteCount = head.byteCount
    framing = head.framing
    if head.keepAlive { flags.insert(.keepAlive) }
    if head.expectsContinue { flags.insert(.expectsContinue) }
    if head.upgradeRequested { flags.insert(.upgrade) }
  }

  var description: String {
    "\(method) \(form) \(path)?\(query ?? "nil") @\(host):\(port ?? 0) 1.\(minor) \(fields) "
      + "\(byteCount) \(framing) \(flags)"
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
  sourceLocation: SourceLocation = #_sourceLocation
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
