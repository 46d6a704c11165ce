import CLinux
import Glibc
import Synchronization

/// The file of a unix socket that this process listens at.
///
/// It stays behind when a process ends without ceremony, and then keeps the next one from binding.
/// So one that nobody answers at is replaced; and one that is not what this process made is left
/// alone, also at the end.
package final class SocketFile: Sendable {
  package let path: String
  /// Which file it is; nil once it is not this process's business any more.
  private let identity: Mutex<Identity?>

  private struct Identity: Equatable {
    let device: dev_t
    let inode: ino_t
  }

  /// How a path is spoken to the kernel: in at most 107 bytes (unix(7)).
  package static let pathBytesMax = 107

  private init(_ path: String, _ identity: Identity?) {
    self.path = path
    self.identity = Mutex(identity)
  }

  /// Makes the file and listens there.
  ///
  /// - Parameter mode: who may connect, as of any file: those who may write.
  /// - Throws: the kernel's refusal, EADDRINUSE where somebody answers or the file is no socket.
  package static func bind(
    at path: String, mode: UInt32
  ) throws(SystemError) -> (ListeningSocket.Bound, SocketFile) {
    let descriptor = FileDescriptor(
      adopting: try SystemError.check("socket") { clinux_stream_socket(AF_UNIX) })
    let raw = descriptor.raw
    // The file is made with no more than this mode, so nobody slips in before `chmod`.
    _ = try SystemError.check("chmod \(path)") { fchmod(raw, mode) }
    do throws(SystemError) {
      try bind(raw, path)
    } catch let error where error.code == EADDRINUSE {
      try removeStale(path)
      try bind(raw, path)
    }
    let file = SocketFile(path, identity(of: path))
    do throws(SystemError) {
      try file.setMode(mode)
      let bound = try ListeningSocket.listening(raw, at: .unix(path), isShared: true)
      return (bound, file)
    } catch {
      file.remove()
      throw error
    }
  }

  /// The file of a socket that another process made and has handed over.
  package static func taken(_ path: String) -> SocketFile { SocketFile(path, identity(of: path)) }

  private static func bind(_ raw: CInt, _ path: String) throws(SystemError) {
    _ = try SystemError.check("listen unix:\(path)") {
      unsafe path.withCString { unsafe clinux_bind_unix(raw, $0) }
    }
  }

  /// Removes what a process that is gone has left.
  private static func removeStale(_ path: String) throws(SystemError) {
    func inUse(_ why: String) -> SystemError {
      SystemError(call: "listen unix:\(path): \(why)", code: EADDRINUSE)
    }
    guard let found = identity(of: path) else { throw inUse("the file is no socket") }
    let descriptor = FileDescriptor(
      adopting: try SystemError.check("socket") { clinux_stream_socket(AF_UNIX) })
    let raw = descriptor.raw
    let result = unsafe path.withCString { unsafe clinux_connect_unix(raw, $0) }
    // EAGAIN: somebody is behind with accepting. EACCES: nobody's business.
    guard result < 0, errno == ECONNREFUSED else { throw inUse("somebody answers there") }
    // Another process may have been as quick.
    guard identity(of: path) == found else { throw inUse("somebody else has just bound it") }
    _ = unsafe unlink(path)
  }

  /// Of a socket's file, and of no other.
  private static func identity(of path: String) -> Identity? {
    var status = stat()
    guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
    return Identity(device: status.st_dev, inode: status.st_ino)
  }

  /// Sets who may connect.
  package func setMode(_ mode: UInt32) throws(SystemError) {
    _ = try SystemError.check("chmod \(path)") { unsafe chmod(path, mode) }
  }

  /// Leaves the file to another process that listens there by the same socket.
  package func leave() { identity.withLock { $0 = nil } }

  /// Removes the file, where it is still the one that was made.
  package func remove() {
    identity.withLock { identity in
      if let identity, Self.identity(of: path) == identity { _ = unsafe unlink(path) }
      identity = nil
    }
  }
}
