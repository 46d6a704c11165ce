import Glibc

/// What this process uses, as the kernel counts it.
package struct ProcessUsage: Sendable {
  package let startedAtSeconds: Double
  package let cpuSeconds: Double
  package let residentBytes: UInt64
  package let openFiles: UInt64
  package let openFilesMax: UInt64

  /// Blocking, for some ten microseconds; nil where there is no /proc.
  package static func now() -> ProcessUsage? {
    guard let status = try? Files.read("/proc/self/stat", bytesMax: 4 << 10),
      let machine = try? Files.read("/proc/stat", bytesMax: 1 << 20)
    else { return nil }
    // proc(5): the name in braces may hold anything; what follows it begins with field 3.
    let text = String(decoding: status, as: UTF8.self)
    guard let end = text.lastIndex(of: ")") else { return nil }
    let fields = text[end...].dropFirst(2).split(separator: " ")
    guard fields.count > 21, let startTicks = Double(fields[19]),
      let pages = UInt64(fields[21]),
      let boot = String(decoding: machine, as: UTF8.self).split(separator: "\n")
        .first(where: { $0.hasPrefix("btime ") }).flatMap({ Double($0.dropFirst(6)) })
    else { return nil }
    var usage = rusage()
    unsafe getrusage(RUSAGE_SELF.rawValue, &usage)
    var limit = rlimit()
    unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
    return ProcessUsage(
      startedAtSeconds: boot + startTicks / ticks,
      cpuSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
      residentBytes: pages * UInt64(sysconf(Int32(_SC_PAGESIZE))), openFiles: openFileCount(),
      openFilesMax: UInt64(limit.rlim_cur))
  }

  private static func seconds(_ time: timeval) -> Double {
    Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000
  }

  private static func openFileCount() -> UInt64 {
    guard let folder = unsafe opendir("/proc/self/fd") else { return 0 }
    var count: UInt64 = 0
    while unsafe readdir(folder) != nil { count += 1 }
    unsafe closedir(folder)
    // ".", ".." and the folder itself.
    return count > 3 ? count - 3 : 0
  }
}
