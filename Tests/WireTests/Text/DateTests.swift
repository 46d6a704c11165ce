import Testing
import Wire

private func text(_ write: (inout [UInt8]) -> Void) -> String {
  var bytes: [UInt8] = []
  write(&bytes)
  return String(decoding: bytes, as: UTF8.self)
}

struct DateTests {
  @Test(
    arguments: [
      (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000Z"),
      (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00.000Z"),
      (-1, "Wed, 31 Dec 1969 23:59:59 GMT", "1969-12-31T23:59:59.000Z"),
      (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT", "2000-02-29T00:00:00.000Z"),
      (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT", "2100-02-28T23:59:59.000Z"),
      (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT", "2100-03-01T00:00:00.000Z"),
      (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59.000Z"),
      (-62_135_596_800, "Mon, 01 Jan 0001 00:00:00 GMT", "0001-01-01T00:00:00.000Z"),
    ] as [(Int64, String, String)])
  func `writes and reads a moment`(_ seconds: Int64, _ http: String, _ rfc3339: String) {
    #expect(text { HTTPDate.append(epochSeconds: seconds, to: &$0) } == http)
    #expect(text { RFC3339.append(epochMs: seconds * 1000, to: &$0) } == rfc3339)
    #expect(HTTPDate.parse(Array(http.utf8).span, now: 0) == seconds)
    #expect(RFC3339.parse(Array(rfc3339.utf8).span) == seconds * 1000)
  }

  @Test func `agrees with the calendar day by day`() {
    // 400 years, an era of the Gregorian calendar.
    var (year, month, day) = (1970, 1, 1)
    for number in 0..<146_097 {
      let date = CivilDate(epochSeconds: Int64(number) * 86_400 + 43_200)
      guard (date.year, date.month, date.day, date.hour) == (year, month, day, 12) else {
        Issue.record("\(date) is not \(year)-\(month)-\(day)")
        return
      }
      let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
      let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
      day += 1
      if day > lengths[month - 1] { (month, day) = (month + 1, 1) }
      if month > 12 { (year, month) = (year + 1, 1) }
    }
  }

  @Test func `writes milliseconds`() {
    #expect(
      text { RFC3339.append(epochMs: 1_700_000_000_007, to: &$0) } == "2023-11-14T22:13:20.007Z")
    #expect(text { RFC3339.append(epochMs: -1, to: &$0) } == "1969-12-31T23:59:59.999Z")
  }

  @Test func `survives the ends of time`() {
    for moment in [Int64.min, Int64.max] {
      #expect(text { RFC3339.append(epochMs: moment, to: &$0) }.utf8.count == 24)
      #expect(text { HTTPDate.append(epochSeconds: moment, to: &$0) }.utf8.count == 29)
    }
  }

  @Test(
    arguments: [
      ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777), ("Sun Nov  6 08:49:37 1994", 784_111_777),
      // Not more than 50 years ahead of 2023.
      ("Sunday, 06-Nov-73 08:49:37 GMT", 3_277_183_777),
      ("Sunday, 06-Nov-74 08:49:37 GMT", 152_959_777),
    ] as [(String, Int64)])
  func `reads the obsolete spellings`(_ date: String, _ expected: Int64) {
    #expect(HTTPDate.parse(Array(date.utf8).span, now: 1_700_000_000) == expected)
  }

  @Test(arguments: [
    "", "120", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 CET",
    "Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 06 Nox 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT x",
    "Sun, 06 Nov 1994 08-49-37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 0 08:49:37 GMT", "Sun Nov 6 08:49:37 1994 GMT",
  ])
  func `refuses what is no HTTP date`(_ date: String) {
    #expect(HTTPDate.parse(Array(date.utf8).span, now: 1_700_000_000) == nil)
  }

  @Test(
    arguments: [
      ("2023-11-14T22:13:20Z", 1_700_000_000_000), ("2023-11-14t22:13:20.1z", 1_700_000_000_100),
      ("2023-11-14T22:13:20.123456789Z", 1_700_000_000_123),
      ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
      ("2023-11-14T20:43:20-01:30", 1_700_000_000_000),
    ] as [(String, Int64)])
  func `reads RFC 3339 with fractions and offsets`(_ time: String, _ expected: Int64) {
    #expect(RFC3339.parse(Array(time.utf8).span) == expected)
  }

  @Test(arguments: [
    "", "2023-11-14", "2023-11-14T22:13:20", "2023-11-14 22:13:20Z", "2023-13-14T22:13:20Z",
    "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20+1:00", "2023-11-14T22:13:20+01:00x",
    "2023-11-14T22:13:2xZ", "2023-11-14T22:13:20+25:00", "2023-11-31T22:13:20Z",
    "2023-11-14T22:13:20ZZ",
  ])
  func `refuses what is no RFC 3339 time`(_ time: String) {
    #expect(RFC3339.parse(Array(time.utf8).span) == nil)
  }
}

struct DecimalTests {
  @Test func `writes numbers with zeros in front`() {
    #expect(text { Decimal.append(0, to: &$0) } == "0")
    #expect(text { Decimal.append(.max, to: &$0) } == "18446744073709551615")
    #expect(text { Decimal.append(7, digits: 3, to: &$0) } == "007")
    #expect(text { Decimal.append(12345, digits: 3, to: &$0) } == "12345")
  }

  @Test(
    arguments: [
      ("0", 0), ("007", 7), ("9223372036854775807", UInt64(Int64.max)),
      ("9223372036854775808", nil),
      ("99999999999999999999", nil), ("", nil), ("-1", nil), ("1a", nil), (" 1", nil),
    ] as [(String, UInt64?)])
  func `reads whole numbers only`(_ digits: String, _ expected: UInt64?) {
    #expect(Decimal.parse(Array(digits.utf8).span) == expected)
  }
}
