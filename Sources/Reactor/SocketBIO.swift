import COpenSSL
import Glibc

/// OpenSSL's way to a `Socket`: its reads go through the socket's own, so that what the socket
/// knows, that it is empty, saves OpenSSL's asking the kernel in vain, and its writes through a
/// `SealedOutput`, which takes them all.
enum SocketBIO {
  /// The methods, made once for the process; nil where OpenSSL has no memory, and then no session
  /// can be made.
  @safe private struct Methods: @unchecked Sendable {
    // Written once, before anybody reads it, and never freed.
    let pointer: OpaquePointer?
  }

  private static let methods: Methods = {
    let type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
    guard let methods = unsafe BIO_meth_new(type, "tollgate socket") else {
      return unsafe Methods(pointer: nil)
    }
    unsafe BIO_meth_set_read(methods) { bio, bytes, count in
      guard let bio = unsafe bio, let bytes = unsafe bytes, count > 0,
        let socket = unsafe SocketBIO.output(of: bio)?.socket
      else { return -1 }
      unsafe BIO_clear_flags(bio, SocketBIO.retryFlags)
      let target = unsafe UnsafeMutableRawBufferPointer(start: bytes, count: Int(count))
      switch unsafe socket.receive(into: target) {
      case .bytes(let moved): return CInt(moved)
      case .wouldBlock:
        unsafe BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        return -1
      case .ended:
        unsafe BIO_set_flags(bio, BIO_FLAGS_IN_EOF)
        return 0
      case .failed: return -1
      }
    }
    unsafe BIO_meth_set_write(methods) { bio, bytes, count in
      guard let bio = unsafe bio, let bytes = unsafe bytes, count > 0,
        let output = unsafe SocketBIO.output(of: bio)
      else { return -1 }
      unsafe BIO_clear_flags(bio, SocketBIO.retryFlags)
      let source = unsafe UnsafeRawBufferPointer(start: bytes, count: Int(count))
      return unsafe output.take(source) == nil ? count : -1
    }
    unsafe BIO_meth_set_ctrl(methods) { bio, command, _, _ in
      switch command {
      case BIO_CTRL_FLUSH, BIO_CTRL_DUP: return 1
      // The socket's end is told by its flag (BIO_eof).
      case BIO_CTRL_EOF: return unsafe BIO_test_flags(bio, BIO_FLAGS_IN_EOF) == 0 ? 0 : 1
      default: return 0
      }
    }
    return unsafe Methods(pointer: methods)
  }()

  private static let retryFlags =
    BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY

  /// A BIO over the output and its socket, which must outlive it: the session that is given it
  /// holds them.
  static func make(over output: SealedOutput) -> OpaquePointer? {
    guard let methods = unsafe methods.pointer, let bio = unsafe BIO_new(methods) else {
      return nil
    }
    unsafe BIO_set_data(bio, Unmanaged.passUnretained(output).toOpaque())
    unsafe BIO_set_init(bio, 1)
    return unsafe bio
  }

  private static func output(of bio: OpaquePointer) -> SealedOutput? {
    unsafe BIO_get_data(bio).map {
      unsafe Unmanaged<SealedOutput>.fromOpaque($0).takeUnretainedValue()
    }
  }
}
