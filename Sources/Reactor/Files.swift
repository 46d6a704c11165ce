import CLinux
import Glibc

/// Files, read whole or appended to. Blocking: for the start and for threads that may wait.
package enum Files {
  /// Reads a regular file, pipe or device to its end.
  ///
  /// - Throws: the kernel's refusal; `EFBIG` when there is more than `bytesMax`.
  package static func read(_ path: String, bytesMax: Int) throws(SystemError) -> [UInt8] {
    let file = FileDescriptor(
      adopting: try SystemError.check("open") { unsafe clinux_open_reading(path) })
    let raw = file.raw
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = try SystemError.check("read") {
        CInt(unsafe Glibc.read(raw, &chunk, chunk.count))
      }
      if count == 0 { return bytes }
      bytes.append(contentsOf: chunk[..<Int(count)])
      if bytes.count > bytesMax { throw SystemError(call: "read", code: EFBIG) }
    }
  }

  /// The names of what is in a folder, but for `.` and `..`, in any order.
  ///
  /// - Throws: the kernel's refusal.
  package static func list(_ folder: String) throws(SystemError) -> [String] {
    guard let stream = unsafe opendir(folder) else {
      throw SystemError(call: "opendir", code: errno)
    }
    defer { _ = unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names
  }

  /// What tells whether a file has become another one: device, number, size and time of change, of
  /// what a symbolic link leads to. Nil where there is none.
  package struct Fingerprint: Hashable, Sendable {
    fileprivate let parts: [Int64]

    /// What of it stays the same while a file is written: its device and number.
    package var identity: [Int64] { Array(parts.prefix(2)) }

    /// Its length in bytes.
    package var byteCount: Int64 { parts[2] }
  }

  package static func fingerprint(_ path: String) -> Fingerprint? {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    return Fingerprint(parts: [
      Int64(truncatingIfNeeded: status.st_dev), Int64(truncatingIfNeeded: status.st_ino),
      Int64(status.st_size), Int64(status.st_mtim.tv_sec), Int64(status.st_mtim.tv_nsec),
      Int64(status.st_ctim.tv_sec), Int64(status.st_ctim.tv_nsec),
    ])
  }

  /// Whether there is a regular file, one that a read does not wait for.
  package static func isRegular(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// Whether there is a folder, or a link to one.
  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Opens a file to append to, making it where there is none (mode 0640).
  package static func openAppending(_ path: String) throws(SystemError) -> FileDescriptor {
    FileDescriptor(
      adopting: try SystemError.check("open") { unsafe clinux_open_appending(path) })
  }

  /// Writes all of `bytes`, waiting as long as it takes.
  ///
  /// - Throws: the kernel's refusal (ENOSPC, EIO, EPIPE…); some bytes may have been written.
  package static func write(_ bytes: [UInt8], to raw: CInt) throws(SystemError) {
    var offset = 0
    while offset < bytes.count {
      let rest = offset
      let count = try SystemError.check("write") {
        unsafe bytes.withUnsafeBytes {
          CInt(
            clamping: unsafe Glibc.write(raw, $0.baseAddress?.advanced(by: rest), $0.count - rest))
        }
      }
      offset += Int(count)
    }
  }
}
