/// Puts a JSON document together: values in objects and lists, commas where they belong.
package struct JSONBuilder {
  package private(set) var bytes: [UInt8] = []
  private var needsComma = false
  private var followsName = false
  private let isIndented: Bool
  private var depth = 0

  /// - Parameter isIndented: for people: each member and element on a line of its own.
  package init(isIndented: Bool = false) { self.isIndented = isIndented }

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
    if isIndented { bytes.append(UInt8(ascii: " ")) }
    needsComma = false
    followsName = true
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

  /// A value that is JSON already.
  package mutating func raw(_ json: String) {
    separate()
    bytes += json.utf8
    needsComma = true
  }

  private mutating func open(_ brace: UInt8) {
    separate()
    bytes.append(brace)
    needsComma = false
    depth += 1
  }

  private mutating func close(_ brace: UInt8) {
    depth -= 1
    if needsComma { breakLine() }
    bytes.append(brace)
    needsComma = true
  }

  private mutating func separate() {
    if needsComma { bytes.append(UInt8(ascii: ",")) }
    if depth > 0, !followsName { breakLine() }
    followsName = false
  }

  private mutating func breakLine() {
    guard isIndented else { return }
    bytes.append(UInt8(ascii: "\n"))
    for _ in 0..<depth { bytes += "  ".utf8 }
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
