import Crypto
import Testing

@Suite struct DigestTests {
  // FIPS 180-4's own example, and what every implementation gives for nothing at all.
  static let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
  static let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  @Test func `one digester gives the same answers again and again`() throws {
    let digester = try Digester()
    for _ in 0..<3 {
      #expect(digester.digest(Array("abc".utf8)).description == Self.abc)
      #expect(digester.digest([]).description == Self.nothing)
      let (first, second) = (Array("a".utf8), Array("bc".utf8))
      #expect(digester.digest(first, second).description == Self.abc)
    }
  }

  @Test func `a digest of digests is that of their bytes`() throws {
    let digester = try Digester()
    let (left, right) = (digester.digest(Array("l".utf8)), digester.digest(Array("r".utf8)))
    #expect(digester.digest(left, right) == digester.digest(left.bytes + right.bytes))
    #expect(digester.digest(left, right) != digester.digest(right, left))
  }

  @Test func `goes to bytes and back`() throws {
    let digest = try Digester().digest(Array("x".utf8))
    #expect(digest.bytes.count == 32)
    #expect(SHA256Digest(bytes: digest.bytes) == digest)
    #expect(SHA256Digest(bytes: Array(digest.bytes.dropLast())) == nil)
    let again = try Digests.sha256(Array("x".utf8).span)
    #expect(again == digest.bytes)
  }

  @Test func `two digests that differ in one bit differ`() throws {
    let digest = try Digester().digest(Array("x".utf8))
    for bit in 0..<256 {
      var bytes = digest.bytes
      bytes[bit / 8] ^= UInt8(1) << UInt8(bit % 8)
      #expect(SHA256Digest(bytes: bytes) != digest)
    }
  }

  @Test func `HMAC is the construction of RFC 2104`() throws {
    for keyCount in [0, 1, 32, 63, 64] {
      let key = [UInt8](repeating: 0xA5, count: keyCount)
      let message = Array("what is said".utf8)
      let padded = key + [UInt8](repeating: 0, count: 64 - keyCount)
      let inner = try Digests.sha256((padded.map { $0 ^ 0x36 } + message).span)
      let outer = try Digests.sha256((padded.map { $0 ^ 0x5C } + inner).span)
      let code = try Digests.hmacSHA256(key: key.span, message.span)
      #expect(code == outer)
    }
  }

  @Test func `SHA-1 has 20 bytes`() throws {
    let digest = try Digests.sha1(Array("abc".utf8).span)
    #expect(digest.prefix(4) == [0xA9, 0x99, 0x3E, 0x36])
    #expect(digest.count == 20)
  }

  @Test func `compares lengths and every byte`() {
    #expect(isEqual([], []))
    #expect(isEqual([1, 2, 3], [1, 2, 3]))
    #expect(!isEqual([1, 2, 3], [1, 2]))
    #expect(!isEqual([1, 2, 3], [0, 2, 3]))
    #expect(!isEqual([1, 2, 3], [1, 2, 2]))
  }

  @Test func `random bytes are as many as asked for and never the same`() throws {
    #expect(try RandomBytes.make(count: 0).isEmpty)
    #expect(try RandomBytes.make(count: 33).count == 33)
    #expect(try RandomBytes.make(count: 16) != RandomBytes.make(count: 16))
  }
}
