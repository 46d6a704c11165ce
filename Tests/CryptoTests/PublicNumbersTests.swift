import Testing

@testable import Crypto

@Suite struct PublicNumbersTests {
  @Test func `RSA keys that are too small, too large, even or of a bad exponent are refused`()
    throws
  {
    guard case .rsa(let modulus, let exponent) = TestKeys.all[0].numbers else {
      Issue.record("the first test key is RSA")
      return
    }
    func flaw(_ n: [UInt8], _ e: [UInt8]) -> CryptoFault? {
      do throws(CryptoFault) {
        _ = try PublicKey(.rsa(modulus: n, exponent: e))
        return nil
      } catch { return error }
    }
    #expect(flaw(modulus, exponent) == nil)
    #expect(flaw([0, 0] + modulus, [0] + exponent) == nil)
    #expect(flaw(modulus, [3]) == nil)
    #expect(flaw([], exponent) == .keyRefused(.modulusSize(bits: 0)))
    #expect(flaw([1], exponent) == .keyRefused(.modulusSize(bits: 1)))
    #expect(
      flaw(Array(modulus.dropFirst()), exponent)
        == .keyRefused(.modulusSize(bits: bits(of: modulus))))
    #expect(
      flaw([1] + [UInt8](repeating: 0xFF, count: 1024), exponent)
        == .keyRefused(.modulusSize(bits: 8193)))
    #expect(flaw(Array(modulus.dropLast()) + [2], exponent) == .keyRefused(.modulusEven))
    for bad: [UInt8] in [[], [0], [1], [2], [1, 0, 0], [1] + [UInt8](repeating: 1, count: 8)] {
      #expect(flaw(modulus, bad) == .keyRefused(.exponent))
    }
    #expect(ErrorQueue.isEmpty)

    func bits(of modulus: [UInt8]) -> Int {
      let rest = modulus.dropFirst()
      guard let top = rest.firstIndex(where: { $0 != 0 }) else { return 0 }
      return (modulus.count - top) * 8 - modulus[top].leadingZeroBitCount
    }
  }

  @Test func `a point must be on its curve and its coordinates of the curve's length`() throws {
    guard case .ec(let curve, let x, let y) = TestKeys.all[1].numbers else {
      Issue.record("the second test key is P-256")
      return
    }
    let zero = [UInt8](repeating: 0, count: 32)
    var off = y
    off[31] ^= 1
    for (x, y, curve) in [(zero, zero, curve), (x, off, curve), (y, x, curve)] {
      #expect(throws: CryptoFault.keyRefused(.notOnCurve)) { try PublicKey(.ec(curve, x: x, y: y)) }
    }
    #expect(throws: CryptoFault.self) { try PublicKey(.ec(curve, x: [0] + x, y: y)) }
    #expect(throws: CryptoFault.self) { try PublicKey(.ec(curve, x: Array(x.dropLast()), y: y)) }
    #expect(throws: CryptoFault.self) { try PublicKey(.ec(.p384, x: x, y: y)) }
    #expect(throws: CryptoFault.self) {
      try PublicKey(.ec(.p521, x: zero + zero + [0, 0], y: zero + zero + [0, 0]))
    }
    #expect(ErrorQueue.isEmpty)
  }

  @Test func `an Edwards point that checks nothing is refused`() throws {
    var points: [[UInt8]] = []
    for low: UInt8 in [0, 1] { points.append([low] + [UInt8](repeating: 0, count: 31)) }
    for low: UInt8 in [0xEC, 0xED, 0xEE, 0xFF] {
      points.append([low] + [UInt8](repeating: 0xFF, count: 30) + [0x7F])
    }
    for point in points {
      for sign: UInt8 in [0, 0x80] {
        var point = point
        point[31] |= sign
        #expect(throws: CryptoFault.self, "\(point)") { try PublicKey(.ed25519(point)) }
      }
    }
    for count in [0, 31, 33, 64] {
      #expect(throws: CryptoFault.self) {
        try PublicKey(.ed25519([UInt8](repeating: 9, count: count)))
      }
    }
  }

  @Test func `algorithm names are compared to the letter`() {
    for algorithm in SignatureAlgorithm.allCases {
      #expect(SignatureAlgorithm(text: algorithm.name) == algorithm)
      #expect(SignatureAlgorithm(text: algorithm.name.lowercased()) == nil)
    }
    #expect(SignatureAlgorithm(text: "Ed25519") == .edDSA)
    for name in ["", "none", "HS256", "RS256 ", "RS25", "Ed448", "ES256K", "RS1"] {
      #expect(SignatureAlgorithm(text: name) == nil)
    }
  }
}
