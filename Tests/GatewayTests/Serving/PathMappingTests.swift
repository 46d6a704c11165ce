import HTTP
import Reactor
import TestSupport
import Testing

@testable import Gateway

private func mapping(_ stripped: Int, _ added: String = "") throws -> PathMapping {
  try #require(PathMapping(PathRewrite(strippedSegments: stripped, added: Array(added.utf8))))
}

private func text(_ bytes: [UInt8]?) -> String? {
  bytes.map { String(decoding: $0, as: UTF8.self) }
}

struct PathMappingTests {
  @Test(arguments: [
    (1, "", "/api/orders", "/orders"), (1, "", "/api", "/"), (1, "", "/api/", "/"),
    (1, "/v2", "/api/orders", "/v2/orders"), (1, "/v2", "/api", "/v2"), (1, "/v2", "/api/", "/v2/"),
    (2, "", "/a/b/c/", "/c/"), (0, "/v2", "/orders", "/v2/orders"), (0, "/v2", "/", "/v2/"),
    (1, "", "//api//orders", "//orders"),
  ])
  func `a prefix gives way to another`(
    _ stripped: Int, _ added: String, _ path: String, _ expected: String
  ) throws {
    let mapping = try mapping(stripped, added)
    let bytes = Array(path.utf8)
    let out = Buffer(capacity: 64)
    mapping.write(bytes, strippedCount: mapping.strippedCount(of: bytes), to: out)
    #expect(text([UInt8](copying: out.readable)) == expected)
  }

  @Test(
    arguments: [
      ("", "/login", "/api/login"), ("", "/", "/api/"), ("", "/login?x=/y#z", "/api/login?x=/y#z"),
      // Where the service put the prefix there itself.
      ("", "/api/login", nil), ("", "/api", nil), ("", "/api?x", nil), ("", "/apis", "/api/apis"),
      ("", "login", nil), ("", "?x=1", nil), ("", "https://else.where/x", nil),
      ("", "//else.where/x", nil), ("", "mailto:x", nil), ("", "", nil),
      ("", "http://10.0.0.1:8080/x?y", "/api/x?y"), ("", "HTTP://10.0.0.1:8080", "/api/"),
      ("", "http://10.0.0.1:8080/api/x", "/api/x"), ("", "http://10.0.0.1/x", nil),
      ("", "https://API.example/x", "https://API.example/api/x"),
      ("", "https://api.example?x", "https://api.example/api/?x"),
      ("", "https://api.example/api/x", nil), ("", "//api.example/x", "//api.example/api/x"),
      ("/v2", "/v2/x", "/api/x"), ("/v2", "/v2", "/api"), ("/v2", "/v2?x", "/api?x"),
      ("/v2", "/v22/x", nil), ("/v2", "/x", nil), ("/v2", "/api/x", nil),
    ] as [(String, String, String?)])
  func `and comes back where an answer leads`(
    _ added: String, _ value: String, _ expected: String?
  ) throws {
    let changed = try mapping(1, added).location(
      Array(value.utf8), prefix: Array("/api".utf8)[...],
      servers: [Array("10.0.0.1:8080".utf8)], own: Array("api.example".utf8))
    #expect(text(changed) == expected)
  }

  @Test(
    arguments: [
      ("a=b; Path=/", "a=b; Path=/api"), ("a=b; path = /x ; Secure", "a=b; path = /api/x ; Secure"),
      ("a=b;Path=/x;Path=/y", "a=b;Path=/api/x;Path=/api/y"), ("a=b", nil), ("a=/; Secure", nil),
      ("a=b; Path", nil), ("a=b; Path=", nil), ("a=b; Path=x", nil), ("a=b; Path=/api/x", nil),
      ("__Host-a=b; Path=/; Secure", nil), ("Path=/; a=b", nil), ("a=b; Pathology=/x", nil),
    ] as [(String, String?)])
  func `and where a cookie is for`(_ value: String, _ expected: String?) throws {
    let changed = try mapping(1).cookie(Array(value.utf8), prefix: Array("/api".utf8)[...])
    #expect(text(changed) == expected)
  }

  @Test func `nothing is put back where only something was added`() throws {
    let mapping = try mapping(0, "/v2")
    for (value, expected) in [("/v2/x", "/x"), ("/v2", "/"), ("/v2?x", "/?x"), ("/x", nil)] {
      let changed = mapping.location(Array(value.utf8), prefix: [], servers: [], own: [])
      #expect(text(changed) == expected)
    }
    #expect(PathMapping(.none) == nil)
  }
}
