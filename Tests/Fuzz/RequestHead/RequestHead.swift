import FuzzSupport
import Wire

/// A request's head reads the same however it arrives, and written anew it is the same request.
@c(LLVMFuzzerTestOneInput)
func requestHead(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe fuzz(start, count) { input in
    guard let cut = input.first else { return }
    let message = Array(input.dropFirst())
    let outcome = reading(of: message, cut: Int(cut)) { ends in parse(message, ends) }
    guard case .whole(let head) = outcome else { return }
    check(head.byteCount <= message.count, "no more is taken than is there")
    check(parse(message, [head.byteCount]) == outcome, "what follows is not looked at")
    var again = head
    again.byteCount = head.written.count
    // The space behind each colon may take it over the limit.
    let parsed = parse(head.written, [head.written.count], bytesMax: 1_600)
    check(parsed == .whole(again), "the same when written anew")
  }
}

private struct Reading: Equatable {
  var line: [UInt8]
  var form: TargetForm
  var scheme: Scheme?
  var path: [UInt8]
  var query: [UInt8]?
  var authority: Authority
  var framing: BodyFraming
  var flags: [Bool]
  var fields: [[UInt8]]
  var byteCount: Int
  var written: [UInt8]

  init(_ head: RequestHead, _ bytes: [UInt8]) {
    line = bytes[head.methodRange] + [32] + bytes[head.target]
    form = head.targetForm
    scheme = head.scheme
    path = Array(bytes[head.path])
    query = head.query.map { Array(bytes[$0]) }
    authority = head.authority
    framing = head.framing
    flags = [
      head.minorVersion == 1, head.keepAlive, head.expectsContinue, head.upgradeRequested,
      head.authorityRange != nil,
    ]
    fields = text(of: head.fields, bytes)
    byteCount = head.byteCount
    written = line + Array(" HTTP/1.\(head.minorVersion)\r\n".utf8) + write(head.fields, bytes)
    check(head.names.contains(.host) || head.minorVersion == 0, "HTTP/1.1 has a Host")
    let hosts = head.fields.count { $0.known == .host && !$0.hasUnderscore }
    let framings = head.fields.count {
      $0.known == .contentLength || $0.known == .transferEncoding
    }
    check(hosts <= 1 && framings == (framing == .none ? 0 : 1), "one Host, one framing field")
  }
}

private func parse(
  _ message: [UInt8], _ ends: [Int], bytesMax: Int = 800
) -> Outcome<Reading, RequestFault> {
  var parser = RequestHeadParser(
    limits: RequestHeadLimits(requestLineBytesMax: 200, headBytesMax: bytesMax, fieldCountMax: 20))
  var head = RequestHead()
  for end in ends {
    do throws(RequestFault) {
      if try parser.parse(message.span.extracting(0..<end), into: &head) == .complete {
        return .whole(Reading(head, message))
      }
    } catch {
      return .fault(error)
    }
  }
  return .incomplete
}
