import Crypto
import JOSE
import Wire

extension CompactJWS {
  init(_ token: [UInt8]) throws(JWSFault) { try self.init(token.span) }
}

extension JWKSet {
  init(_ json: String) throws { try self.init(Array(json.utf8)) }

  init(_ document: [UInt8]) throws {
    try self.init(document.span, digester: try Digester())
  }
}

/// One signer of each kind. The keys are made once and kept as bytes: the leak sanitizer does not see
/// through the tags of what an enum in a global points to.
enum Signers {
  private static let pems: [[UInt8]] = [PrivateKey.Kind.rsa2048, .p256, .ed25519].compactMap {
    kind in try? PrivateKey(generate: kind).makePEM()
  }

  static var all: [JWSSigner] { [rsa, ec, edwards] }
  static var rsa: JWSSigner { make(0, "r") }
  static var ec: JWSSigner { make(1, "e") }
  static var edwards: JWSSigner { make(2, "d") }

  private static func make(_ index: Int, _ keyID: UTF8Text) -> JWSSigner {
    let pem = pems[index]
    do {
      return JWSSigner(key: try PrivateKey(pem: pem.span), keyID: keyID)
    } catch {
      fatalError("no key")
    }
  }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A token of these parts, encoded as they are.
func join(_ header: String, _ payload: String, _ signature: [UInt8] = [1]) -> [UInt8] {
  Base64URL.encode(bytes(header)) + bytes(".") + Base64URL.encode(bytes(payload)) + bytes(".")
    + Base64URL.encode(signature)
}
