package import Crypto
package import Wire

/// A JWS in its compact form (RFC 7515 §7.1), taken apart and not believed: nothing of it is true
/// until `isSigned` says so.
///
/// Keys come from the caller alone. What a header offers in their place (`jwk`, `jku`, `x5u`,
/// `x5c`) is not looked at, and nothing is ever fetched.
package struct CompactJWS: Sendable, CustomStringConvertible, CustomReflectable {
  /// A head of a request is 32 KiB at most; a token beyond that never gets here.
  package static let bytesMax = 64 << 10
  /// A header holds a handful of members; certificate chains are the long ones.
  private static let headerParser = JSONParser(
    .strict, bytesMax: 16 << 10, depthMax: 16, nodesMax: 512)

  package let algorithm: SignatureAlgorithm
  /// `kid`, compared by its bytes and put to no other use: not a path, not a query, not a URL.
  package let keyID: UTF8Text?
  /// `typ` as written.
  package let type: UTF8Text?
  /// Decoded; what it holds is not a JOSE matter.
  package let payload: [UInt8]
  /// Decoded.
  package let signature: [UInt8]
  /// What is signed: both parts as they were written, and the dot between. Kept, so that no other
  /// bytes can be checked than those that were read.
  private let signed: [UInt8]

  /// Takes the token's text apart. Every byte of it counts: no white space, no padding.
  package init(_ token: Span<UInt8>) throws(JWSFault) {
    guard token.count <= Self.bytesMax else { throw .tooLong(bytesMax: Self.bytesMax) }
    guard let (first, second) = Self.dots(in: token), first > 0 else { throw .partCount }
    guard let header = Base64URL.decode(token.extracting(0..<first)) else {
      throw .base64URL(.header)
    }
    // The header decides alone whether the rest is worth decoding.
    (algorithm, keyID, type) = try Self.read(header)
    guard let payload = Base64URL.decode(token.extracting(first + 1..<second)) else {
      throw .base64URL(.payload)
    }
    guard let signature = Base64URL.decode(token.extracting(second + 1..<token.count)) else {
      throw .base64URL(.signature)
    }
    self.payload = payload
    self.signature = signature
    var signed: [UInt8] = []
    signed.reserveCapacity(second)
    for index in 0..<second { signed.append(token[index]) }
    self.signed = signed
  }

  /// Whether the key made the signature.
  package func isSigned(by key: PublicKey) -> Bool {
    key.verify(algorithm, signature: signature.span, message: signed.span)
  }

  package var description: String { "‹redacted›" }
  package var customMirror: Mirror { Mirror(self, children: []) }

  /// Where the two dots are; nil unless there are exactly two.
  private static func dots(in token: Span<UInt8>) -> (Int, Int)? {
    var first: Int?
    var second: Int?
    for index in token.indices where token[index] == UInt8(ascii: ".") {
      if first == nil {
        first = index
      } else if second == nil {
        second = index
      } else {
        return nil
      }
    }
    guard let first, let second else { return nil }
    return (first, second)
  }

  private static func read(
    _ bytes: [UInt8]
  ) throws(JWSFault) -> (SignatureAlgorithm, keyID: UTF8Text?, type: UTF8Text?) {
    let header: JSONNode
    do throws(JSONFault) {
      header = try headerParser.parse(bytes)
    } catch {
      throw .headerJSON
    }
    guard header.members != nil else { throw .headerJSON }
    if header["crit"] != nil { throw .critical }
    if let encoded = header["b64"], encoded.bool != true { throw .unencodedPayload }
    let keyID = try text("kid", in: header)
    let type = try text("typ", in: header)
    guard let name = try text("alg", in: header) else { throw .headerMember("alg") }
    guard let algorithm = SignatureAlgorithm(name: name.bytes.span) else {
      throw .algorithmUnknown
    }
    return (algorithm, keyID, type)
  }

  private static func text(
    _ name: StaticString, in header: JSONNode
  ) throws(JWSFault) -> UTF8Text? {
    guard let node = header[UTF8Text("\(name)")] else { return nil }
    guard let text = node.string else { throw .headerMember(name) }
    return text
  }
}
