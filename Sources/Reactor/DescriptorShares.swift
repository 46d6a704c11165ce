import Glibc

/// For whom the last descriptors of the process are.
///
/// The kernel gives the lowest number that is free: a new descriptor's number tells that all below
/// it are taken. So whoever may be refused is refused from some number on, and what is above stays
/// for those who must not be: connections to servers above what callers may take, since a caller
/// without one is a refusal; probes, and logs that are opened anew, above both.
package struct DescriptorShares: Sendable, Equatable {
  /// Callers are accepted below this number.
  package let callersEnd: CInt
  /// Connections to servers are opened below this one.
  package let serversEnd: CInt

  /// - Parameter count: how many descriptors the process may have.
  package init(of count: Int) {
    let count = CInt(clamping: count)
    serversEnd = count - min(16, count / 8)
    callersEnd = serversEnd - count / 8
  }

  /// The process's own, by its present limit (RLIMIT_NOFILE).
  package static func ofProcess() -> DescriptorShares { DescriptorShares(of: processLimit()) }

  /// How many descriptors the process may have now.
  package static func processLimit() -> Int {
    guard let limit = openFileLimit() else { return Int(CInt.max) }
    return Int(clamping: limit.rlim_cur)
  }

  /// Lets the process have as many descriptors as it is allowed to ask for: the lower limit that a
  /// process starts with (1024 nearly everywhere) is for programs that use `select`, and an epoll
  /// loop has no use for it. What the system refuses stays as it was: see `processLimit`.
  package static func raiseProcessLimit() {
    guard var limit = openFileLimit(), limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  private static func openFileLimit() -> rlimit? {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    return unsafe getrlimit(resource, &limit) == 0 ? limit : nil
  }
}
