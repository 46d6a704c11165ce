import Testing

@testable import Crypto

/// One key of each kind: RSA, P-256, Ed25519. They are made once, as RSA takes its time, and kept
/// as bytes: the leak sanitizer does not see through the tags of what an enum in a global points
/// to.
enum TestKeys {
  private static let pems: [[UInt8]] = [PrivateKey.Kind.rsa2048, .p256, .ed25519].compactMap {
    kind in try? PrivateKey(generate: kind).makePEM()
  }

  static var all: [PrivateKey] { pems.compactMap { pem in try? PrivateKey(pem: pem.span) } }
}

@Suite struct SignatureTests {
  let message = Array("header.payload".utf8)

  @Test func `what a key signs its public half verifies, in every algorithm of its kind`() throws {
    #expect(TestKeys.all.count == 3)
    for key in TestKeys.all {
      let publicKey = try PublicKey(key.numbers)
      for algorithm in SignatureAlgorithm.allCases {
        guard key.numbers.algorithms.contains(algorithm) else {
          #expect(throws: CryptoFault.algorithmRefused) {
            try key.sign(algorithm, message)
          }
          let junk = [UInt8](repeating: 1, count: 64)
          #expect(!publicKey.verify(algorithm, junk, message))
          continue
        }
        for _ in 0..<8 {  // ECDSA's numbers have leading zeros now and then
          let signature = try key.sign(algorithm, message)
          #expect(publicKey.verify(algorithm, signature, message))
        }
      }
      #expect(ErrorQueue.isEmpty)
    }
  }

  @Test func `no bit of a signature or of the message can be changed`() throws {
    for key in TestKeys.all {
      let publicKey = try PublicKey(key.numbers)
      let algorithm = key.preferredAlgorithm
      let signature = try key.sign(algorithm, message)
      for index in stride(from: 0, to: signature.count, by: 7) {
        var forged = signature
        forged[index] ^= 1
        #expect(!publicKey.verify(algorithm, forged, message))
      }
      for index in message.indices {
        var other = message
        other[index] ^= 0x80
        #expect(!publicKey.verify(algorithm, signature, other))
      }
      #expect(!publicKey.verify(algorithm, [], message))
      for wrong in [Array(signature.dropLast()), signature + [0], [0] + signature] {
        #expect(!publicKey.verify(algorithm, wrong, message))
      }
      #expect(ErrorQueue.isEmpty)
    }
  }

  @Test func `an RSA key checks only the algorithms it was made for`() throws {
    let key = try #require(TestKeys.all.first)
    let publicKey = try PublicKey(key.numbers, for: [.ps256])
    let (ps256, rs256) = (
      try key.sign(.ps256, message), try key.sign(.rs256, message)
    )
    #expect(publicKey.verify(.ps256, ps256, message))
    #expect(!publicKey.verify(.rs256, rs256, message))
    #expect(!publicKey.verify(.ps256, rs256, message))
    #expect(throws: CryptoFault.algorithmRefused) { try PublicKey(key.numbers, for: [.es256]) }
  }

  @Test func `r and s are from 1 to the order less 1`() throws {
    let key = TestKeys.all[1]
    let publicKey = try PublicKey(key.numbers)
    let signature = try key.sign(.es256, message)
    let zero = [UInt8](repeating: 0, count: 32)
    let full = [UInt8](repeating: 0xFF, count: 32)
    let (r, s) = (Array(signature.prefix(32)), Array(signature.suffix(32)))
    for forged in [zero + zero, zero + s, r + zero, full + s, r + full] {
      #expect(!publicKey.verify(.es256, forged, message))
    }
    // DER, which JWS does not use, is refused by its length.
    let encoded = DER.sequence([DER.unsignedInteger(r.span), DER.unsignedInteger(s.span)])
    #expect(!publicKey.verify(.es256, encoded, message))
  }

  @Test func `eight threads may verify with one key`() async throws {
    for key in TestKeys.all {
      let publicKey = try PublicKey(key.numbers)
      let (algorithm, message) = (key.preferredAlgorithm, message)
      let signature = try key.sign(algorithm, message)
      let failures = await withTaskGroup(of: Int.self) { group in
        for worker in 0..<8 {
          group.addTask { @concurrent in
            var failures = 0
            for round in 0..<200 {
              var candidate = signature
              let isForged = (round + worker) % 3 == 0
              if isForged { candidate[candidate.count / 2] ^= 4 }
              let holds = publicKey.verify(algorithm, candidate, message)
              if holds == isForged || !ErrorQueue.isEmpty { failures += 1 }
            }
            return failures
          }
        }
        return await group.reduce(0, +)
      }
      #expect(failures == 0)
    }
  }

  @Test func `goes through PEM and back`() throws {
    for key in TestKeys.all {
      let pem = try key.makePEM()
      #expect(pem.starts(with: Array("-----BEGIN PRIVATE KEY-----".utf8)))
      let again = try PrivateKey(pem: pem)
      #expect(again.numbers == key.numbers)
      #expect("\(again)" == "‹redacted›")
      var reflected = ""
      dump(again.description, to: &reflected)
      #expect(!reflected.contains("PRIVATE"))
    }
    for junk in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
      #expect(throws: CryptoFault.pemRefused) { try PrivateKey(pem: Array(junk.utf8)) }
    }
    #expect(ErrorQueue.isEmpty)
  }
}
