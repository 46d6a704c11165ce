import TestSupport
import Testing
import Wire

@testable import Gateway

/// What a caller gets, by the table of the routes file's description: word, status, challenge.
private struct Row: CustomTestStringConvertible, Sendable {
  let word: String
  let status: Int
  let challenge: Refusal.Reason.Challenge

  var testDescription: String { word }

  static let all: [Row] = [
    rows(400, .none, "malformed_request"), rows(505, .none, "version_unsupported"),
    rows(501, .none, "not_implemented"), rows(417, .none, "expectation_failed"),
    rows(421, .none, "misdirected"), rows(404, .none, "no_route"),
    rows(405, .none, "method_not_allowed"), rows(401, .bare, "token_missing"),
    rows(
      401, .code("invalid_token"), "issuer_unknown", "key_unknown", "algorithm_refused",
      "signature_invalid", "token_expired", "token_not_yet_valid", "audience_wrong",
      "type_refused", "claims_invalid", "binding_unverified", "subject_refused"),
    rows(
      403, .none, "system_identity", "identity_unknown", "origin_refused", "claim_refused",
      "exchange_denied"),
    rows(403, .code("insufficient_scope"), "scope_missing"),
    rows(502, .none, "exchange_misconfigured", "exchange_unverified", "upstream_failed"),
    rows(
      503, .none, "exchange_unavailable", "keys_unavailable", "upstream_unavailable", "overloaded"),
    rows(504, .none, "exchange_timeout", "upstream_timeout"),
    rows(414, .none, "request_line_too_long"), rows(431, .none, "headers_too_large"),
    rows(429, .none, "rate_limited"),
    rows(413, .none, "body_too_large"), rows(408, .none, "request_timeout"),
    rows(499, .none, "caller_gone"),
  ].flatMap { $0 }

  private static func rows(
    _ status: Int, _ challenge: Refusal.Reason.Challenge, _ words: String...
  ) -> [Row] {
    words.map { Row(word: $0, status: status, challenge: challenge) }
  }
}

struct RefusalTests {
  @Test(arguments: Row.all)
  fileprivate func `each reason has its status and its challenge`(_ row: Row) throws {
    let reasons = Refusal.Reason.allCases.filter { $0.word == row.word }
    #expect(reasons.count == 1)
    let reason = try #require(reasons.first)
    #expect(reason.status == row.status)
    #expect(reason.challenge == row.challenge)
  }

  @Test func `a broken credential is the request's fault or the token's`() {
    let reasons = Refusal.Reason.allCases.filter { $0.word == "token_malformed" }
    #expect(Set(reasons) == [.credentialMalformed, .tokenMalformed])
    #expect(
      (Refusal.Reason.credentialMalformed.status, Refusal.Reason.tokenMalformed.status)
        == (400, 401))
    #expect(Refusal.Reason.credentialMalformed.challenge == .code("invalid_request"))
    #expect(Refusal.Reason.tokenMalformed.challenge == .code("invalid_token"))
  }

  @Test func `there is no reason beside the table, and every word is another`() {
    let words = Refusal.Reason.allCases.map(\.word)
    #expect(Set(words) == Set(Row.all.map(\.word) + ["token_malformed"]))
    #expect(Set(words).count == words.count - 1)
    for word in words {
      #expect(word.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "_") })
    }
  }

  @Test func `every sentence is one, and another's is another`() {
    let sentences = Refusal.Reason.allCases.map(\.sentence)
    #expect(Set(sentences).count == sentences.count)
    for sentence in sentences {
      #expect(sentence.hasSuffix("."))
      #expect(sentence.first?.isUppercase == true)
      #expect(!sentence.contains("\""))
    }
  }

  @Test func `a connection that can't be understood any more closes`() {
    for reason in Refusal.Reason.allCases {
      let closes = [400, 408, 413, 414, 431, 499, 501, 505].contains(reason.status)
      #expect(
        reason.closesConnection
          == (closes && reason != .credentialMalformed || reason == .overloaded), "\(reason.word)")
    }
  }
}
