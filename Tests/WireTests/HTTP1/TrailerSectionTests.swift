import Testing

@testable import Wire

struct TrailerSectionTests {
  @Test func `some trailers can be left out, whatever letter joins their words`() throws {
    var decoder = ChunkedDecoder()
    let input = "0\r\nA: 1\r\nx_who: 2\r\nX-WHO: 3\r\nX-Whom: 4\r\nX-Who: 5\r\n\r\n"
    _ = try decoder.next(Array(input.utf8).span, from: 0)
    let name = try #require(FieldNameKey(Array("X-Who".utf8)))
    #expect(
      String(decoding: decoder.trailers.bytes(without: [name]), as: UTF8.self)
        == "A: 1\r\nX-Whom: 4\r\n")
    #expect(decoder.trailers.bytes(without: []) == decoder.trailers.bytes)
  }
}
