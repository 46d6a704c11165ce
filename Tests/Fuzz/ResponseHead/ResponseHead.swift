import FuzzSupport
import Wire

/// A response's head reads the same however it arrives, and written anew it is the same response.
@c(LLVMFuzzerTestOneInput)
func responseHead(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe fuzz(start, count) { input in
    guard let cut = input.first else { return }
    let message = Array(input.dropFirst())
    for method in [Method.get, .head, .connect] {
      let outcome = reading(of: message, cut: Int(cut)) { ends in parse(message, ends, method) }
      guard case .whole(let head) = outcome else { return }
      check(head.byteCount <= message.count, "no more is taken than is there")
      check(parse(message, [head.byteCount], method) == outcome, "what follows is not looked at")
      var again = head
      again.byteCount = head.written.count
      // The space behind each colon may take it over the limit.
      let parsed = parse(head.written, [head.written.count], method, bytesMax: 1_600)
      check(parsed == .whole(again), "the same when written anew")
      check(method != .head || head.framing == .none, "an answer to HEAD has no content")
    }
  }
}

private struct Reading: Equatable {
  var status: UInt16
  var framing: BodyFraming
  var flags: [Bool]
  var fields: [[UInt8]]
  var byteCount: Int
  var written: [UInt8]

  init(_ head: ResponseHead, _ bytes: [UInt8]) {
    status = head.status
    framing = head.framing
    flags = [head.minorVersion == 1, head.keepAlive, head.upgradeAccepted, head.isInterim]
    fields = text(of: head.fields, bytes)
    byteCount = head.byteCount
    written =
      Array("HTTP/1.\(head.minorVersion) \(status) ".utf8) + bytes[head.reason]
      + Array("\r\n".utf8) + write(head.fields, bytes)
    check((100...999).contains(status), "a status has three digits")
    check(framing != .untilClose || !head.keepAlive, "who ends by closing closes")
  }
}

private func parse(
  _ message: [UInt8], _ ends: [Int], _ method: Method, bytesMax: Int = 800
) -> Outcome<Reading, ResponseFault> {
  var parser = ResponseHeadParser(
    limits: ResponseHeadLimits(headBytesMax: bytesMax, fieldCountMax: 20))
  var head = ResponseHead()
  for end in ends {
    do throws(ResponseFault) {
      let bytes = message.span.extracting(0..<end)
      if try parser.parse(bytes, answering: method, into: &head) == .complete {
        return .whole(Reading(head, message))
      }
    } catch {
      return .fault(error)
    }
  }
  return .incomplete
}
