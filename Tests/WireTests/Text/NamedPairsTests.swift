import Testing
import Wire

struct NamedPairsTests {
  /// The pairs as `whole|name|value`, read out of the middle of other bytes.
  private func pairs(_ form: NamedPairs.Form, _ text: String) -> [String] {
    let bytes = Array("=;&\(text)=;&".utf8)
    var pairs = NamedPairs(form, in: 3..<(bytes.count - 3))
    var found: [String] = []
    while let pair = pairs.nextPair(in: bytes.span) {
      found.append(
        [pair.whole, pair.name, pair.value].map { String(decoding: bytes[$0], as: UTF8.self) }
          .joined(separator: "|"))
    }
    return found
  }

  @Test(
    arguments: [
      ("", ["||"]), ("a", ["a|a|"]), ("a=", ["a=|a|"]), ("=a", ["=a||a"]),
      ("a=1&b=2", ["a=1|a|1", "b=2|b|2"]), ("a=b=c", ["a=b=c|a|b=c"]),
      ("&", ["||", "||"]), ("a&&b", ["a|a|", "||", "b|b|"]), ("a=1;b=2", ["a=1;b=2|a|1;b=2"]),
      ("a= 1 ", ["a= 1 |a| 1 "]), ("a=\"1\"", ["a=\"1\"|a|\"1\""]),
      ("%61=%26", ["%61=%26|%61|%26"]),
    ])
  func `a query's pairs stand between ampersands`(_ text: String, _ expected: [String]) {
    #expect(pairs(.query, text) == expected)
  }

  @Test(
    arguments: [
      ("", ["||"]), ("a=1; b=2", ["a=1|a|1", " b=2|b|2"]), ("a=1&b=2", ["a=1&b=2|a|1&b=2"]),
      (" a\t= 1 ;\tb", [" a\t= 1 |a|1", "\tb|b|"]),
      ("a=\"1\"; b=\"", ["a=\"1\"|a|1", " b=\"|b|\""]),
      ("a=\"\"", ["a=\"\"|a|"]), ("a=\"x;y\"", ["a=\"x|a|\"x", "y\"|y\"|"]), (";", ["||", "||"]),
      ("a=b=\"c\"", ["a=b=\"c\"|a|b=\"c\""]), (" ; ", [" ||", " ||"]),
    ])
  func `a cookie's pairs stand between semicolons`(_ text: String, _ expected: [String]) {
    #expect(pairs(.cookie, text) == expected)
  }

  @Test func `the pairs and what is between them are all of the text`() {
    for text in ["", "a", "a=1&&b; c=\"d\" ;;", "=&=;= ; ", "&&;;", "a&b&", ";a ;b; "] {
      for (form, separator) in [(NamedPairs.Form.query, "&"), (.cookie, ";")] {
        let wholes = pairs(form, text).map { $0.prefix { $0 != "|" } }
        #expect(wholes.joined(separator: separator) == text)
      }
    }
  }

  @Test(
    arguments: [
      ("abc", "abc", true), ("", "", true), ("%61b%63", "abc", true), ("%61%62%63", "abc", true),
      ("a%2", "a%2", true), ("a%zz", "a%zz", true), ("%", "%", true), ("%25", "%", true),
      ("abc", "ab", false), ("ab", "abc", false), ("%61", "%61", false), ("ABC", "abc", false),
      ("a+b", "a b", false), ("%6", "a", false), ("a%00", "a", false), ("", "a", false),
      ("a", "", false), ("%2561", "a", false), ("%e2%82%ac", "€", true), ("%E2%82%AC", "€", true),
    ])
  func `a name says the same with escapes and without`(
    _ text: String, _ plain: String, _ isSame: Bool
  ) {
    #expect(PercentEncoding.matches(Array(text.utf8).span, Array(plain.utf8)) == isSame)
  }
}
