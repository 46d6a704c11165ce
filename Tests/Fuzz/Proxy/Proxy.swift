import FuzzSupport
import Wire

/// A PROXY header is the same in one piece and byte by byte, nothing behind it counts, and what it
/// says, written again, is read again.
@c(LLVMFuzzerTestOneInput)
func proxy(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe fuzz(start, count) { input in
    let whole = parse(input)
    for end in 0..<input.count {
      let part = parse(Array(input[..<end]))
      check(part == .success(.incomplete) || part == whole, "what is decided early stays so")
    }
    guard case .success(.header(let header, let byteCount)) = whole else { return }
    check((1...ProxyHeader.bytesMax).contains(byteCount), "a header has its bounds")
    check(byteCount <= input.count, "no more is taken than is there")
    check(parse(Array(input[..<byteCount])) == whole, "what follows is not looked at")
    guard case .caller(let address, let port) = header else { return }
    let family = address.isV6 ? "TCP6" : "TCP4"
    let line = Array("PROXY \(family) \(address) \(address) \(port) 1\r\n".utf8)
    check(
      parse(line) == .success(.header(header, byteCount: line.count)),
      "written again it is the same")
  }
}

private func parse(_ bytes: [UInt8]) -> Result<ProxyHeader.Outcome, ProxyHeader.Fault> {
  Result { () throws(ProxyHeader.Fault) in try ProxyHeader.parse(bytes.span) }
}
