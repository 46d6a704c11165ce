package import Wire

/// A head's fields in text that can be compared: what a head written anew must keep.
package func text(of fields: [FieldLine], _ bytes: [UInt8]) -> [[UInt8]] {
  fields.map { line in
    check(line.nameEnd > line.nameStart && line.valueEnd >= line.valueStart, "a field has a name")
    return (line.isHopByHop ? [45] : [43]) + bytes[line.name] + [58] + bytes[line.value]
  }
}

/// The field lines written anew, one space behind each colon.
package func write(_ fields: [FieldLine], _ bytes: [UInt8]) -> [UInt8] {
  var written: [UInt8] = []
  for line in fields {
    written += bytes[line.name] + Array(": ".utf8) + bytes[line.value] + Array("\r\n".utf8)
  }
  return written + Array("\r\n".utf8)
}

/// What parsing a head came to.
package enum Outcome<Reading: Equatable, Fault: Equatable>: Equatable {
  case incomplete
  case whole(Reading)
  case fault(Fault)
}

/// The same head in one piece, in two, and byte by byte reads the same; gives how.
package func reading<Outcome: Equatable>(
  of message: [UInt8], cut: Int, _ parse: (_ ends: [Int]) -> Outcome
) -> Outcome {
  let whole = parse([message.count])
  check(parse([min(cut, message.count), message.count]) == whole, "the same in two pieces")
  check(parse(Array(0...message.count)) == whole, "the same byte by byte")
  return whole
}
