import Testing
import Wire

/// A request that reads as something.
struct GoodRequest: CustomTestStringConvertible, Sendable {
  var name: String
  var input: String
  var expected: String
  var testDescription: String { name }

  init(_ name: String, _ input: String, _ expected: String) {
    self.name = name
    self.input = input
    self.expected = expected
  }

  static let all: [GoodRequest] = [
    GoodRequest(
      "plain", "GET /a?b=c HTTP/1.1\r\nHost: Example.com:8080\r\n\r\n",
      "GET origin /a?b=c @example.com:8080 1.1 [\"+Host=Example.com:8080\"] 47 none [keepAlive]"),
  ]
}

/// A request that is refused, and why.
struct BadRequest: CustomTestStringConvertible, Sendable {
  var input: [UInt8]
  var fault: RequestFault
  var testDescription: String { "\(String(decoding: input.prefix(60), as: UTF8.self).debugDescription)" }

  init(_ input: String, _ fault: RequestFault) {
    self.input = Array(input.utf8)
    self.fault = fault
  }

  init(_ input: String, _ malformation: Malformation) {
    self.init(input, .malformed(malformation))
  }
}
