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
  package static func ofProcess() -> DescriptorShares {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      return DescriptorShares(of: Int(CInt.max))
    }
    return DescriptorShares(of: Int(clamping: limit.rlim_cur))
  }
}
