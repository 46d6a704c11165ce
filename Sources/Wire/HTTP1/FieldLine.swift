/// One field line of a head: where its bytes are, and what was learnt of it while it was parsed.
///
/// Offsets count from the first byte that the parser was handed, so a line has meaning only beside
/// those bytes. It is 24 bytes large; a head's lines are one array that is used again.
///
/// Lines follow one another without a gap (there is no obs-fold), so a run of lines that all go
/// on can be copied in one piece: from the first's name to the next one's name after the run.
package struct FieldLine: Sendable, Equatable {
  package let nameStart: UInt32
  package let nameEnd: UInt32
  package let valueStart: UInt32
  package let valueEnd: UInt32
  /// Of the name without case and with `_` as `-`; `FieldNameKey` compares it before any byte.
  package let foldedHash: UInt32
  /// The name's case; `x_tenant` is known as what `x-tenant` would be, and `hasUnderscore` then.
  package let known: FieldName
  /// Whether the name has an underscore. Such a line never takes part in framing, routing or the
  /// connection's options: only its exact spelling makes a field what it is.
  package let hasUnderscore: Bool
  /// Whether the line ends at this hop: by its own nature, or because `Connection` names it
  /// (RFC 9110 §7.6.1).
  package internal(set) var isHopByHop: Bool

  /// The name, as it was sent.
  @inlinable
  package var name: Range<Int> { Int(nameStart)..<Int(nameEnd) }

  /// The value without the blanks around it; may be empty.
  @inlinable
  package var value: Range<Int> { Int(valueStart)..<Int(valueEnd) }
}

/// A field name made ready for comparing with lines: what a routes file names, for example.
package struct FieldNameKey: Sendable, Hashable {
  /// Lower case, with `_` where it was written.
  package let spelling: [UInt8]
  /// The name's case, `other` when the gateway has none for it.
  package let known: FieldName
  /// Of the name without case and with `_` as `-`.
  package let foldedHash: UInt32
  private let hasUnderscore: Bool

  /// Nil when `name` is no token (RFC 9110 §5.6.2).
  package init?(_ name: [UInt8]) {
    let scanned = ScannedName(in: name.span, from: 0, to: name.count)
    guard !name.isEmpty, scanned.end == name.count else { return nil }
    spelling = name.map(ByteClass.lowercased)
    known = FieldNameTable.shared.name(of: scanned)
    foldedHash = scanned.foldedHash
    hasUnderscore = scanned.hasUnderscore
  }

  /// Whether the line's name is this one, without case (RFC 9110 §5.1). `bytes` are the head's.
  package func matches(_ line: FieldLine, in bytes: Span<UInt8>) -> Bool {
    line.hasUnderscore == hasUnderscore && hasSameLetters(as: line, in: bytes, foldingScore: false)
  }

  /// The same with `_` and `-` as one letter, for names that the gateway itself sets.
  package func matchesFolded(_ line: FieldLine, in bytes: Span<UInt8>) -> Bool {
    hasSameLetters(as: line, in: bytes, foldingScore: true)
  }

  private func hasSameLetters(
    as line: FieldLine, in bytes: Span<UInt8>, foldingScore: Bool
  ) -> Bool {
    guard line.foldedHash == foldedHash, line.name.count == spelling.count else { return false }
    let start = Int(line.nameStart)
    for index in 0..<spelling.count {
      var theirs = ByteClass.lowercased(bytes[start + index])
      var ours = spelling[index]
      if foldingScore {
        theirs = ByteClass.tokenFold[Int(theirs)]
        ours = ByteClass.tokenFold[Int(ours)]
      }
      guard theirs == ours else { return false }
    }
    return true
  }
}
