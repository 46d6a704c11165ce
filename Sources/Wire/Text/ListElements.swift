/// The elements of a field value that is a list (RFC 9110 §5.6.1).
package enum ListElements {
  /// Calls `body` with each element's range, without the blanks before it; empty ones are passed
  /// over, and a comma in a quoted string separates nothing.
  package static func forEach(of value: Span<UInt8>, _ body: (Range<Int>) -> Void) {
    var start = 0
    while start < value.count {
      var end = start
      var isQuoted = false
      while end < value.count, isQuoted || value[end] != UInt8(ascii: ",") {
        // RFC 9110 §5.6.4: what a backslash stands before is no end of a quoted string.
        let isEscape = isQuoted && value[end] == UInt8(ascii: "\\")
        if value[end] == UInt8(ascii: "\"") { isQuoted.toggle() }
        end += isEscape ? 2 : 1
      }
      var element = start..<min(end, value.count)
      while !element.isEmpty, ByteClass.isBlank(value[element.lowerBound]) {
        element = (element.lowerBound + 1)..<element.upperBound
      }
      if !element.isEmpty { body(element) }
      start = end + 1
    }
  }
}
