/// A request's path in the one spelling that is matched and forwarded.
///
/// `PathNormaliser` fills it; its arrays are used again by the next path.
package struct NormalisedPath: Sendable {
  /// What routes are matched against, and what goes on unless a route keeps empty segments. Begins
  /// with `/`, has no dot segments and no empty ones but the last.
  package internal(set) var merged: [UInt8] = []
  /// Whether there were empty segments before the last one (`/a//b`).
  package internal(set) var hadEmptySegments = false
  /// Whether a `%2F` is in it, which stands for a character of its segment here.
  package internal(set) var hasEncodedSlash = false
  /// Whether a `;` is in it, which stands for a character of its segment here.
  package internal(set) var hasParameters = false
  var keptEmpty: [UInt8] = []
  /// The path with its escapes made normal, before its segments are.
  var escaped: [UInt8] = []

  package init() {}

  /// The same with its empty segments, where it had any.
  package var unmerged: [UInt8]? { hadEmptySegments ? keptEmpty : nil }
}

/// Why a path is refused. All of them are 400: whoever is behind us might read another path.
package enum PathFault: String, Error, Sendable, CustomStringConvertible {
  case notAbsolute = "the path does not begin with a slash"
  case characterInvalid = "the path has a character that must be escaped"
  case escapeInvalid = "a percent sign without two hexadecimal digits in the path"
  case backslash = "a backslash in the path"
  case controlCharacter = "a control character in the path"
  case overlongEncoding = "a character in more bytes of UTF-8 than it has, in the path"
  case doubleEncoding = "a doubly encoded slash, backslash, dot, percent sign or control character"
  case climbsOut = "the path climbs out of the root"
  case dotsHidden = "a dot segment beside an encoded slash or a parameter in the path"
  case dotsBehindEmptySegment = "a dot segment behind an empty one in the path"

  package var description: String { rawValue }
}
