package import Wire

/// Why there is no exchanged token, and what that means for the next request.
package struct ExchangeRefusal: Error, Sendable, Equatable {
  /// The raw value is the `reason` in the answer, the access log and the metrics.
  package enum Reason: String, Sendable, CaseIterable {
    /// The token service no longer accepts the caller's token: 401.
    case subjectRefused = "subject_refused"
    /// It refuses this target for this caller: 403.
    case denied = "exchange_denied"
    /// It refuses the gateway, or talks nonsense: 502.
    case misconfigured = "exchange_misconfigured"
    /// What came back is not for that audience or not the caller's: 502.
    case unverified = "exchange_unverified"
    /// It cannot be reached, fails or asks for patience: 503.
    case unavailable = "exchange_unavailable"
    /// It is too slow: 504.
    case timeout = "exchange_timeout"
  }

  package let reason: Reason
  /// For the access log: the service's error code and what it said, at most 200 bytes, without any
  /// token; or a few words of ours.
  package let note: UTF8Text
  /// Whole seconds after which to try again.
  package let retryAfterSeconds: Int64?
  /// Entra's `claims`, which the caller is to hand back when he signs in anew.
  package let claimsChallenge: UTF8Text?
  /// Whether the breaker counts it: connection failures, timeouts, 5xx and `invalid_client`.
  package let countsForBreaker: Bool
  /// Whether it is remembered for this caller's token and this target, for `cache.denied`.
  package let isRemembered: Bool
  /// Whether sending once more, inside the timeout, may help: 502, 503, 504 and 429.
  package let mayBeSentAgain: Bool

  /// Whether the service itself is well and has too much to do (429): it is left alone for as long
  /// as it says.
  package let asksForPatience: Bool

  /// For the operator: what can be done about it, where that is known.
  package let advice: String?

  init(
    _ reason: Reason, note: UTF8Text, retryAfterSeconds: Int64? = nil,
    claimsChallenge: UTF8Text? = nil, countsForBreaker: Bool = false, isRemembered: Bool = false,
    mayBeSentAgain: Bool = false, asksForPatience: Bool = false, advice: String? = nil
  ) {
    self.advice = advice
    self.asksForPatience = asksForPatience
    self.reason = reason
    self.note = note
    self.retryAfterSeconds = retryAfterSeconds
    self.claimsChallenge = claimsChallenge
    self.countsForBreaker = countsForBreaker
    self.isRemembered = isRemembered
    self.mayBeSentAgain = mayBeSentAgain
  }

  /// No connection, or one that broke before the answer was whole.
  ///
  /// - Parameters:
  ///   - why: for the operator; where the service is and what the kernel says of it.
  ///   - advice: for the operator; what can be done about it.
  package static func unreachable(_ why: String, _ advice: String? = nil) -> ExchangeRefusal {
    ExchangeRefusal(
      .unavailable, note: UTF8Text("no connection to the token service: \(why)"),
      countsForBreaker: true, mayBeSentAgain: true, advice: advice)
  }
  /// No answer in time.
  package static let timedOut = ExchangeRefusal(
    .timeout, note: "no answer in time", countsForBreaker: true)
  /// The answer is no HTTP, or longer than `TokenAnswer.bytesMax`.
  package static let nonsense = ExchangeRefusal(.misconfigured, note: "an answer that is none")

  /// The client shows itself by a certificate, and the endpoint's connection has none.
  package static let certificateUnseen = ExchangeRefusal(
    .misconfigured, note: "tls_client_auth needs an https token endpoint")
  /// OpenSSL failed to sign the client's assertion.
  package static let unsigned = ExchangeRefusal(
    .misconfigured, note: "the client's assertion could not be signed")

  /// The service is not called.
  ///
  /// - Parameters:
  ///   - seconds: after which to try again.
  ///   - note: why.
  package static func notCalled(seconds: Int64, _ note: UTF8Text) -> ExchangeRefusal {
    ExchangeRefusal(.unavailable, note: note, retryAfterSeconds: max(1, seconds))
  }
}
