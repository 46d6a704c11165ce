import Wire

/// Durations as they are written and held: whole milliseconds.
enum Milliseconds {
  static let second: Int64 = 1_000
  static let minute: Int64 = 60 * second
  static let hour: Int64 = 60 * minute
  /// No timeout is longer; what should never end has its own spelling.
  static let day: Int64 = 24 * hour
}

/// Sizes in bytes.
enum Bytes {
  static let kibi = 1 << 10
  static let mebi = 1 << 20
  static let gibi = 1 << 30
}

extension Kind where Value == Int64 {
  /// A duration with its unit.
  static func duration(_ range: ClosedRange<Int64>) -> Kind {
    Kind(
      .pattern(#"^[0-9]+(ms|s|m|h)$|\$\{"#),
      written: { "\"\(Unit.write($0, units: Unit.durations))\"" }
    ) { setting in
      Unit.read(
        setting, units: Unit.durations, range: range, expected: "a duration such as \"30s\"",
        guesses: [
          "": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m",
          "minute": "m", "minutes": "m", "hr": "h", "hour": "h", "hours": "h", "msec": "ms",
          "millis": "ms", "milliseconds": "ms",
        ])
    }
  }
}

extension Kind where Value == Int {
  /// A size with its unit.
  static func size(_ range: ClosedRange<Int>) -> Kind {
    Kind(
      .pattern(#"^[0-9]+(B|KiB|MiB|GiB)$|\$\{"#),
      written: { "\"\(Unit.write(Int64($0), units: Unit.sizes))\"" }
    ) { setting in
      Unit.read(
        setting, units: Unit.sizes, range: Int64(range.lowerBound)...Int64(range.upperBound),
        expected: "a size such as \"16KiB\"",
        guesses: [
          "": "B", "k": "KiB", "kb": "KiB", "kib": "KiB", "m": "MiB", "mb": "MiB", "mib": "MiB",
          "g": "GiB", "gb": "GiB", "gib": "GiB",
        ]
      ).flatMap { Int(exactly: $0) }
    }
  }
}

private struct Unit {
  let name: String
  let factor: Int64

  static let durations = [
    Unit(name: "h", factor: Milliseconds.hour), Unit(name: "m", factor: Milliseconds.minute),
    Unit(name: "s", factor: Milliseconds.second), Unit(name: "ms", factor: 1),
  ]
  static let sizes = [
    Unit(name: "GiB", factor: Int64(Bytes.gibi)), Unit(name: "MiB", factor: Int64(Bytes.mebi)),
    Unit(name: "KiB", factor: Int64(Bytes.kibi)), Unit(name: "B", factor: 1),
  ]

  /// Digits and a unit, within a range.
  ///
  /// - Parameter guesses: which unit other spellings, in lower case, probably mean.
  static func read(
    _ setting: Setting, units: [Unit], range: ClosedRange<Int64>, expected: String,
    guesses: [String: String]
  ) -> Int64? {
    guard let text = setting.node.string?.string else {
      let meant = setting.node.integer.flatMap { number in
        guesses[""].flatMap { number >= 0 ? "\(number)\($0)" : nil }
      }
      return setting.refused("expected \(expected), found \(setting.found)", suggestion: meant)
    }
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let name = text.dropFirst(digits.count)
    guard !digits.isEmpty, let unit = units.first(where: { $0.name.utf8.elementsEqual(name.utf8) })
    else {
      let guess = guesses[name.lowercased().filter { $0 != " " }]
      let meant = digits.isEmpty ? nil : guess.map { "\(digits)\($0)" }
      let known = units.reversed().map(\.name).joined(separator: ", ")
      return setting.refused("expected \(expected) (units: \(known))", suggestion: meant)
    }
    // More digits than fit are beyond any range.
    let (value, overflows) = (Int64(digits) ?? .max).multipliedReportingOverflow(by: unit.factor)
    guard !overflows, range.contains(value) else {
      let lower = write(range.lowerBound, units: units)
      let upper = write(range.upperBound, units: units)
      return setting.refused("expected from \(lower) to \(upper)")
    }
    return value
  }

  /// In the largest unit that leaves no rest.
  static func write(_ value: Int64, units: [Unit]) -> String {
    let unit = units.first { value >= $0.factor && value % $0.factor == 0 }
    return unit.map { "\(value / $0.factor)\($0.name)" } ?? "\(value)\(units.last?.name ?? "")"
  }
}
