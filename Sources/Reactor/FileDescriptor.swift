import Glibc

/// An owned descriptor, closed exactly once.
package struct FileDescriptor: ~Copyable {
  /// The number, for system calls; nobody else closes it.
  package let raw: CInt

  /// Takes over the descriptor `raw`.
  package init(adopting raw: CInt) { self.raw = raw }

  // `close` is never repeated after EINTR: Linux has closed it by then.
  deinit { _ = close(raw) }
}
