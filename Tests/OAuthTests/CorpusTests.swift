import Crypto
import Foundation
import JOSE
import OAuth
import Testing
import Wire

/// Runs a corpus of tokens that no one here wrote, where `TOLLGATE_VECTORS` names its folder:
/// `jwt/vectors.jsonl`, one token a line, with the key set it is for and what must come of it.
@Suite struct CorpusTests {
  static let folder = ProcessInfo.processInfo.environment["TOLLGATE_VECTORS"]

  private struct Row {
    let name: String
    let isSignatureOnly: Bool
    let expect: String
    let reason: String
    let token: [UInt8]
    let keySet: [UInt8]

    init(_ line: String) throws {
      let row = try JSONParser(.strict, bytesMax: 8 << 20).parse(Array(line.utf8))
      func text(_ name: String) throws -> String {
        try #require(row[UTF8Text(name)]?.string).string
      }
      name = try text("name")
      isSignatureOnly = try text("level") == "jws"
      expect = try text("expect")
      reason = try text("reason")
      let set = try #require(row["jwks"])
      keySet = Array(Array(line.utf8)[set.range])
      if let token = row["token"]?.string {
        self.token = token.bytes
      } else {
        var token: [UInt8] = []
        for part in try #require(row["token_parts"]?.elements) {
          let pair = try #require(part.elements)
          let (text, times) = (try #require(pair[0].string), try #require(pair[1].integer))
          for _ in 0..<times { token.append(contentsOf: text.bytes) }
        }
        self.token = token
      }
    }
  }

  @Test(.enabled(if: folder != nil, "TOLLGATE_VECTORS is not set"))
  func `every token of the corpus is judged as it should be`() throws {
    let path = try #require(Self.folder) + "/jwt/vectors.jsonl"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let digester = try Digester()
    let settings = IssuerSettings.make()
    var counts: [String: Int] = [:]
    let lines = text.split(separator: "\n")
    for line in lines {
      let row = try Row(String(line))
      let fault = fault(row, settings, digester)
      counts["\(row.expect) → \(fault ?? "accepted")", default: 0] += 1
      switch row.expect {
      case "accept": #expect(fault == nil, "\(row.name): \(row.reason)")
      case "reject": #expect(fault != nil, "\(row.name): \(row.reason)")
      default: break  // both are lawful, and it came back
      }
    }
    for (outcome, count) in counts.sorted(by: { $0.key < $1.key }) { print(count, outcome) }
    #expect(counts.values.reduce(0, +) == lines.count && lines.count > 800)
  }

  private func fault(_ row: Row, _ settings: IssuerSettings, _ digester: Digester) -> String? {
    var keys = JWKSet([])
    do throws(JWKSetFault) {
      keys = try JWKSet(row.keySet.span, digester: digester)
    } catch {
      // A set that is refused leaves no keys.
    }
    guard row.isSignatureOnly else {
      do throws(TokenFault) {
        _ = try verify(row.token, keys: keys, settings: settings, atMs: nowMs, digester)
        return nil
      } catch {
        return error.rawValue
      }
    }
    do throws(JWSFault) {
      let jws = try CompactJWS(row.token.span)
      guard case .found(let found, _) = keys.find(jws.keyID, for: jws.algorithm) else {
        return "no key"
      }
      return found.contains { jws.isSigned(by: $0.key) } ? nil : "signature"
    } catch {
      return "\(error)"
    }
  }
}
