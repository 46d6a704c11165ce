import FuzzSupport
import Wire

/// JSON written again parses equal; a fault points into the text; the commented dialect reads what
/// the strict one reads.
@c(LLVMFuzzerTestOneInput)
func json(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe fuzz(start, count) { input in
    let strict = parse(input, .strict)
    let commented = parse(input, .commented)
    for case .failure(let fault) in [strict, commented] {
      check(
        fault.range.lowerBound >= 0 && fault.range.upperBound <= input.count,
        "a fault lies in the text")
      let place = SourceLocation(offset: fault.offset, in: input)
      check(place.line >= 1 && place.column >= 1, "a place counts from 1")
    }
    if case .success = strict { check(commented == strict, "comments allowed, read the same") }
    guard case .success(let node) = commented else { return }
    checkPlaces(node, within: 0..<input.count)
    check(parse(written(node), .strict) == .success(node), "written again it says the same")
  }
}

private func parse(_ text: [UInt8], _ dialect: JSONParser.Dialect) -> Result<JSONNode, JSONFault> {
  let parser = JSONParser(dialect, bytesMax: 1 << 14, depthMax: 24, nodesMax: 2_000)
  return Result { () throws(JSONFault) in try parser.parse(text) }
}

private func checkPlaces(_ node: JSONNode, within range: Range<Int>) {
  check(!node.range.isEmpty && range.contains(node.range), "a value stands within its parent")
  switch node.value {
  case .null, .bool, .string: break
  case .number(let number):
    guard let integer = number.integer else { return }
    check(JSONNumber(integer).integer == integer, "a whole number is itself")
    // Beyond 2^53 a double rounds.
    if integer.magnitude < 1 << 53 { check(number.double == Double(integer), "and its double") }
  case .array(let elements):
    for element in elements { checkPlaces(element, within: node.range) }
  case .object(let members):
    for member in members {
      check(node.range.contains(member.nameRange), "a name stands within its object")
      checkPlaces(member.node, within: node.range)
    }
  }
}
