package import Crypto
import JOSE
package import Wire

/// A JWT taken apart, of which nothing is believed: it says whose keys to look for, and no more.
/// `verify` makes a `VerifiedToken` of it, and nothing else can.
package struct UnverifiedToken: Sendable {
  private static let claimsParser = JSONParser(
    .strict, bytesMax: CompactJWS.bytesMax, depthMax: 32, nodesMax: 8_192)

  let jws: CompactJWS
  /// What nobody vouches for yet: to be shown, or looked at, and not to be gone by.
  package let claims: JSONNode
  let payloadByteCount: Int
  /// `iss` as the token has it: compare it byte for byte with those that are trusted.
  package let issuer: UTF8Text

  /// `alg` of its header.
  package var algorithm: SignatureAlgorithm { jws.algorithm }

  /// `typ` of its header, as written.
  package var type: UTF8Text? { jws.type }

  /// `kid` of its header.
  package var keyID: UTF8Text? { jws.keyID }

  /// Throws `malformed`, `algorithmRefused`, `issuerUnknown` (no `iss`) or `claimsInvalid` (an
  /// `iss` that is no text).
  package init(_ token: Span<UInt8>) throws(TokenFault) {
    do throws(JWSFault) {
      jws = try CompactJWS(token)
    } catch {
      throw error == .algorithmUnknown ? .algorithmRefused : .malformed
    }
    do throws(JSONFault) {
      claims = try Self.claimsParser.parse(jws.payload)
    } catch {
      throw .malformed
    }
    guard claims.members != nil else { throw .malformed }
    guard let issuer = claims["iss"] else { throw .issuerUnknown }
    guard let text = issuer.string else { throw .claimsInvalid }
    self.issuer = text
    payloadByteCount = jws.payload.count
  }
}
