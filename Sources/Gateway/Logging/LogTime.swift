import Wire

/// Times in formats that have their own way to write them.
enum LogTime {
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// `10/Oct/2026:13:55:36 +0000`, as Apache's logs have it.
  static func combined(epochSeconds: Int64) -> [UInt8] {
    let date = CivilDate(epochSeconds: epochSeconds)
    var text: [UInt8] = []
    Decimal.append(UInt64(date.day), digits: 2, to: &text)
    text += "/\(months[date.month - 1])/".utf8
    Decimal.append(UInt64(date.year), digits: 4, to: &text)
    for part in [date.hour, date.minute, date.second] {
      text.append(UInt8(ascii: ":"))
      Decimal.append(UInt64(part), digits: 2, to: &text)
    }
    return text + Array(" +0000".utf8)
  }
}
