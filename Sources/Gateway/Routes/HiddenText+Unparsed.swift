import Wire

/// Finds the secrets of a text that is no JSON, be it for what stands before a secret, in its place
/// or behind it. More is hidden than must be: who wrote the text has it.
struct UnparsedSecrets {
  private let bytes: [UInt8]
  private(set) var ranges: [Range<Int>] = []

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    var index = 0
    while let start = next(from: index) {
      index = isWord(at: start) ? hide(behindWordAt: start) : start + 1
    }
  }

  /// Looks at a word, in quotes or without, and hides what it says is secret.
  ///
  /// - Returns: where to look on.
  private mutating func hide(behindWordAt start: Int) -> Int {
    let range = word(from: start)
    let value = value(behind: range.upperBound)
    // A URL, a token, and a credential behind its scheme have one of these. Most words are neither
    // that nor a key, and need no further look.
    let isLong = bytes[range].contains { ":. ".utf8.contains($0) }
    if value == nil, !isLong { return range.upperBound }
    let text = UTF8Text(Array(bytes[range]).filter { !Self.isQuote($0) })
    if HiddenText.isSecretItself(text) || HiddenText.isCredential(text) { ranges.append(range) }
    let isProof = HiddenText.namesProof(text)
    guard let value, isProof || HiddenText.isSecret(text) else { return range.upperBound }
    switch bytes[value] {
    case UInt8(ascii: "{"), UInt8(ascii: "["): return isProof ? value : hideAll(from: value)
    case let byte where Self.isQuote(byte):
      let text = word(from: value)
      ranges.append(text)
      return text.upperBound
    default:
      // Without quotes nobody knows where it ends.
      let end = bytes[value...].firstIndex(of: 0x0A) ?? bytes.count
      ranges.append(value..<end)
      return end
    }
  }

  /// Where the value of a key begins that ends there; nil where it has none.
  private func value(behind end: Int) -> Int? {
    guard var start = next(from: end) else { return nil }
    var isTold = false
    while Self.isSeparator(bytes[start]) {
      guard let later = next(from: start + 1) else { return nil }
      (start, isTold) = (later, true)
    }
    if Self.isEnd(bytes[start]) { return nil }
    if isTold { return start }
    // What looked like a key may have been a value, and the comma behind it is what is missing.
    return isKey(word(from: start)) ? nil : start
  }

  private func isKey(_ word: Range<Int>) -> Bool {
    next(from: word.upperBound).map { bytes[$0] == UInt8(ascii: ":") } ?? false
  }

  /// Hides all that an object or a list holds, but where a secret is kept.
  ///
  /// - Returns: behind it.
  private mutating func hideAll(from start: Int) -> Int {
    var index = start
    var depth = 0
    var isPlace = false
    while let start = next(from: index) {
      guard isWord(at: start) else {
        index = start + 1
        switch bytes[start] {
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
        default: continue
        }
        if depth <= 0 { return index }
        continue
      }
      let range = word(from: start)
      index = range.upperBound
      if isKey(range) {
        let name = UTF8Text(Array(bytes[range]).filter { !Self.isQuote($0) })
        isPlace = name == "env" || name == "file"
      } else {
        if !isPlace { ranges.append(range) }
        isPlace = false
      }
    }
    return bytes.count
  }

  /// The next byte that is neither blank nor a comment's.
  private func next(from start: Int) -> Int? {
    var index = start
    while index < bytes.count {
      if bytes[index] <= 0x20 {
        index += 1
      } else if bytes[index...].starts(with: "//".utf8) {
        index = bytes[index...].firstIndex(of: 0x0A) ?? bytes.count
      } else if bytes[index...].starts(with: "/*".utf8) {
        index += 2
        while index < bytes.count, !bytes[index...].starts(with: "*/".utf8) { index += 1 }
        index += 2
      } else {
        return index
      }
    }
    return nil
  }

  private func isWord(at index: Int) -> Bool {
    !Self.isSeparator(bytes[index]) && !Self.isEnd(bytes[index])
      && bytes[index] != UInt8(ascii: "{") && bytes[index] != UInt8(ascii: "[")
  }

  /// A text with its quotes, to the last of them or the line's end; or what stands without.
  private func word(from start: Int) -> Range<Int> {
    var index = start + 1
    if Self.isQuote(bytes[start]) {
      while index < bytes.count, bytes[index] != 0x0A {
        if bytes[index] == bytes[start] { return start..<index + 1 }
        index += bytes[index] == UInt8(ascii: "\\") ? 2 : 1
      }
      return start..<min(index, bytes.count)
    }
    while index < bytes.count, bytes[index] > 0x20, isWord(at: index),
      !Self.isQuote(bytes[index])
    {
      index += 1
    }
    return start..<index
  }

  private static func isQuote(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'")
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ":") || byte == UInt8(ascii: "=")
  }

  private static func isEnd(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: ",") || byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]")
  }
}
