import Wire

/// Numbers in Prometheus' text format, version 0.0.4: each family with its help and type, then its
/// samples.
struct MetricsText {
  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  private(set) var bytes: [UInt8] = []
  private var family = ""

  enum Kind: String {
    case counter, gauge, histogram, summary
  }

  typealias Label = (name: String, value: String)

  /// Begins a family: the samples that follow are its own.
  mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
    family = name
    bytes += Array("# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n".utf8)
  }

  mutating func sample(_ value: UInt64, _ labels: [Label] = []) {
    append(labels: labels)
    bytes += Array("\(value)\n".utf8)
  }

  mutating func sample(_ value: Double, _ labels: [Label] = []) {
    append(labels: labels)
    bytes += Array("\(value)\n".utf8)
  }

  /// A histogram's buckets, sum and count, in seconds.
  mutating func sample(_ durations: DurationNumbers, _ labels: [Label] = []) {
    var sum: UInt64 = 0
    for (index, bound) in durations.boundsMs.enumerated() {
      sum += durations.buckets[index]
      append(suffix: "_bucket", labels: labels + [("le", "\(bound / 1_000)")])
      bytes += Array("\(sum)\n".utf8)
    }
    append(suffix: "_bucket", labels: labels + [("le", "+Inf")])
    bytes += Array("\(durations.count)\n".utf8)
    append(suffix: "_sum", labels: labels)
    bytes += Array("\(Double(durations.totalNs) / 1_000_000_000)\n".utf8)
    append(suffix: "_count", labels: labels)
    bytes += Array("\(durations.count)\n".utf8)
  }

  /// How often something was done and how long all of it took, in seconds; of how the times were
  /// spread nothing is known.
  mutating func sample(count: UInt64, totalNs: UInt64) {
    append(suffix: "_sum", labels: [])
    bytes += Array("\(Double(totalNs) / 1_000_000_000)\n".utf8)
    append(suffix: "_count", labels: [])
    bytes += Array("\(count)\n".utf8)
  }

  private mutating func append(suffix: String = "", labels: [Label]) {
    bytes += Array((family + suffix).utf8)
    if !labels.isEmpty {
      bytes.append(UInt8(ascii: "{"))
      for (index, label) in labels.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        bytes += Array("\(label.name)=\"".utf8)
        for byte in label.value.utf8 {
          switch byte {
          case UInt8(ascii: "\\"), UInt8(ascii: "\""): bytes += [UInt8(ascii: "\\"), byte]
          case UInt8(ascii: "\n"): bytes += Array("\\n".utf8)
          default: bytes.append(byte)
          }
        }
        bytes.append(UInt8(ascii: "\""))
      }
      bytes.append(UInt8(ascii: "}"))
    }
    bytes.append(UInt8(ascii: " "))
  }
}
