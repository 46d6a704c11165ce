import Reactor
import Wire

/// A path's front taken away and another put there, on the way to a service; and back again where
/// an answer names a path.
struct PathMapping {
  private let strippedSegments: Int
  let added: [UInt8]

  /// nil where a path goes on as it is.
  init?(_ rewrite: PathRewrite) {
    if rewrite == .none { return nil }
    strippedSegments = rewrite.strippedSegments
    added = rewrite.added
  }

  /// How many bytes of a path are taken away: by the route's pattern it has as many segments.
  func strippedCount(of path: [UInt8]) -> Int {
    var index = 0
    for _ in 0..<strippedSegments {
      while index < path.count, path[index] == UInt8(ascii: "/") { index += 1 }
      while index < path.count, path[index] != UInt8(ascii: "/") { index += 1 }
    }
    return index
  }

  /// Puts the path down that goes on.
  func write(_ path: [UInt8], strippedCount: Int, to out: Buffer) {
    out.append(added)
    if strippedCount < path.count {
      out.append(path.span.extracting(strippedCount..<path.count))
    } else if added.isEmpty {
      out.append("/")
    }
  }

  /// A path that a service wrote, as callers know it; nil where it is theirs already, or none that
  /// they could ask for. What follows the path, a query, stays.
  ///
  /// A service that was told the prefix (`X-Forwarded-Prefix`) may have put it there itself.
  ///
  /// - Parameter prefix: what was taken away from this request's path.
  func putBack(_ prefix: ArraySlice<UInt8>, on path: ArraySlice<UInt8>) -> [UInt8]? {
    var rest = path
    if added.isEmpty {
      if Self.begins(rest, with: prefix) { return nil }
    } else {
      guard Self.begins(rest, with: added[...]) else { return nil }
      rest = rest.dropFirst(added.count)
    }
    let slash = prefix.isEmpty && rest.first != UInt8(ascii: "/") ? [UInt8(ascii: "/")] : []
    return prefix + slash + rest
  }

  /// By whole segments.
  private static func begins(_ path: ArraySlice<UInt8>, with prefix: ArraySlice<UInt8>) -> Bool {
    guard path.starts(with: prefix) else { return false }
    guard let next = path.dropFirst(prefix.count).first else { return true }
    return next == UInt8(ascii: "/") || next == UInt8(ascii: "?") || next == UInt8(ascii: "#")
  }

  // Fields that name paths.

  /// A `Location` (RFC 9110 §10.2.2) as callers can follow it; nil where it stays as it is.
  ///
  /// - Parameters:
  ///   - servers: how the service's own servers are addressed. A URL at one of them is nothing that
  ///     a caller could ask for, so it becomes a path.
  ///   - own: the host that the caller asked for, as it wrote it.
  func location(
    _ value: [UInt8], prefix: ArraySlice<UInt8>, servers: [[UInt8]], own: [UInt8]
  ) -> [UInt8]? {
    guard value.first != UInt8(ascii: "/") || value.dropFirst().first == UInt8(ascii: "/") else {
      return putBack(prefix, on: value[...]).map(Self.onThisHost)
    }
    guard let start = Self.authorityStart(of: value) else { return nil }
    let end = value[start...].firstIndex { "/?#".utf8.contains($0) } ?? value.endIndex
    let authority = value[start..<end].map(ByteClass.lowercased)
    let path = value[end...].first == UInt8(ascii: "/") ? value[end...] : "/".utf8 + value[end...]
    if servers.contains(authority) {
      return Self.onThisHost(putBack(prefix, on: path) ?? Array(path))
    }
    guard !own.isEmpty, authority == own.map(ByteClass.lowercased),
      let back = putBack(prefix, on: path)
    else { return nil }
    return value[..<end] + back
  }

  /// A path that no caller takes for another host: what begins with two slashes names one (RFC 3986
  /// §4.2), and browsers read a backslash as a slash and pass over tabs (WHATWG URL §4.4).
  private static func onThisHost(_ path: [UInt8]) -> [UInt8] {
    let second = path.dropFirst().first { $0 != UInt8(ascii: "\t") }
    guard second == UInt8(ascii: "/") || second == UInt8(ascii: "\\") else { return path }
    return "/.".utf8 + path
  }

  /// Where the authority of `https://…`, `http://…` or `//…` begins.
  private static func authorityStart(of value: [UInt8]) -> Int? {
    let lower = value.prefix(8).map(ByteClass.lowercased)
    for start in ["https://", "http://", "//"] where lower.starts(with: start.utf8) {
      return start.utf8.count
    }
    return nil
  }

  /// A `Set-Cookie` whose `Path` (RFC 6265 §5.2.4) is where callers will send it; nil where it
  /// stays as it is.
  func cookie(_ value: [UInt8], prefix: ArraySlice<UInt8>) -> [UInt8]? {
    // RFC 6265bis §4.1.3.2: such a cookie has the path "/" or is none.
    if value.prefix(7).map(ByteClass.lowercased) == Array("__host-".utf8) { return nil }
    var start = value.firstIndex(of: UInt8(ascii: ";"))
    var changed: [UInt8]?
    var shift = 0
    while let begin = start {
      let end = value[(begin + 1)...].firstIndex(of: UInt8(ascii: ";")) ?? value.endIndex
      if let range = Self.pathRange(in: value, (begin + 1)..<end),
        var back = putBack(prefix, on: value[range])
      {
        // A cookie for "/" is one for the prefix and all below: "/api/" would leave "/api" out.
        if range.count == 1, back.count > 1, back.last == UInt8(ascii: "/") { back.removeLast() }
        var next = changed ?? value
        next.replaceSubrange(range.lowerBound + shift..<range.upperBound + shift, with: back)
        shift += back.count - range.count
        changed = next
      }
      start = end < value.endIndex ? end : nil
    }
    return changed
  }

  /// The value of an attribute that is a path and begins with a slash.
  private static func pathRange(in value: [UInt8], _ attribute: Range<Int>) -> Range<Int>? {
    var start = attribute.lowerBound
    var end = attribute.upperBound
    while start < end, ByteClass.isBlank(value[start]) { start += 1 }
    while end > start, ByteClass.isBlank(value[end - 1]) { end -= 1 }
    guard end - start > 5,
      value[start..<start + 4].map(ByteClass.lowercased).elementsEqual("path".utf8)
    else { return nil }
    start += 4
    while start < end, ByteClass.isBlank(value[start]) { start += 1 }
    guard start < end, value[start] == UInt8(ascii: "=") else { return nil }
    start += 1
    while start < end, ByteClass.isBlank(value[start]) { start += 1 }
    guard start < end, value[start] == UInt8(ascii: "/") else { return nil }
    return start..<end
  }
}
