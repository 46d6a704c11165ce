/// A host that a route is for: one name, or `*.` and a name, which is exactly one label more.
///
/// Compared with an `Authority`'s host, which is in lower case and has no trailing dot.
package struct HostPattern: Sendable, Hashable {
  /// The exact host; of a wildcard what follows the `*`, with its dot.
  package let bytes: [UInt8]
  package let isWildcard: Bool

  /// Nil for what is no host, has a port, or has a `*` elsewhere than as its whole first label.
  package init?(_ text: [UInt8]) {
    let isWildcard = text.starts(with: [UInt8(ascii: "*"), UInt8(ascii: ".")])
    let name = isWildcard ? Array(text.dropFirst(2)) : text
    var authority = Authority()
    do throws(Authority.Fault) {
      try authority.parse(name.span)
    } catch {
      return nil
    }
    guard authority.port == nil else { return nil }
    // A wildcard of an address means nothing.
    guard !isWildcard || authority.kind == .name else { return nil }
    self.isWildcard = isWildcard
    bytes = isWildcard ? [UInt8(ascii: ".")] + authority.host : authority.host
  }

  /// Whether `host` is this one, or one label below it.
  package func matches(_ host: [UInt8]) -> Bool {
    guard isWildcard else { return host == bytes }
    let labelCount = host.count - bytes.count
    guard labelCount > 0 else { return false }
    for index in 0..<labelCount where host[index] == UInt8(ascii: ".") { return false }
    for index in 0..<bytes.count where host[labelCount + index] != bytes[index] { return false }
    return true
  }
}
