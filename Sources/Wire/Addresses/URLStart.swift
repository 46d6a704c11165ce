/// What a URL begins with: one of two schemes, of which one means TLS, and an authority
/// (RFC 3986 §3.1 and §3.2).
struct URLStart {
  let isSecure: Bool
  /// Where the authority stands, unread; what follows it begins at its upper bound.
  let authority: Range<Int>

  /// Nil where it begins with neither scheme.
  init?(_ bytes: [UInt8], plain: String, secure: String) {
    func has(_ scheme: String) -> Int? {
      let prefix = UTF8Text("\(scheme)://")
      let count = prefix.bytes.count
      return UTF8Text(Array(bytes.prefix(count))).equalsIgnoringASCIICase(prefix) ? count : nil
    }
    let start: Int
    if let count = has(secure) {
      (isSecure, start) = (true, count)
    } else if let count = has(plain) {
      (isSecure, start) = (false, count)
    } else {
      return nil
    }
    let end =
      bytes[start...].firstIndex {
        $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#")
      } ?? bytes.count
    authority = start..<end
  }
}
