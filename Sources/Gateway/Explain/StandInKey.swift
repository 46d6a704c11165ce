import Crypto
import JOSE
import OAuth
import Wire

/// A key in the place of an issuer's that nobody has asked for: the token's header and claims,
/// signed anew with it, go through the very checks that a request's token goes through, and there
/// is no way around them that could be taken by mistake.
enum StandInKey {
  /// The token with another signature, and the one key that holds it.
  ///
  /// - Parameter token: one that `UnverifiedToken` could take apart.
  static func sign(
    _ token: [UInt8], as unverified: UnverifiedToken, _ digester: Digester
  ) throws(CryptoFault) -> (token: [UInt8], keys: JWKSet) {
    let algorithm = unverified.algorithm
    let kind: PrivateKey.Kind =
      switch algorithm {
      case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: .rsa2048
      case .es256: .p256
      case .es384: .p384
      case .es512: .p521
      case .edDSA: .ed25519
      }
    let key = try PrivateKey(generate: kind)
    let signed = token.prefix(upTo: token.lastIndex(of: UInt8(ascii: ".")) ?? token.endIndex)
    let message = Array(signed)
    let signature = try key.sign(algorithm, message: message.span)
    let published = JWK(
      keyID: unverified.keyID, key: try PublicKey(key.numbers, for: [algorithm]),
      digester: digester)
    return (
      message + [UInt8(ascii: ".")] + Base64URL.encode(signature.span), JWKSet([published])
    )
  }
}
