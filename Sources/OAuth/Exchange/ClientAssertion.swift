package import Crypto
import JOSE
package import Wire

/// What `private_key_jwt` sends (RFC 7523 §2.2 and §3): a JWT in which the gateway says who it is,
/// signed with its key. Each is good for one request and a minute: a `jti` that comes twice is
/// refused by services that look, and so a request that is sent again has a new one.
package struct ClientAssertion: Sendable, CustomStringConvertible, CustomReflectable {
  /// `client_assertion_type` (RFC 7523 §2.2).
  static let type: UTF8Text = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
  /// Long enough for clocks that differ a little, too short to be worth stealing.
  private static let lifeSeconds: Int64 = 60

  private let signer: JWSSigner
  private let header: [UInt8]
  private let clientID: UTF8Text
  private let audience: UTF8Text?

  /// Throws `algorithmRefused` where the key can't sign by the algorithm that is asked for, and
  /// what is wrong with the certificate.
  package init(
    clientID: UTF8Text, key: PrivateKey, certificate: LeafCertificate?,
    _ settings: AssertionSettings
  ) throws(CryptoFault) {
    let algorithm = settings.algorithm?.value ?? key.preferredAlgorithm
    guard key.numbers.algorithms.contains(algorithm) else { throw .algorithmRefused }
    // The header is made here, so the signer's own key id is of no matter.
    signer = JWSSigner(key: key, keyID: settings.keyID ?? "", algorithm: algorithm)
    var header: [UInt8] = Array("{\"alg\":".utf8)
    JSONWriter.appendString(algorithm.name, to: &header)
    header.append(contentsOf: Array(",\"typ\":\"JWT\"".utf8))
    if let keyID = settings.keyID {
      header.append(contentsOf: Array(",\"kid\":".utf8))
      JSONWriter.appendString(keyID, to: &header)
    }
    if let certificate {
      header.append(contentsOf: Array(",\"x5t#S256\":\"".utf8))
      header.append(contentsOf: Base64URL.encode(certificate.thumbprint.span))
      header.append(UInt8(ascii: "\""))
    }
    header.append(UInt8(ascii: "}"))
    self.header = header
    self.clientID = clientID
    audience = settings.audience
  }

  /// A new one, for a request to this token endpoint.
  package func make(tokenEndpoint: UTF8Text, nowMs: Int64) throws(CryptoFault) -> [UInt8] {
    let issuedAt = nowMs / 1_000
    var claims: [UInt8] = Array("{\"iss\":".utf8)
    JSONWriter.appendString(clientID, to: &claims)
    claims.append(contentsOf: Array(",\"sub\":".utf8))
    JSONWriter.appendString(clientID, to: &claims)
    claims.append(contentsOf: Array(",\"aud\":".utf8))
    JSONWriter.appendString(audience ?? tokenEndpoint, to: &claims)
    claims.append(contentsOf: Array(",\"jti\":\"".utf8))
    let random = try RandomBytes.make(count: 16)
    claims.append(contentsOf: Base64URL.encode(random.span))
    claims.append(contentsOf: Array("\",\"iat\":".utf8))
    JSONWriter.appendInteger(issuedAt, to: &claims)
    claims.append(contentsOf: Array(",\"exp\":".utf8))
    JSONWriter.appendInteger(issuedAt + Self.lifeSeconds, to: &claims)
    claims.append(UInt8(ascii: "}"))
    return try signer.sign(header: header, payload: claims)
  }

  package var description: String { "‹redacted›" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
