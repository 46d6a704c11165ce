import CLinux

/// How many processors this process may use.
package enum Processors {
  /// The smaller of the affinity mask and the cgroup's quota, rounded up; at least 1.
  ///
  /// A quota of half a processor still gets one worker: the kernel throttles it as it would any.
  package static func usable() -> Int {
    var count = max(1, Int(clinux_affinity_count()))
    if let quota = quota() { count = min(count, max(1, quota)) }
    return count
  }

  /// The quota of this process's own cgroup and of each above it, in whole processors.
  private static func quota() -> Int? {
    var smallest: Int?
    func consider(_ quota: Int?) {
      if let quota { smallest = min(smallest ?? quota, quota) }
    }
    for path in groups(of: text("/proc/self/cgroup")) {
      consider(parse(cpuMax: text("/sys/fs/cgroup\(path)/cpu.max")))
    }
    consider(
      parse(
        quota: text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        period: text("/sys/fs/cgroup/cpu/cpu.cfs_period_us")))
    return smallest
  }

  /// The unified hierarchy's group in `/proc/self/cgroup` ("0::/a/b") and all above: /a/b, /a, "".
  static func groups(of membership: String) -> [String] {
    var groups = [""]
    for line in membership.split(separator: "\n") where line.hasPrefix("0::/") {
      var path = ""
      for part in line.dropFirst(4).split(separator: "/") {
        path += "/\(part)"
        groups.append(path)
      }
    }
    return groups
  }

  /// cgroup v2: "150000 100000" is one and a half processors, "max 100000" no limit.
  static func parse(cpuMax: String) -> Int? {
    let parts = cpuMax.split(whereSeparator: \.isWhitespace)
    guard parts.count == 2 else { return nil }
    return parse(quota: String(parts[0]), period: String(parts[1]))
  }

  /// cgroup v1: microseconds of quota in each period; -1 is no limit.
  static func parse(quota: String, period: String) -> Int? {
    guard let quota = Int(quota.filter { !$0.isWhitespace }), quota > 0,
      let period = Int(period.filter { !$0.isWhitespace }), period > 0
    else { return nil }
    return quota / period + (quota % period == 0 ? 0 : 1)
  }

  private static func text(_ path: String) -> String {
    guard let bytes = try? Files.read(path, bytesMax: 64 << 10) else { return "" }
    return String(decoding: bytes, as: UTF8.self)
  }
}
