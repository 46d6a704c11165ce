import OAuth
import Testing
import Wire

struct ClaimRuleTests {
  static let rows: [(String, [UTF8Text], String, Bool)] = [
    ("t", ["a"], #"{"t":"a"}"#, true), ("t", ["a", "b"], #"{"t":"b"}"#, true),
    ("t", ["a"], #"{"t":"A"}"#, false), ("t", ["a"], #"{"t":"ab"}"#, false),
    ("t", ["a"], "{}", false), ("t", ["a"], #"{"t":null}"#, false), ("t", [""], #"{"t":""}"#, true),
    ("t", ["a"], #"{"t":["x","a"]}"#, true), ("t", ["a"], #"{"t":["x"]}"#, false),
    ("t", ["a"], #"{"t":[]}"#, false), ("t", ["a"], #"{"t":[["a"]]}"#, false),
    ("t", ["a"], #"{"t":{"a":"a"}}"#, false), ("t", ["null"], #"{"t":null}"#, false),
    ("t", ["1"], #"{"t":1}"#, true), ("t", ["1"], #"{"t":1.0}"#, false),
    ("t", ["1e2"], #"{"t":1e2}"#, true), ("t", ["100"], #"{"t":1e2}"#, false),
    ("t", ["1"], #"{"t":[0,1]}"#, true), ("t", ["true"], #"{"t":true}"#, true),
    ("t", ["true"], #"{"t":[true]}"#, true), ("t", ["true"], #"{"t":false}"#, false),
    ("/a/b", ["x"], #"{"a":{"b":["x"]}}"#, true), ("/a/b", ["x"], #"{"/a/b":"x"}"#, false),
    ("/a/1", ["x"], #"{"a":["y","x"]}"#, true), ("a/b", ["x"], #"{"a/b":"x"}"#, true),
    ("t", ["\u{e9}"], #"{"t":"\u00e9"}"#, true), ("t", ["\u{e9}"], #"{"t":"e\u0301"}"#, false),
  ]

  @Test(arguments: rows)
  func `a claim equals one of the values, or holds one`(
    _ claim: String, _ values: [UTF8Text], _ claims: String, _ holds: Bool
  ) throws {
    let name = try #require(ClaimName(UTF8Text(claim)))
    let rule = ClaimRule(claim: name, values: values)
    #expect(rule.holds(for: try JSONNode(claims)) == holds, "\(claim) \(values) \(claims)")
  }
}
