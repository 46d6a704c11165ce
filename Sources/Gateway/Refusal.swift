import Wire

/// Every way in which a request can be turned away: the one list.
///
/// A refusal holds what the caller may know. Nothing here, and nothing made from it, has a token, a
/// secret or an internal address.
package struct Refusal: Error {
  package let reason: Reason
  /// One sentence for the caller.
  package var detail: String
  /// Seconds for `Retry-After`.
  package var retryAfter: Int?
  /// The methods for `Allow`, joined by ", ".
  package var allow: [UInt8] = []
  /// The scopes wanted, for the challenge (RFC 6750 §3).
  package var scope = ""
  /// Entra's `claims`, which the caller hands back when it signs in anew; for the challenge.
  package var claims: [UInt8] = []
  /// The token service's error code and description, for the log only; bounded and escaped there.
  package var exchangeError: [UInt8] = []
  /// Whether the worker has too much to do, and no more than that: the connection is kept.
  package var isShed = false

  package init(_ reason: Reason, _ detail: String? = nil, retryAfter: Int? = nil) {
    self.reason = reason
    self.detail = detail ?? reason.sentence
    self.retryAfter = retryAfter
  }

  /// Of who is one too many: not all of them are to come again at once.
  static var overloaded: Refusal {
    Refusal(.overloaded, retryAfter: Int.random(in: 1...Limits.retryAfterSecondsMax))
  }

  package init(_ reason: Reason, exchangeError: [UInt8], retryAfter: Int? = nil) {
    self.init(reason, retryAfter: retryAfter)
    self.exchangeError = exchangeError
  }

  /// The word that the answer, the access log and the metrics have in common.
  package enum Reason: String, Sendable, CaseIterable {
    case malformedRequest = "malformed_request"
    case versionUnsupported = "version_unsupported"
    case notImplemented = "not_implemented"
    case expectationFailed = "expectation_failed"
    case misdirected
    case noRoute = "no_route"
    case methodNotAllowed = "method_not_allowed"
    case tokenMissing = "token_missing"
    /// A broken credential, or several: the request is wrong.
    case credentialMalformed = "token_malformed"
    /// A well-formed credential that is no JWT: the token is wrong.
    case tokenMalformed
    case issuerUnknown = "issuer_unknown"
    case keyUnknown = "key_unknown"
    case algorithmRefused = "algorithm_refused"
    case signatureInvalid = "signature_invalid"
    case tokenExpired = "token_expired"
    case tokenNotYetValid = "token_not_yet_valid"
    case audienceWrong = "audience_wrong"
    case typeRefused = "type_refused"
    case claimsInvalid = "claims_invalid"
    case bindingUnverified = "binding_unverified"
    case systemIdentity = "system_identity"
    case identityUnknown = "identity_unknown"
    case originRefused = "origin_refused"
    case scopeMissing = "scope_missing"
    case claimRefused = "claim_refused"
    case rateLimited = "rate_limited"
    case subjectRefused = "subject_refused"
    case exchangeDenied = "exchange_denied"
    case exchangeMisconfigured = "exchange_misconfigured"
    case exchangeUnverified = "exchange_unverified"
    case exchangeUnavailable = "exchange_unavailable"
    case exchangeTimeout = "exchange_timeout"
    case keysUnavailable = "keys_unavailable"
    case upstreamUnavailable = "upstream_unavailable"
    case upstreamFailed = "upstream_failed"
    case upstreamTimeout = "upstream_timeout"
    case requestLineTooLong = "request_line_too_long"
    case headersTooLarge = "headers_too_large"
    case bodyTooLarge = "body_too_large"
    case requestTimeout = "request_timeout"
    case overloaded
    /// In the log only: nobody is there to be told.
    case callerGone = "caller_gone"

    /// The word in answer, log and metrics.
    package var word: String { self == .tokenMalformed ? "token_malformed" : rawValue }

    /// The HTTP status.
    package var status: Int {
      switch self {
      case .malformedRequest, .credentialMalformed: 400
      case .tokenMissing, .tokenMalformed, .issuerUnknown, .keyUnknown, .algorithmRefused,
        .signatureInvalid, .tokenExpired, .tokenNotYetValid, .audienceWrong, .typeRefused,
        .claimsInvalid, .bindingUnverified, .subjectRefused:
        401
      case .systemIdentity, .identityUnknown, .originRefused, .scopeMissing, .claimRefused,
        .exchangeDenied:
        403
      case .noRoute: 404
      case .methodNotAllowed: 405
      case .requestTimeout: 408
      case .bodyTooLarge: 413
      case .requestLineTooLong: 414
      case .expectationFailed: 417
      case .misdirected: 421
      case .rateLimited: 429
      case .headersTooLarge: 431
      case .callerGone: 499
      case .notImplemented: 501
      case .exchangeMisconfigured, .exchangeUnverified, .upstreamFailed: 502
      case .exchangeUnavailable, .keysUnavailable, .upstreamUnavailable, .overloaded: 503
      case .exchangeTimeout, .upstreamTimeout: 504
      case .versionUnsupported: 505
      }
    }

    /// The error code of RFC 6750 §3.1 in the challenge.
    package enum Challenge: Equatable, Sendable {
      /// No challenge: the refusal is not about the token.
      case none
      /// A challenge without a code: the request bore no token.
      case bare
      case code(String)
    }

    package var challenge: Challenge {
      switch self {
      case .tokenMissing: .bare
      case .credentialMalformed: .code("invalid_request")
      case .tokenMalformed, .issuerUnknown, .keyUnknown, .algorithmRefused, .signatureInvalid,
        .tokenExpired, .tokenNotYetValid, .audienceWrong, .typeRefused, .claimsInvalid,
        .bindingUnverified, .subjectRefused:
        .code("invalid_token")
      case .scopeMissing: .code("insufficient_scope")
      default: .none
      }
    }

    /// Whether the connection ends with the answer: what follows it can't be told from the body.
    package var closesConnection: Bool {
      switch self {
      case .malformedRequest, .versionUnsupported, .notImplemented, .requestLineTooLong,
        .headersTooLarge, .bodyTooLarge, .requestTimeout, .overloaded, .callerGone:
        true
      default: false
      }
    }

    /// What a caller is told where nothing more fitting is known.
    package var sentence: String {
      switch self {
      case .malformedRequest: "The request is not well-formed HTTP/1.1."
      case .versionUnsupported: "This HTTP version is not supported."
      case .notImplemented: "The method or the transfer coding is not implemented."
      case .expectationFailed: "The only expectation supported is 100-continue."
      case .misdirected: "This connection was made for another host."
      case .noRoute: "No route has this host and path."
      case .methodNotAllowed: "The route does not allow this method."
      case .tokenMissing: "A bearer token is required."
      case .credentialMalformed: "The credentials are not one bearer token."
      case .tokenMalformed: "The token is not a JWT."
      case .issuerUnknown: "The token's issuer is not trusted here."
      case .keyUnknown: "The token's issuer has no such key."
      case .algorithmRefused: "The token's algorithm is not accepted for its key."
      case .signatureInvalid: "The token's signature is not its issuer's."
      case .tokenExpired: "The token has expired."
      case .tokenNotYetValid: "The token is not valid yet."
      case .audienceWrong: "The token is meant for another audience."
      case .typeRefused: "The token is not an access token."
      case .claimsInvalid: "A claim of the token is missing or has the wrong form."
      case .bindingUnverified: "The token is bound to a key that this connection does not prove."
      case .systemIdentity: "The token stands for a system; a person's is required."
      case .identityUnknown: "The token does not say that it stands for a person."
      case .originRefused: "A cookie's token is taken from pages of this origin only."
      case .scopeMissing: "The token lacks a scope that is required."
      case .claimRefused: "A claim of the token does not have a value that is required."
      case .rateLimited: "There were too many requests; try again later."
      case .subjectRefused: "The token service no longer accepts this token."
      case .exchangeDenied: "The token service refuses a token for this service."
      case .exchangeMisconfigured: "The gateway can't obtain a token for this service."
      case .exchangeUnverified: "The token obtained for this service is not the right one."
      case .exchangeUnavailable: "The token service can't be reached at the moment."
      case .exchangeTimeout: "The token service did not answer in time."
      case .keysUnavailable: "The issuer's keys can't be had at the moment."
      case .upstreamUnavailable: "The service can't be reached at the moment."
      case .upstreamFailed: "The service did not give a valid answer."
      case .upstreamTimeout: "The service did not answer in time."
      case .requestLineTooLong: "The request line is too long."
      case .headersTooLarge: "The header fields are too large or too many."
      case .bodyTooLarge: "The content is too large."
      case .requestTimeout: "The request did not come in time."
      case .overloaded: "The gateway is busy."
      case .callerGone: "The caller has gone."
      }
    }
  }
}
