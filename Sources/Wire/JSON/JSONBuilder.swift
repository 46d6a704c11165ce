/// Puts a JSON document together: values in objects and lists, commas where they belong.
package struct JSONBuilder {
  package private(set) var bytes: [UInt8] = []
  private var needsComma = false

  package init() {}

  /// An object, whose members `body` writes.
  package mutating func object(_ body: (inout JSONBuilder) -> Void) {
    open(UInt8(ascii: "{"))
    body(&self)
    close(UInt8(ascii: "}"))
  }

  /// A list, whose elements `body` writes.
  package mutating func list(_ body: (inout JSONBuilder) -> Void) {
    open(UInt8(ascii: "["))
    body(&self)
    close(UInt8(ascii: "]"))
  }

  /// The name of a member whose value comes next.
  package mutating func name(_ name: String) {
    separate()
    JSONWriter.appendString(name, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  package mutating func value(_ text: String) {
    separate()
    JSONWriter.appendString(text, to: &bytes)
    needsComma = true
  }

  package mutating func value(_ text: [UInt8]) {
    separate()
    JSONWriter.appendString(text, to: &bytes)
    needsComma = true
  }

  package mutating func value(_ number: some FixedWidthInteger) {
    separate()
    JSONWriter.appendInteger(number, to: &bytes)
    needsComma = true
  }

  /// A number; what is none in JSON becomes null.
  package mutating func value(_ number: Double) {
    separate()
    bytes += (number.isFinite ? "\(number)" : "null").utf8
    needsComma = true
  }

  package mutating func value(_ flag: Bool) {
    separate()
    JSONWriter.appendBool(flag, to: &bytes)
    needsComma = true
  }

  package mutating func null() {
    separate()
    bytes += "null".utf8
    needsComma = true
  }

  private mutating func open(_ brace: UInt8) {
    separate()
    bytes.append(brace)
    needsComma = false
  }

  private mutating func close(_ brace: UInt8) {
    bytes.append(brace)
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
  }
}

extension JSONBuilder {
  package mutating func member(_ name: String, _ text: String) {
    self.name(name)
    value(text)
  }

  package mutating func member(_ name: String, _ text: [UInt8]) {
    self.name(name)
    value(text)
  }

  package mutating func member(_ name: String, _ number: some FixedWidthInteger) {
    self.name(name)
    value(number)
  }

  package mutating func member(_ name: String, _ number: Double?) {
    self.name(name)
    if let number { value(number) } else { null() }
  }

  package mutating func member(_ name: String, _ flag: Bool) {
    self.name(name)
    value(flag)
  }

  package mutating func object(_ name: String, _ body: (inout JSONBuilder) -> Void) {
    self.name(name)
    object(body)
  }

  package mutating func list(_ name: String, _ body: (inout JSONBuilder) -> Void) {
    self.name(name)
    list(body)
  }
}
