/// A moment in UTC as people write it. Proleptic Gregorian, no leap seconds, as POSIX counts.
package struct CivilDate: Sendable, Equatable {
  package let year: Int
  /// 1–12
  package let month: Int
  /// 1–31
  package let day: Int
  package let hour: Int
  package let minute: Int
  package let second: Int
  /// 0 is Sunday.
  package let weekday: Int

  /// Years 1 to 9999 in seconds since 1970; what is beyond is taken for the nearest of them,
  /// because neither HTTP's nor RFC 3339's dates have five digits for a year.
  private static let secondsRange: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

  /// The moment `epochSeconds` after 1970 began.
  package init(epochSeconds: Int64) {
    let range = Self.secondsRange
    let seconds = min(max(epochSeconds, range.lowerBound), range.upperBound)
    let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
    let time = Int(seconds - days * 86_400)
    hour = time / 3600
    minute = time / 60 % 60
    second = time % 60
    weekday = Int(((days + 4) % 7 + 7) % 7)

    // Years are counted from March, so that the leap day is a year's last; eras are 400 years.
    let shifted = Int(days) + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  /// Seconds since 1970; nil for a date or time of day that there is none of.
  package static func epochSeconds(
    year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int
  ) -> Int64? {
    guard (1...9999).contains(year), (1...12).contains(month), day >= 1,
      day <= daysIn(month: month, year: year), (0...23).contains(hour),
      (0...59).contains(minute), (0...60).contains(second)
    else { return nil }
    let shiftedYear = month <= 2 ? year - 1 : year
    let era = shiftedYear / 400
    let yearOfEra = shiftedYear - era * 400
    let marchMonth = month > 2 ? month - 3 : month + 9
    let dayOfYear = (153 * marchMonth + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    return Int64(days) * 86_400 + Int64(hour * 3600 + minute * 60 + second)
  }

  private static func daysIn(month: Int, year: Int) -> Int {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}
