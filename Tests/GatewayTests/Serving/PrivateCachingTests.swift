import Testing

@testable import Gateway

struct PrivateCachingTests {
  @Test(
    arguments: [
      ("", ""), ("public", ""), ("PUBLIC , s-maxage=1,Private", ""), ("max-age=1", ",max-age=1"),
      (" no-store ,, no-cache", ",no-store ,no-cache"), ("publicity", ",publicity"),
      ("private=\"a, b\", x", ",x"), ("x=\"a, public\", public", ",x=\"a, public\""),
      ("x=\"a\\\", public\"", ",x=\"a\\\", public\""), ("x=\"\\", ",x=\"\\"), ("x=\"a", ",x=\"a"),
      ("s-maxage", ""), ("s-maxages=1", ",s-maxages=1"), ("\tpublic\t", ""), (",,,", ""),
    ])
  func `directives that contradict private are left out`(_ value: String, _ kept: String) {
    let directives = PrivateCaching.directives(of: Array(value.utf8))
    #expect(String(decoding: directives, as: UTF8.self) == kept)
    #expect(directives.count <= value.utf8.count + 1)
  }
}
