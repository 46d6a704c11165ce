import Glibc
import Synchronization

/// A folder below the system's temporary one that only this user can look into, with files that go
/// when it goes.
package final class TemporaryFolder: Sendable {
  /// Without a slash at its end.
  package let path: String
  private let names = Mutex<[String]?>([])

  /// - Parameter name: what the folder's name begins with; six random characters follow.
  /// - Throws: the kernel's refusal (ENOENT, EACCES, ENOSPC…).
  package init(in parent: String, name: String) throws(SystemError) {
    var template = Array("\(parent)/\(name).XXXXXX".utf8CString)
    let isMade = unsafe template.withUnsafeMutableBufferPointer { buffer in
      guard let start = buffer.baseAddress else { return false }
      return unsafe mkdtemp(start) != nil
    }
    guard isMade else { throw SystemError(call: "mkdtemp \(parent)", code: errno) }
    path = String(
      decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { remove() }

  /// The path of a file in the folder that somebody else makes; it goes with the folder.
  package func file(_ name: String) -> String {
    names.withLock { if $0?.contains(name) == false { $0?.append(name) } }
    return "\(path)/\(name)"
  }

  /// Makes a file.
  package func write(_ bytes: [UInt8], to name: String) throws(SystemError) {
    let file = try Files.openAppending(file(name))
    try Files.write(bytes, to: file.raw)
  }

  /// Removes the files and the folder. What does not go stays: nobody could do better.
  package func remove() {
    let taken = names.withLock { names in
      defer { names = nil }
      return names
    }
    guard let taken else { return }
    for name in taken { _ = unsafe unlink("\(path)/\(name)") }
    _ = unsafe rmdir(path)
  }
}
