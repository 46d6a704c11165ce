import COpenSSL

/// OpenSSL's list of errors. It is the thread's and not a connection's: what one call leaves there,
/// the next call's `SSL_get_error` takes for its own, and a forged token kills the good connection
/// beside it. So every function of this module runs inside `clean`, which nothing may suspend.
enum ErrorQueue {
  /// Runs `body` between two empty queues.
  static func clean<Value: ~Copyable, Fault: Error>(
    _ body: () throws(Fault) -> Value
  ) throws(Fault) -> Value {
    ERR_clear_error()
    defer { ERR_clear_error() }
    return try body()
  }

  /// How many errors wait: for tests, which assert that none is ever left.
  package static var isEmpty: Bool { ERR_peek_error() == 0 }
}
