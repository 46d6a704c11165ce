import Crypto
import JOSE
import Testing
import Wire

@Suite struct CompactJWSTests {
  private func fault(_ token: [UInt8]) -> JWSFault? {
    do throws(JWSFault) {
      _ = try CompactJWS(token)
      return nil
    } catch {
      return error
    }
  }

  @Test func `reads what a signer wrote, and its signature holds`() throws {
    for signer in Signers.all {
      let token = try signer.sign(payload: bytes("{\"a\":1}"), type: "at+jwt")
      let jws = try CompactJWS(token)
      #expect(jws.algorithm == signer.algorithm)
      #expect(jws.keyID == signer.keyID)
      #expect(jws.type == "at+jwt")
      #expect(jws.payload == bytes("{\"a\":1}"))
      let keys = try JWKSet(signer.makeKeySet())
      #expect(keys.skipped.isEmpty)
      #expect(jws.isSigned(by: keys.keys[0].key))
    }
  }

  @Test func `no byte of a token can be changed`() throws {
    for signer in Signers.all {
      let token = try signer.sign(payload: bytes("{\"sub\":\"user\"}"), type: nil)
      let key = try JWKSet(signer.makeKeySet()).keys[0].key
      for index in token.indices {
        for other in [token[index] ^ 1, UInt8(ascii: "A"), UInt8(ascii: "-"), UInt8(ascii: ".")] {
          guard other != token[index] else { continue }
          var forged = token
          forged[index] = other
          do throws(JWSFault) {
            let jws = try CompactJWS(forged)
            #expect(!jws.isSigned(by: key), "byte \(index)")
          } catch {
            // Refused before a key is asked.
          }
        }
      }
    }
  }

  @Test func `is exactly three parts`() throws {
    let token = try Signers.ec.sign(payload: bytes("{}"), type: nil)
    for cut in token.indices where token[..<cut].count(where: { $0 == UInt8(ascii: ".") }) < 2 {
      #expect(fault(Array(token[..<cut])) == .partCount)
    }
    #expect(fault(token + bytes(".")) == .partCount)
    #expect(fault(token + bytes(".AA.AA")) == .partCount)
    #expect(fault(bytes(".") + token) == .partCount)
    #expect(fault(bytes("..")) == .partCount)
    #expect(fault([]) == .partCount)
  }

  @Test func `only canonical base64url counts`() throws {
    let good = join("{\"alg\":\"ES256\"}", "{}")
    #expect(fault(good) == nil)
    #expect(fault(bytes(" ") + good) == .base64URL(.header))
    #expect(fault(good + bytes("=")) == .base64URL(.signature))
    #expect(fault(good + bytes("\n")) == .base64URL(.signature))
    // One byte is two digits, of which the second has four bits that must be zero.
    #expect(fault(Array(good.dropLast(2)) + bytes("AR")) == .base64URL(.signature))
    #expect(fault(Array(good.dropLast(2)) + bytes("A")) == .base64URL(.signature))
    #expect(fault(Array(good.dropLast(2)) + bytes("+/")) == .base64URL(.signature))
  }

  static let headers: [(String, JWSFault?)] = [
    ("{\"alg\":\"RS256\"}", nil),
    ("{\"alg\":\"RS256\",\"x\":{\"y\":[1]}}", nil),
    ("{\"alg\":\"RS256\",\"b64\":true}", nil),
    ("{\"alg\":\"RS256\",\"jku\":\"https://e.test\",\"jwk\":{}}", nil),
    ("", .partCount), ("[]", .headerJSON), ("null", .headerJSON), ("{", .headerJSON),
    ("{\"alg\":\"RS256\"}x", .headerJSON),
    ("{\"alg\":\"RS256\",\"alg\":\"RS256\"}", .headerJSON),
    ("{\"alg\":\"RS256\",\"\\u0061lg\":\"none\"}", .headerJSON),
    ("\u{FEFF}{\"alg\":\"RS256\"}", .headerJSON),
    ("{}", .headerMember("alg")), ("{\"alg\":1}", .headerMember("alg")),
    ("{\"alg\":null}", .headerMember("alg")), ("{\"alg\":[\"RS256\"]}", .headerMember("alg")),
    ("{\"alg\":\"RS256\",\"kid\":1}", .headerMember("kid")),
    ("{\"alg\":\"RS256\",\"kid\":null}", .headerMember("kid")),
    ("{\"alg\":\"RS256\",\"typ\":false}", .headerMember("typ")),
    ("{\"alg\":\"none\"}", .algorithmUnknown), ("{\"alg\":\"None\"}", .algorithmUnknown),
    ("{\"alg\":\"HS256\"}", .algorithmUnknown), ("{\"alg\":\"rs256\"}", .algorithmUnknown),
    ("{\"alg\":\"\"}", .algorithmUnknown), ("{\"alg\":\"RS256\\u0000\"}", .algorithmUnknown),
    ("{\"alg\":\"RS256\",\"crit\":[]}", .critical),
    ("{\"alg\":\"RS256\",\"crit\":[\"exp\"]}", .critical),
    ("{\"alg\":\"RS256\",\"crit\":null}", .critical),
    ("{\"alg\":\"RS256\",\"b64\":false}", .unencodedPayload),
    ("{\"alg\":\"RS256\",\"b64\":\"true\"}", .unencodedPayload),
  ]

  @Test(arguments: headers) func `a header is read strictly`(_ header: String, _ wanted: JWSFault?)
  {
    #expect(fault(join(header, "{}")) == wanted, "\(header)")
  }

  @Test func `what is too long is not read`() {
    let long = [UInt8](repeating: UInt8(ascii: "A"), count: CompactJWS.bytesMax + 1)
    #expect(fault(long) == .tooLong(bytesMax: CompactJWS.bytesMax))
  }

  @Test func `prints nothing of the token`() throws {
    let jws = try CompactJWS(try Signers.ec.sign(payload: bytes("{}"), type: nil))
    var text = "\(jws) \(String(reflecting: jws))"
    dump(jws, to: &text)
    #expect(!text.contains("1"))
  }
}
