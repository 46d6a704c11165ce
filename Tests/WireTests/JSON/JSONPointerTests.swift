import Testing

@testable import Wire

struct JSONPointerTests {
  /// The document of RFC 6901 §5.
  private static let document = try? JSONParser(.strict, bytesMax: 1000).parse(
    Array(
      #"""
      {"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}
      """#.utf8))

  @Test(
    arguments: [
      ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3), ("/g|h", 4), ("/i\\j", 5), ("/k\"l", 6),
      ("/ ", 7), ("/m~0n", 8),
    ] as [(String, Int64)])
  func `leads where RFC 6901 says`(_ text: String, _ expected: Int64) throws {
    let document = try #require(Self.document)
    let pointer = try #require(JSONPointer(UTF8Text(text)))
    #expect(document.at(pointer: pointer)?.integer == expected)
  }

  @Test func `leads into lists, and to the whole`() throws {
    let document = try #require(Self.document)
    #expect(document.at(pointer: try #require(JSONPointer(""))) == document)
    #expect(document.at(pointer: try #require(JSONPointer("/foo/1")))?.string == "baz")
  }

  @Test(arguments: [
    "/foo/2", "/foo/01", "/foo/-", "/foo/", "/foo/bar", "/nothing", "/foo/0/x",
    "/foo/99999999999999999999",
  ])
  func `leads nowhere`(_ text: String) throws {
    let document = try #require(Self.document)
    #expect(document.at(pointer: try #require(JSONPointer(UTF8Text(text)))) == nil)
  }

  @Test(arguments: ["foo", "/~", "/~2", "/a~"])
  func `refuses what is no pointer`(_ text: String) {
    #expect(JSONPointer(UTF8Text(text)) == nil)
  }

  @Test func `takes a claim's name for a member or a pointer`() throws {
    let claims = try JSONParser(.strict, bytesMax: 1000).parse(
      Array(#"{"https://x.y/roles":1,"realm_access":{"roles":2},"a~b":3}"#.utf8))
    #expect(ClaimName("https://x.y/roles")?.value(in: claims)?.integer == 1)
    #expect(ClaimName("/realm_access/roles")?.value(in: claims)?.integer == 2)
    #expect(ClaimName("a~b")?.value(in: claims)?.integer == 3)
    #expect(ClaimName("roles")?.value(in: claims) == nil)
    #expect(ClaimName(member: "/x").value(in: claims) == nil)
    #expect(ClaimName("") == nil)
    #expect(ClaimName("/a~b") == nil)
  }
}
