import OAuth
import Testing

struct TokenServiceProbeTests {
  private func verdict(_ status: Int, _ body: String = "") -> TokenServiceProbe.Verdict {
    TokenServiceProbe.judge(
      TokenAnswer(status: status, contentType: nil, retryAfter: nil, body: Array(body.utf8)))
  }

  @Test func `who refuses with a code of OAuth's is a token endpoint`() {
    for (status, code) in [
      (400, "unsupported_grant_type"), (400, "invalid_request"), (401, "invalid_client"),
      (403, "access_denied"),
    ] {
      let found = verdict(status, #"{"error":"\#(code)","error_description":"x"}"#)
      #expect(found.isWell && found.text == "refuses as a token endpoint does (\(status), \(code))")
    }
  }

  @Test func `pages, web frameworks' errors and answers are none`() {
    for body in [
      "", "<html>", #"{"timestamp":1,"status":404,"error":"Not Found"}"#, #"{"error":404}"#,
      #"{"message":"no Route matched"}"#, #"["error"]"#, #"{"error":""}"#,
      #"{"error":"a\u001b[31m"}"#,
    ] {
      for status in [400, 404, 415] { #expect(!verdict(status, body).isWell, "\(body)") }
    }
    let good = #"{"error":"invalid_request"}"#
    for (status, words) in [
      (200, "answered 200"), (204, "answered 204"), (302, "redirects (302)"),
      (429, "asks for patience"), (500, "answered 500"), (503, "answered 503"),
    ] {
      let found = verdict(status, good)
      #expect(!found.isWell && found.text.hasPrefix(words), "\(status)")
    }
  }
}
