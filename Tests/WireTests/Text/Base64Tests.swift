import Testing
import Wire

struct Base64Tests {
  /// RFC 4648 §10.
  private static let vectors = [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
    ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
  ]

  @Test(arguments: vectors)
  func `follows the RFC's vectors`(_ plain: String, _ text: String) {
    #expect(Base64.encode(Array(plain.utf8)) == Array(text.utf8))
    #expect(Base64.decode(Array(text.utf8)) == Array(plain.utf8))
    let bare = text.utf8.filter { $0 != UInt8(ascii: "=") }
    #expect(Base64URL.encode(Array(plain.utf8)) == bare)
    #expect(Base64URL.decode(bare) == Array(plain.utf8))
  }

  @Test func `has two alphabets`() {
    let bytes: [UInt8] = [0xFB, 0xEF, 0xBE, 0xFF, 0xFF, 0xFF]
    #expect(Base64.encode(bytes) == Array("++++////".utf8))
    #expect(Base64URL.encode(bytes) == Array("----____".utf8))
    #expect(Base64.decode(Array("----____".utf8)) == nil)
    #expect(Base64URL.decode(Array("++++////".utf8)) == nil)
  }

  @Test func `comes back from every length and byte`() {
    var random = SplitMix64(seed: 3)
    for count in 0..<200 {
      let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
      #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }
  }

  @Test(arguments: [
    "A", "AAAAA", "Zg==", "Zm8=", "Zh", "Zm9", "Zm 9", "Zm\n", "Zm9vYg.", "Zm9v\0", "é", "Zm+v",
    "Zm/v", "====", " ",
  ])
  func `accepts one spelling only, URL alphabet`(_ text: String) {
    #expect(Base64URL.decode(Array(text.utf8)) == nil)
  }

  @Test(arguments: [
    "Zg", "Zg=", "Zg===", "Zm8", "Zm8==", "=", "==", "===", "====", "Zh==", "Zm9=", "Z===",
    "Zg==Zg==",
    "Zm9v\n", "Zm-v", "Zg==\r\n",
  ])
  func `accepts one spelling only, padded`(_ text: String) {
    #expect(Base64.decode(Array(text.utf8)) == nil)
  }

  @Test func `no two texts decode to the same bytes`() {
    let digits = Array("ABCDghwxyz0159-_+/= ".utf8)
    var seen: [[UInt8]: [UInt8]] = [:]
    for a in digits {
      for b in digits {
        for c in digits {
          for text in [[a, b], [a, b, c]] {
            guard let bytes = Base64URL.decode(text) else { continue }
            #expect(seen[bytes] == nil || seen[bytes] == text)
            seen[bytes] = text
          }
        }
      }
    }
  }
}

struct HexTests {
  @Test func `writes lower case and reads both`() {
    let bytes: [UInt8] = [0, 0x0F, 0xA5, 0xFF]
    #expect(Hex.encode(bytes.span) == Array("000fa5ff".utf8))
    #expect(Hex.decode(Array("000fA5Ff".utf8).span) == bytes)
    #expect(Hex.decode([UInt8]().span) == [])
  }

  @Test(arguments: ["0", "0g", "g0", " 0", "000"])
  func `refuses what is no pair of digits`(_ text: String) {
    #expect(Hex.decode(Array(text.utf8).span) == nil)
  }
}
