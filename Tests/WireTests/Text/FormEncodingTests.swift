import Testing
import Wire

struct FormEncodingTests {
  @Test func `writes pairs in order`() {
    var form: [UInt8] = []
    FormEncoding.append("grant_type", Array("urn:ietf:params:oauth".utf8), to: &form)
    FormEncoding.append("a b", Array("1+1=2&ü*-._~%".utf8), to: &form)
    FormEncoding.append("empty", [], to: &form)
    #expect(
      String(decoding: form, as: UTF8.self)
        == "grant_type=urn%3Aietf%3Aparams%3Aoauth&a+b=1%2B1%3D2%26%C3%BC*-._%7E%25&empty=")
  }

  @Test(arguments: [
    ("", []), ("&&", []), ("a=1&b=2&a=3", ["a:1", "b:2", "a:3"]), ("a", ["a:"]), ("=", [":"]),
    ("=a", [":a"]), ("a=b=c", ["a:b=c"]), ("a+b=%2B%20c&", ["a b:+ c"]), ("%61=%41", ["a:A"]),
  ])
  func `reads pairs in order`(_ text: String, _ expected: [String]) {
    let pairs = FormEncoding.parse(Array(text.utf8).span)?.map {
      "\(String(decoding: $0.name, as: UTF8.self)):\(String(decoding: $0.value, as: UTF8.self))"
    }
    #expect(pairs == expected)
  }

  @Test(arguments: ["%", "a=%2", "a=%zz", "%4=a", "a=1&b=%"])
  func `refuses broken escapes`(_ text: String) {
    #expect(FormEncoding.parse(Array(text.utf8).span) == nil)
  }

  @Test func `bounds the pairs`() {
    #expect(FormEncoding.parse(Array("a&b".utf8).span, pairsMax: 2)?.count == 2)
    #expect(FormEncoding.parse(Array("a&b&c".utf8).span, pairsMax: 2) == nil)
  }

  @Test func `comes back from every byte`() {
    let bytes = (0...255).map { UInt8($0) }
    #expect(FormEncoding.decode(FormEncoding.encode(bytes).span) == bytes)
    var escaped: [UInt8] = []
    PercentEncoding.append(bytes.span, to: &escaped)
    #expect(PercentEncoding.decode(escaped.span) == bytes)
    #expect(PercentEncoding.decode(Array("a+b".utf8).span) == Array("a+b".utf8))
  }
}
