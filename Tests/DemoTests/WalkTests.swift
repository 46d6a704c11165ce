import Glibc
import Testing

@testable import Demo

@Suite(.serialized) struct WalkTests {
  @Test func `all of it holds, and nothing is left behind`() throws {
    let outcome = try walkThrough()
    #expect(outcome.holds == true, "\(outcome.text)")
    for word in [
      "system_identity", "token_missing", "token_expired", "signature_invalid", "audience_wrong",
      "algorithm_refused", "no_route", "Invalid token",
    ] {
      #expect(outcome.text.contains(word), "\(word)")
    }
    #expect(!outcome.text.contains("✗"))
    #expect(!outcome.text.contains("eyJ"))
    #expect(unsafe access(outcome.folder, F_OK) != 0)
  }

  /// What a gateway does wrong, and what the walk must say then.
  static let wrongs: [(name: String, from: String, to: String, says: String)] = [
    (
      "passes the caller's token on", "\"exchange\": { \"audience\": \"orders\" },",
      "\"exchange\": \"passthrough\",", "orders saw a caller's token"
    ),
    (
      "takes one service's token to the other", "{ \"audience\": \"billing\" }",
      "{ \"audience\": \"orders\" }", "billing saw a token for \"orders\", not for \"billing\""
    ),
    (
      "asks the token service about systems", "\"match\": { \"path\": \"/orders/*\" },",
      "\"match\": { \"path\": \"/orders/*\" }, \"admit\": { \"system\": \"exchange\" },",
      "expected 403 system_identity"
    ),
    (
      "takes anybody's audience", "[\"\(TokenMint.gatewayAudience)\"]", "\"any\"",
      "expected 401 audience_wrong"
    ),
    (
      "has a route too many", "\"path\": \"/billing/*\"", "\"path\": \"/*\"",
      "expected 404 no_route"
    ),
  ]

  @Test(arguments: WalkTests.wrongs)
  func `it notices a gateway that`(
    _ wrong: (name: String, from: String, to: String, says: String)
  ) throws {
    let outcome = try walkThrough { text in
      let parts = split(text, by: wrong.from)
      #expect(parts.count == 2, "the routes file has not what this test changes")
      return parts.joined(separator: wrong.to)
    }
    #expect(outcome.holds == false)
    #expect(outcome.text.contains(wrong.says), "\(outcome.text)")
    #expect(outcome.text.contains("✗"))
  }

  @Test func `a routes file that is wrong is explained, and nothing is left behind`() throws {
    let failure = #expect(throws: DemoSystem.Failure.self) {
      _ = try walkThrough { "\($0)nonsense" }
    }
    #expect(failure?.description.contains("routes.json:") == true)
  }

  @Test func `a folder that can't be made is explained`() throws {
    let failure = #expect(throws: DemoSystem.Failure.self) {
      _ = try DemoSystem(temporary: "/nowhere", log: .file) { _ in }
    }
    #expect(failure?.description.contains("/nowhere: no such file or directory") == true)
  }
}

/// The text before and behind each place where `part` stands.
private func split(_ text: String, by part: String) -> [String] {
  var parts: [[UInt8]] = [[]]
  let wanted = Array(part.utf8)
  let bytes = Array(text.utf8)
  var index = 0
  while index < bytes.count {
    if bytes[index...].starts(with: wanted) {
      parts.append([])
      index += wanted.count
    } else {
      parts[parts.count - 1].append(bytes[index])
      index += 1
    }
  }
  return parts.map { String(decoding: $0, as: UTF8.self) }
}
