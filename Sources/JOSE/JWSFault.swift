/// Why bytes are no JWS that this module would check.
package enum JWSFault: Error, Equatable, Sendable, CustomStringConvertible {
  case tooLong(bytesMax: Int)
  /// Not three parts with a dot between, or the first two of them empty.
  case partCount
  /// A part that is not base64url in its one canonical form (RFC 7515 §2).
  case base64URL(Part)
  /// The header is not a JSON object, or not a strict one.
  case headerJSON
  /// A member of the header that is of another type than its definition says.
  case headerMember(StaticString)
  /// `crit` (RFC 7515 §4.1.11): no extension is understood here, so each is refused.
  case critical
  /// `b64` other than true (RFC 7797), which RFC 7519 has no use for.
  case unencodedPayload
  /// `alg` names none of the algorithms that are used.
  case algorithmUnknown

  package enum Part: Equatable, Sendable {
    case header, payload, signature
  }

  package var description: String {
    switch self {
    case .tooLong(let bytesMax): "longer than \(bytesMax) bytes"
    case .partCount: "not three parts"
    case .base64URL(let part): "the \(part) is not base64url"
    case .headerJSON: "the header is not a JSON object"
    case .headerMember(let name): "the header's \(name) is of a wrong type"
    case .critical: "the header has critical extensions"
    case .unencodedPayload: "the payload is not encoded"
    case .algorithmUnknown: "the algorithm is not one that is used"
    }
  }

  package static func == (left: JWSFault, right: JWSFault) -> Bool {
    left.description == right.description
  }
}
