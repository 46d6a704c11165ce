import Reactor
import Wire

/// What becomes of `Cache-Control` where only the caller may keep an answer.
///
/// RFC 6750 §2.3: a request whose token is not in `Authorization` looks to a shared cache as if
/// anybody could have made it (RFC 9111 §3.5), so the answer has to say whose it is.
enum PrivateCaching {
  /// Appends the directives of one field value, each behind a comma, less those that contradict
  /// `private`: never more bytes than there are, and one.
  static func append(_ value: Span<UInt8>, to out: Buffer) {
    forEachDirective(of: value) { directive in
      out.append(",")
      out.append(value.extracting(directive))
    }
  }

  /// The same for a value that is kept.
  static func directives(of value: [UInt8]) -> [UInt8] {
    var kept: [UInt8] = []
    forEachDirective(of: value.span) { directive in
      kept.append(UInt8(ascii: ","))
      kept += value[directive]
    }
    return kept
  }

  private static func forEachDirective(
    of value: Span<UInt8>, _ body: (Range<Int>) -> Void
  ) {
    ListElements.forEach(of: value) { directive in
      if !contradicts(value.extracting(directive)) { body(directive) }
    }
  }

  private static let contradicting = ["public", "private", "s-maxage"].map { Array($0.utf8) }

  private static func contradicts(_ directive: Span<UInt8>) -> Bool {
    contradicting.contains { name in
      guard directive.count >= name.count,
        directive.count == name.count || !ByteClass.isToken(directive[name.count])
      else { return false }
      return name.indices.allSatisfy { ByteClass.lowercased(directive[$0]) == name[$0] }
    }
  }
}
