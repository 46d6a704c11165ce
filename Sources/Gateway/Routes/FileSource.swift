import Reactor

/// Where files come from: the disk, or a test's memory.
package protocol FileSource {
  /// The whole file.
  func read(_ path: String, bytesMax: Int) throws(FileFault) -> [UInt8]
}

/// Why a file could not be read, for people: "no such file or directory (ENOENT)".
package struct FileFault: Error, Equatable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) {
    self.description = description
  }
}

/// The files of this machine.
package struct DiskFiles: FileSource {
  package init() {}

  package func read(_ path: String, bytesMax: Int) throws(FileFault) -> [UInt8] {
    do {
      return try Files.read(path, bytesMax: bytesMax)
    } catch {
      throw FileFault(SystemError.text(of: error.code))
    }
  }
}

/// The files of this machine, remembering which were read and what the routes file held: so that
/// it can be read again as it was when only what it names has changed.
package final class RecordedFiles: FileSource {
  private let held: [String: [UInt8]]
  /// What was read, or could not be, in this order; the routes file first.
  package private(set) var paths: [String] = []
  package private(set) var contents: [String: [UInt8]] = [:]

  /// - Parameter held: files whose content is known, in place of what lies on the disk.
  package init(holding held: [String: [UInt8]] = [:]) { self.held = held }

  package func read(_ path: String, bytesMax: Int) throws(FileFault) -> [UInt8] {
    paths.append(path)
    let bytes: [UInt8]
    if let known = held[path] {
      bytes = known
    } else {
      bytes = try DiskFiles().read(path, bytesMax: bytesMax)
    }
    contents[path] = bytes
    return bytes
  }
}

/// Paths as text.
enum FilePath {
  /// A path that stands in `file`: relative to that file's folder, unless it begins with `/`.
  static func resolve(_ path: String, namedIn file: String) -> String {
    guard path.utf8.first != UInt8(ascii: "/"), let slash = file.lastIndex(of: "/")
    else { return path }
    return file[...slash] + path
  }
}
