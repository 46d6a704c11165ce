/// Why a caller's token is not believed. The raw value is the `reason` in the answer, the access
/// log and the metrics.
package enum TokenFault: String, Error, CaseIterable, Sendable, CustomStringConvertible {
  case malformed = "token_malformed"
  case issuerUnknown = "issuer_unknown"
  case keyUnknown = "key_unknown"
  case algorithmRefused = "algorithm_refused"
  case signatureInvalid = "signature_invalid"
  case expired = "token_expired"
  case notYetValid = "token_not_yet_valid"
  case audienceWrong = "audience_wrong"
  case typeRefused = "type_refused"
  case claimsInvalid = "claims_invalid"
  case bindingUnverified = "binding_unverified"

  /// For the caller: what is wrong, and nothing of what the token holds.
  package var description: String {
    switch self {
    case .malformed: "the token is not a well-formed JWT"
    case .issuerUnknown: "the token's issuer is not one that is trusted here"
    case .keyUnknown: "the token is signed with a key that its issuer does not publish"
    case .algorithmRefused: "the token's signature algorithm is not accepted"
    case .signatureInvalid: "the token's signature does not hold"
    case .expired: "the token has expired"
    case .notYetValid: "the token is not valid yet"
    case .audienceWrong: "the token is meant for another audience"
    case .typeRefused: "the token is not an access token"
    case .claimsInvalid: "the token lacks a claim or holds one of a wrong type"
    case .bindingUnverified: "the token is bound to a key that this connection did not show"
    }
  }
}
