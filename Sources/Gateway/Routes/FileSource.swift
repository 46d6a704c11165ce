import Crypto
import Reactor

/// Where files come from: the disk, or a test's memory.
package protocol FileSource {
  /// The whole file.
  func read(_ path: String, bytesMax: Int) throws(FileFault) -> [UInt8]
  /// The names of what is in a folder, in any order.
  func list(_ folder: String) throws(FileFault) -> [String]
}

extension FileSource {
  package func list(_ folder: String) throws(FileFault) -> [String] {
    throw FileFault("no such file or directory (ENOENT)")
  }
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

  package func list(_ folder: String) throws(FileFault) -> [String] {
    do {
      return try Files.list(folder)
    } catch {
      throw FileFault(SystemError.text(of: error.code))
    }
  }
}

/// The files of this machine, remembering what the routes file held, so that it can be read again
/// as it was when only what it names has changed, and which others it names.
package final class RecordedFiles: FileSource {
  private let path: String
  /// What the routes file holds, once it was read.
  package private(set) var routes: [UInt8]?
  /// The other files, read or found unreadable, and the folders that were looked through.
  package private(set) var named: Set<String> = []
  /// The digest of each that was read: what lies there afterwards may be another already.
  package private(set) var digests: [String: [UInt8]] = [:]

  /// - Parameters:
  ///   - path: the routes file's.
  ///   - routes: its content, in place of what lies on the disk.
  package init(routesAt path: String, holding routes: [UInt8]? = nil) {
    self.path = path
    self.routes = routes
  }

  package func read(_ path: String, bytesMax: Int) throws(FileFault) -> [UInt8] {
    guard path == self.path else {
      named.insert(path)
      let bytes = try DiskFiles().read(path, bytesMax: bytesMax)
      digests[path] = try? Digests.sha256(bytes.span)
      return bytes
    }
    if let routes { return routes }
    let bytes = try DiskFiles().read(path, bytesMax: bytesMax)
    routes = bytes
    digests[path] = try? Digests.sha256(bytes.span)
    return bytes
  }

  package func list(_ folder: String) throws(FileFault) -> [String] {
    named.insert(folder)
    return try DiskFiles().list(folder)
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
