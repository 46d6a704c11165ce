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

/// Paths as text.
enum FilePath {
  /// A path that stands in `file`: relative to that file's folder, unless it begins with `/`.
  static func resolve(_ path: String, namedIn file: String) -> String {
    guard path.utf8.first != UInt8(ascii: "/"), let slash = file.lastIndex(of: "/")
    else { return path }
    return file[...slash] + path
  }
}
