import Wire

/// What a line must say to be wanted: `reason=token_expired`, `status=4xx`, `duration_ms>500`.
package struct LogCondition {
  package enum Comparison: Equatable {
    case equal, unequal, less, lessOrEqual, greater, greaterOrEqual
  }

  /// Why a condition is none.
  package struct Fault: Error, Equatable {
    package let text: String
  }

  package let name: String
  let comparison: Comparison
  let value: [UInt8]
  /// The value as a number in the field's unit, times 1,000.
  private let number: Int64?

  /// - Throws: what is wrong with the text.
  package init(_ text: String) throws(Fault) {
    let bytes = Array(text.utf8)
    guard let start = bytes.firstIndex(where: { Self.signs.contains($0) }), start > 0 else {
      throw Fault(text: "expected FIELD=VALUE, FIELD!=VALUE, FIELD>NUMBER or FIELD<NUMBER")
    }
    let rest = bytes[start...]
    let forms: [(String, Comparison)] = [
      ("!=", .unequal), ("<=", .lessOrEqual), (">=", .greaterOrEqual), ("=", .equal), ("<", .less),
      (">", .greater),
    ]
    guard let form = forms.first(where: { rest.starts(with: $0.0.utf8) }) else {
      throw Fault(text: "expected FIELD=VALUE, FIELD!=VALUE, FIELD>NUMBER or FIELD<NUMBER")
    }
    name = String(decoding: bytes[..<start], as: UTF8.self)
    comparison = form.1
    value = Array(rest.dropFirst(form.0.utf8.count))
    number = Self.thousandths(value)
    if comparison != .equal, comparison != .unequal, number == nil {
      throw Fault(text: "\"\(form.0)\" compares numbers: a number is wanted behind it")
    }
  }

  private static let signs = Set("=!<>".utf8)

  /// Whether a value of the field holds it; nil stands for a field that the line does not have.
  package func holds(_ found: Span<UInt8>?) -> Bool {
    switch comparison {
    case .equal: return matches(found)
    case .unequal: return !matches(found)
    case .less, .lessOrEqual, .greater, .greaterOrEqual:
      guard let found else { return false }
      var text: [UInt8] = []
      for index in found.indices.prefix(24) { text.append(found[index]) }
      return Self.thousandths(text).map(holds(thousandths:)) ?? false
    }
  }

  /// Whether it wants the field to be absent.
  var asksForNothing: Bool { comparison == .equal && value.isEmpty }

  /// Whether it compares numbers.
  var isOfNumbers: Bool { comparison != .equal && comparison != .unequal }

  /// Whether a number holds it, times 1,000 in the condition's unit.
  func holds(thousandths actual: Int64) -> Bool {
    guard let wanted = number else { return false }
    return switch comparison {
    case .equal: actual == wanted
    case .unequal: actual != wanted
    case .less: actual < wanted
    case .lessOrEqual: actual <= wanted
    case .greater: actual > wanted
    case .greaterOrEqual: actual >= wanted
    }
  }

  /// The same text; a `*` at its end stands for any rest, `4xx` for any status of its class, and
  /// nothing for a field that isn't there.
  private func matches(_ found: Span<UInt8>?) -> Bool {
    guard let found else { return value.isEmpty }
    if value.count == 3, value[1] == UInt8(ascii: "x"), value[2] == UInt8(ascii: "x"),
      name == "status" || name == "upstream_status"
    {
      return found.count == 3 && found[0] == value[0]
    }
    if value.last == UInt8(ascii: "*") {
      guard found.count >= value.count - 1 else { return false }
      return value.dropLast().indices.allSatisfy { value[$0] == found[$0] }
    }
    return found.count == value.count && value.indices.allSatisfy { value[$0] == found[$0] }
  }

  private static func thousandths(_ text: [UInt8]) -> Int64? {
    var value: Int64 = 0
    var decimals = -1
    for byte in text {
      if byte == UInt8(ascii: "."), decimals < 0 {
        decimals = 0
        continue
      }
      guard ByteClass.isDigit(byte), value < 1 << 53 else { return nil }
      if decimals >= 3 { continue }
      value = value * 10 + Int64(byte - UInt8(ascii: "0"))
      if decimals >= 0 { decimals += 1 }
    }
    guard !text.isEmpty, text != [UInt8(ascii: ".")] else { return nil }
    for _ in max(0, decimals)..<3 { value *= 10 }
    return value
  }
}
