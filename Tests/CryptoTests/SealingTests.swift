import Testing

@testable import Crypto

@Suite struct SealingTests {
  private static let key = (0..<32).map { UInt8($0) }

  private static func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.compactMap { $0.hexDigitValue }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }

  @Test func `seals as the mode's authors do`() throws {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16.
    let half = "feffe9928665731c6d6a8f9467308308"
    let cipher = try AES256GCM(key: Self.bytes(half + half))
    let text = Self.bytes(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
    let context = Self.bytes("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    let nonce = Self.bytes("cafebabefacedbaddecaf888")
    let sealed = try cipher.seal(text, context: context, nonce: nonce)
    #expect(
      sealed
        == nonce
        + Self.bytes(
          "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
            + "76fc6ece0f4e1768cddf8853bb2d551b"))
    #expect(cipher.open(sealed, context: context) == text)
  }

  @Test(arguments: [0, 1, 15, 16, 17, 4_000])
  func `opens what it sealed`(_ count: Int) throws {
    let cipher = try AES256GCM(key: Self.key)
    let text = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
    for context in [[], Array("context".utf8)] {
      let sealed = try cipher.seal(text, context: context)
      #expect(sealed.count == text.count + AES256GCM.overheadByteCount)
      #expect(cipher.open(sealed, context: context) == text)
    }
    #expect(ErrorQueue.isEmpty)
  }

  @Test func `does not open with any bit changed, or cut anywhere`() throws {
    let cipher = try AES256GCM(key: Self.key)
    let context = Array("context".utf8)
    let sealed = try cipher.seal(Array("a secret".utf8), context: context)
    for bit in 0..<sealed.count * 8 {
      var changed = sealed
      changed[bit / 8] ^= UInt8(1) << UInt8(bit % 8)
      #expect(cipher.open(changed, context: context) == nil)
    }
    for count in 0..<sealed.count {
      #expect(cipher.open(Array(sealed[..<count]), context: context) == nil)
    }
    #expect(cipher.open(sealed + [0], context: context) == nil)
    #expect(ErrorQueue.isEmpty)
  }

  @Test func `does not open in another context, or with another key`() throws {
    let cipher = try AES256GCM(key: Self.key)
    let sealed = try cipher.seal(Array("a secret".utf8), context: [1])
    #expect(cipher.open(sealed, context: [2]) == nil)
    #expect(cipher.open(sealed, context: []) == nil)
    let other = try AES256GCM(key: Self.key.reversed())
    #expect(other.open(sealed, context: [1]) == nil)
  }

  @Test func `seals the same text differently each time`() throws {
    let cipher = try AES256GCM(key: Self.key)
    let sealed = try (0..<100).map { _ in try cipher.seal([1, 2, 3], context: []) }
    #expect(Set(sealed).count == 100)
  }

  @Test func `takes keys of 32 bytes only, and shows none`() throws {
    for count in [0, 16, 31, 33] {
      #expect(throws: CryptoFault.self) { try AES256GCM(key: [UInt8](repeating: 7, count: count)) }
    }
    let cipher = try AES256GCM(key: Self.key)
    var dumped = ""
    dump(cipher, to: &dumped)
    #expect("\(cipher)" == "‹redacted›" && dumped.contains("redacted") && !dumped.contains("31"))
  }

  @Test func `derives keys as RFC 5869 does`() throws {
    let secret = [UInt8](repeating: 0x0B, count: 22)
    // Appendix A.1.
    let first = try HKDF.sha256(
      secret: secret, salt: (0...12).map { UInt8($0) }, purpose: (0xF0...0xF9).map { UInt8($0) },
      byteCount: 42)
    #expect(
      first
        == Self.bytes(
          "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
            + "34007208d5b887185865"))
    // Appendix A.3: neither salt nor purpose.
    let third = try HKDF.sha256(secret: secret, purpose: [], byteCount: 42)
    #expect(
      third
        == Self.bytes(
          "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
            + "9d201395faa4b61a96c8"))
  }
}
