import Glibc

/// What the kernel refused: the call and its `errno`.
package struct SystemError: Error, Equatable, CustomStringConvertible {
  /// The call, as its manual page names it.
  package let call: String
  /// The `errno` it left.
  package let code: CInt

  package init(call: String, code: CInt) {
    self.call = call
    self.code = code
  }

  /// A call that took too long.
  package static func timedOut(_ call: String) -> SystemError {
    SystemError(call: call, code: ETIMEDOUT)
  }

  package var description: String { "\(call): \(Self.text(of: code))" }

  /// The sentence and the symbol of an `errno`: "address already in use (EADDRINUSE)".
  package static func text(of code: CInt) -> String {
    var sentence = unsafe String(cString: strerror(code))
    if let first = sentence.first {
      sentence = first.lowercased() + sentence.dropFirst()
    }
    guard let symbol = symbols[code] else { return "\(sentence) (errno \(code))" }
    return "\(sentence) (\(symbol))"
  }

  /// Runs a call again when a signal cut it short (never `close`), and turns -1 into an error.
  package static func check(
    _ call: @autoclosure () -> String, _ body: () -> CInt
  ) throws(SystemError) -> CInt {
    while true {
      let result = body()
      if result >= 0 { return result }
      let code = errno
      if code != EINTR { throw SystemError(call: call(), code: code) }
    }
  }

  private static let symbols: [CInt: String] = [
    EACCES: "EACCES", EADDRINUSE: "EADDRINUSE", EADDRNOTAVAIL: "EADDRNOTAVAIL",
    ECONNREFUSED: "ECONNREFUSED", ECONNRESET: "ECONNRESET", EEXIST: "EEXIST",
    EHOSTUNREACH: "EHOSTUNREACH", EINVAL: "EINVAL", EIO: "EIO", EISDIR: "EISDIR",
    EMFILE: "EMFILE", ENETUNREACH: "ENETUNREACH", ENFILE: "ENFILE", ENOENT: "ENOENT",
    ENOMEM: "ENOMEM", ENOSPC: "ENOSPC", ENOTDIR: "ENOTDIR", EPERM: "EPERM", EPIPE: "EPIPE",
    ETIMEDOUT: "ETIMEDOUT", EAGAIN: "EAGAIN", ECONNABORTED: "ECONNABORTED", EPROTO: "EPROTO",
    ENOBUFS: "ENOBUFS", ENETDOWN: "ENETDOWN", EBADF: "EBADF", ENOTSOCK: "ENOTSOCK",
    ENOEXEC: "ENOEXEC",
  ]
}
