/// A field name as it was scanned: its letters folded into four integers, a hash over all of them.
///
/// Folded means without case and with `_` as `-`. Four words hold 32 bytes, which is more than any
/// `FieldName` needs; of a longer name only the hash knows the rest.
struct ScannedName {
  /// The index behind the last byte that is a token's.
  var end: Int
  /// Eight folded bytes each, the first byte highest; zero where the name has ended.
  var words: (UInt64, UInt64, UInt64, UInt64)
  /// Over every folded byte. Not secret and not keyed: equal hashes are followed by a comparison.
  var hash: UInt64
  var hasUnderscore: Bool

  /// Scans the token that begins at `start`; `end` is `start` when there is none.
  @inline(__always)
  init(in bytes: Span<UInt8>, from start: Int, to limit: Int) {
    let bytes = bytes.extracting(start..<limit)
    words = (0, 0, 0, 0)
    hash = 0
    hasUnderscore = false
    var word: UInt64 = 0
    var index = 0
    var isToken = true
    while isToken, index < bytes.count {
      // One word's bytes, or what is left of the name.
      var shift: UInt64 = 64
      word = 0
      while shift != 0, index < bytes.count {
        let byte = bytes[index]
        let folded = ByteClass.tokenFold[Int(byte)]
        if folded == 0 {
          isToken = false
          break
        }
        shift &-= 8
        word |= UInt64(folded) &<< shift
        hasUnderscore = hasUnderscore || byte == UInt8(ascii: "_")
        index &+= 1
      }
      if word == 0 { break }
      hash = Self.mix(hash, word)
      switch (index &- 1) / 8 {
      case 0: words.0 = word
      case 1: words.1 = word
      case 2: words.2 = word
      case 3: words.3 = word
      default: break
      }
    }
    end = start + index
  }

  /// Multiplying carries low bits up and the shift brings them down again, so that the top byte,
  /// which is the table's index, depends on every byte of the name.
  @inline(__always)
  static func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 {
    let product = (hash ^ word) &* 0x9E37_79B9_7F4A_7C15
    return product ^ product >> 29
  }

  /// Whether it is the transfer coding that is read here (RFC 9112 §7.1).
  var isChunked: Bool { words == (0x63_6875_6E6B_6564 << 8, 0, 0, 0) }

  /// Whether it is the one expectation there is (RFC 9110 §10.1.1), or `100_continue`.
  var isContinue: Bool {
    words == (0x3130_302D_636F_6E74, 0x696E_7565 << 32, 0, 0)
  }

  /// What `FieldLine` keeps of the hash.
  var foldedHash: UInt32 { UInt32(truncatingIfNeeded: hash &>> 32) }
}

/// Finds the `FieldName` of a scanned name: an index from the hash, then four integer comparisons.
///
/// Built once from the spellings, open addressing with at most a quarter of its slots taken.
struct FieldNameTable {
  static let shared = FieldNameTable()

  private struct Slot {
    var words: (UInt64, UInt64, UInt64, UInt64)
    var name: FieldName
  }

  /// 256; an array, because a table held in place would be copied wherever it is used.
  private var slots: [Slot]

  private init() {
    slots = Array(repeating: Slot(words: (0, 0, 0, 0), name: .other), count: 256)
    for name in FieldName.allCases where name != .other && !name.isFamily {
      let spelling = Array(name.spelling.utf8)
      let scanned = ScannedName(in: spelling.span, from: 0, to: spelling.count)
      precondition(scanned.end == spelling.count && spelling.count < 32)
      var index = Self.index(scanned)
      while slots[Int(index)].name != .other { index &+= 1 }
      slots[Int(index)] = Slot(words: scanned.words, name: name)
    }
  }

  /// The name's case, `other` when it has none. A name longer than four words is none of the
  /// table's: those leave the last word's last byte zero.
  @inline(__always)
  func name(of scanned: ScannedName) -> FieldName {
    var index = Self.index(scanned)
    while slots[Int(index)].name != .other {
      if slots[Int(index)].words == scanned.words { return slots[Int(index)].name }
      index &+= 1
    }
    // The two families, each told by its spelling's bytes.
    let first = scanned.words.0
    let second = scanned.words.1
    if first == 0x782D_666F_7277_6172, second >> 32 == 0x6465_642D { return .xForwardedOther }
    if first == 0x6163_6365_7373_2D63, second >> 8 == 0x6F6E_7472_6F6C_2D {
      return .accessControlOther
    }
    return .other
  }

  private static func index(_ scanned: ScannedName) -> UInt8 {
    UInt8(truncatingIfNeeded: scanned.hash &>> 56)
  }
}
