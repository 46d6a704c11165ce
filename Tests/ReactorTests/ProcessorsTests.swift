import Testing

@testable import Reactor

struct ProcessorsTests {
  @Test(
    arguments: [
      ("max 100000", nil), ("100000 100000", 1), ("150000 100000", 2), ("50000 100000\n", 1),
      ("400000 100000", 4), ("400001 100000", 5), ("1 9223372036854775807", 1),
      ("9223372036854775807 1", .max), ("0 100000", nil), ("-1 100000", nil), ("100000 0", nil),
      ("", nil), ("100000", nil), ("a b", nil), ("1 2 3", nil), ("99999999999999999999 1", nil),
    ] as [(String, Int?)])
  func `reads a quota of the unified hierarchy`(_ text: String, _ expected: Int?) {
    #expect(Processors.parse(cpuMax: text) == expected)
  }

  @Test(
    arguments: [
      ("-1\n", "100000\n", nil), ("250000\n", "100000\n", 3), ("", "", nil),
      ("100000", "100000", 1),
    ] as [(String, String, Int?)])
  func `reads a quota of the older hierarchy`(
    _ quota: String, _ period: String, _ expected: Int?
  ) {
    #expect(Processors.parse(quota: quota, period: period) == expected)
  }

  @Test(
    arguments: [
      ("0::/\n", [""]), ("0::/a\n", ["", "/a"]), ("0::/a/b c\n", ["", "/a", "/a/b c"]),
      ("12:cpu,cpuacct:/x\n0::/y\n", ["", "/y"]), ("", [""]), ("nonsense", [""]),
    ])
  func `finds its group and all above it`(_ membership: String, _ expected: [String]) {
    #expect(Processors.groups(of: membership) == expected)
  }

  @Test func `there is at least one`() {
    #expect(Processors.usable() >= 1)
  }
}
