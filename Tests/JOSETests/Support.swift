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

/// One signer of each kind, made once.
enum Signers {
  static let all: [JWSSigner] = [
    make(.rsa2048, "r"), make(.p256, "e"), make(.ed25519, "d"),
  ].compactMap(\.self)
  static let rsa = all[0]
  static let ec = all[1]
  static let edwards = all[2]

  private static func make(_ kind: PrivateKey.Kind, _ keyID: UTF8Text) -> JWSSigner? {
    guard let key = try? PrivateKey(generate: kind) else { return nil }
    return JWSSigner(key: key, keyID: keyID)
  }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A token of these parts, encoded as they are.
func join(_ header: String, _ payload: String, _ signature: [UInt8] = [1]) -> [UInt8] {
  Base64URL.encode(bytes(header)) + bytes(".") + Base64URL.encode(bytes(payload)) + bytes(".")
    + Base64URL.encode(signature)
}
