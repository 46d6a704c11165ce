extension [UInt8] {
  /// Appends a literal's bytes.
  package mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { bytes in unsafe append(contentsOf: bytes) }
  }
}
