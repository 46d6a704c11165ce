import Crypto
import JOSE
import Testing
import Wire

@Suite struct JWKSetTests {
  /// An entry of the signer's key with other members put in, and some taken out.
  private func entry(
    _ signer: JWSSigner, _ changes: [(String, String?)] = []
  ) throws -> String {
    let json = signer.key.numbers.makeJWK(keyID: signer.keyID, algorithm: signer.algorithm)
    let node = try JSONParser(.strict, bytesMax: 1 << 16).parse(json)
    var members = try #require(node.members).map { member in
      (member.name.string, String(decoding: json[member.node.range], as: UTF8.self))
    }
    for (name, value) in changes {
      members.removeAll { $0.0 == name }
      if let value { members.append((name, value)) }
    }
    return "{" + members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",") + "}"
  }

  private func set(_ entries: String...) throws -> JWKSet {
    try JWKSet("{\"keys\":[" + entries.joined(separator: ",") + "]}")
  }

  @Test func `passes over what it cannot use and says why`() throws {
    let rsa = Signers.rsa
    let ec = Signers.ec
    let cases: [(String, JWKFlaw)] = [
      ("1", .notAnObject), ("{}", .missing("kty")), ("{\"kty\":1}", .wrongType("kty")),
      ("{\"kty\":\"oct\",\"k\":\"AAAA\"}", .otherKind), ("{\"kty\":\"RSA\"}", .missing("n")),
      (try entry(rsa, [("n", "\"+\"")]), .base64URL("n")),
      (try entry(rsa, [("n", "\"\"")]), .refused(.keyRefused(.modulusSize(bits: 0)))),
      (try entry(rsa, [("e", "\"AQ\"")]), .refused(.keyRefused(.exponent))),
      (try entry(rsa, [("use", "\"enc\"")]), .otherUse),
      (try entry(rsa, [("use", "1")]), .wrongType("use")),
      (try entry(rsa, [("key_ops", "[\"sign\"]")]), .otherUse),
      (try entry(rsa, [("key_ops", "\"verify\"")]), .wrongType("key_ops")),
      (try entry(rsa, [("alg", "\"ES256\"")]), .otherAlgorithm),
      (try entry(rsa, [("alg", "\"RSA-OAEP\"")]), .otherAlgorithm),
      (try entry(rsa, [("alg", "7")]), .wrongType("alg")),
      (try entry(rsa, [("kid", "7")]), .wrongType("kid")),
      (
        try entry(ec, [("crv", "\"P-384\"")]),
        .refused(.keyRefused(.coordinateSize(bytes: 32, expected: 48)))
      ),
      (
        try entry(ec, [("crv", "\"P-384\""), ("alg", nil)]),
        .refused(.keyRefused(.coordinateSize(bytes: 32, expected: 48)))
      ),
      (try entry(ec, [("crv", "\"P-999\"")]), .otherKind),
      (try entry(ec, [("y", nil)]), .missing("y")),
      (try entry(Signers.edwards, [("crv", "\"X25519\"")]), .otherKind),
    ]
    for (json, flaw) in cases {
      let keys = try set(json, try entry(Signers.edwards))
      #expect(keys.keys.count == 1)
      #expect(keys.skipped.map(\.index) == [0])
      #expect(keys.skipped.first?.flaw == flaw, "\(json)")
    }
  }

  @Test func `other members and a private key's are no matter`() throws {
    let keys = try set(
      try entry(Signers.rsa, [("d", "\"AA\""), ("x5c", "[1]"), ("key_ops", "[\"verify\"]")]))
    #expect(keys.keys.count == 1)
  }

  @Test func `documents that are no set are refused`() {
    for json in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":null}", "{\"keys\":[]"] {
      #expect(throws: JWKSetFault.self, "\(json)") { try JWKSet(json) }
    }
    let many = [String](repeating: "1", count: JWKSet.keyCountMax + 1).joined(separator: ",")
    #expect(throws: JWKSetFault.tooManyKeys(countMax: JWKSet.keyCountMax)) {
      try JWKSet("{\"keys\":[\(many)]}")
    }
  }

  @Test func `finds by kid, and the algorithm is the key's to say`() throws {
    let keys = try set(
      try entry(Signers.rsa, [("kid", "\"a\"")]), try entry(Signers.ec, [("kid", "\"a\"")]),
      try entry(Signers.edwards, [("kid", "\"b\"")]))
    #expect(found(keys, "a", .rs256) == 1)
    #expect(found(keys, "a", .es256) == 1)
    #expect(found(keys, "b", .edDSA) == 1)
    guard case .otherAlgorithm = keys.find("a", for: .ps256) else {
      Issue.record("RS256 is pinned by the entry's alg")
      return
    }
    guard case .otherAlgorithm = keys.find("b", for: .rs256) else {
      Issue.record("an Edwards key has one algorithm")
      return
    }
    guard case .unknown = keys.find("A", for: .rs256) else {
      Issue.record("a kid is compared with case")
      return
    }
    #expect(found(keys, nil, .rs256) == 1)
    // "é" as one scalar and as two is the same String, and not the same kid.
    let accented = try set(try entry(Signers.rsa, [("kid", "\"\\u00e9\"")]))
    #expect(found(accented, "\u{E9}", .rs256) == 1)
    #expect(found(accented, "e\u{301}", .rs256) == nil)
  }

  @Test func `a key without a kid may be any, and then a failure proves nothing`() throws {
    let keys = try set(
      try entry(Signers.rsa, [("kid", nil)]), try entry(Signers.ec, [("kid", "\"e\"")]))
    guard case .found(let found, isCertain: false) = keys.find("new", for: .rs256) else {
      Issue.record("the nameless key should be tried")
      return
    }
    #expect(found.count == 1)
    guard case .unknown = keys.find("new", for: .es256) else {
      Issue.record("a key of another name is not tried")
      return
    }
  }

  @Test func `no more candidates than a bound are tried`() throws {
    let many = try (0..<40).map { _ in try entry(Signers.ec, [("kid", nil)]) }
    let keys = try JWKSet("{\"keys\":[" + many.joined(separator: ",") + "]}")
    #expect(found(keys, nil, .es256) == JWKSet.candidateCountMax)
  }

  @Test func `a thumbprint names the numbers and nothing else`() throws {
    let plain = try set(try entry(Signers.rsa)).keys[0]
    let other = try set(
      try entry(Signers.rsa, [("kid", "\"x\""), ("alg", nil), ("use", nil)])
    ).keys[0]
    #expect(plain.thumbprint == other.thumbprint)
    #expect(plain.thumbprint != (try set(try entry(Signers.ec)).keys[0].thumbprint))
    // RFC 7638 §3: the members in their names' order, without spaces.
    let encoded = { (bytes: [UInt8]) in String(decoding: Base64URL.encode(bytes), as: UTF8.self) }
    guard case .rsa(let modulus, let exponent) = Signers.rsa.key.numbers else { return }
    let json = "{\"e\":\"\(encoded(exponent))\",\"kty\":\"RSA\",\"n\":\"\(encoded(modulus))\"}"
    let digester = try Digester()
    #expect(plain.thumbprint == digester.digest(bytes(json)))
    let keys = try set(try entry(Signers.rsa))
    #expect(keys.contains(plain.thumbprint))
    #expect(!keys.contains(digester.digest([])))
  }

  private func found(_ keys: JWKSet, _ keyID: UTF8Text?, _ algorithm: SignatureAlgorithm) -> Int? {
    guard case .found(let found, _) = keys.find(keyID, for: algorithm) else { return nil }
    return found.count
  }
}
