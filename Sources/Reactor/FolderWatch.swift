import CLinux
import Glibc

/// Files that the kernel tells of (inotify(7)), by the folders that they are in: a file that is
/// written to its end, replaced, removed or made again, a symbolic link on its way that leads
/// elsewhere, and its folder put in another's place.
///
/// It tells that something was done and not what has become of it, and not of everything: nothing
/// is heard of a file that is mounted alone and written outside, of many network mounts, or of a
/// folder further up than the one above a file's own. Who must know looks now and then as well.
/// One thread uses it.
package final class FolderWatch {
  /// What of a folder matters.
  private struct Interest {
    var names: Set<String> = []
    /// Whatever comes into it and goes out of it does.
    var isListed = false
  }

  private let descriptor: FileDescriptor
  private var interests: [CInt: Interest] = [:]
  private var buffer = [UInt8](repeating: 0, count: 16 << 10)

  /// Symbolic links on one way, as many as the kernel would follow.
  private static let linksMax = 40

  /// - Throws: the kernel's refusal: this user may have no more of them (EMFILE).
  package init() throws(SystemError) {
    descriptor = FileDescriptor(
      adopting: try SystemError.check("inotify_init1") { clinux_inotify() })
  }

  /// Has this process sent `Signals.Signal.foldersTouched` whenever something happens. It must be
  /// blocked then: it ends a process that does not take it.
  package func ring() throws(SystemError) {
    let raw = descriptor.raw
    _ = try SystemError.check("fcntl") { clinux_signal_of_reading(raw) }
  }

  /// Watches these files and folders from now on, and no others. To be called again once something
  /// has happened: a folder may be another one now.
  package func watch(_ paths: Set<String>) {
    var next: [CInt: Interest] = [:]
    for path in paths {
      let places = Self.places(of: path)
      for (folder, name) in places {
        guard let watch = add(folder) else { continue }
        next[watch, default: Interest()].names.insert(name)
      }
      // A folder whose files are looked through.
      if let watch = add(path) { next[watch, default: Interest()].isListed = true }
    }
    for watch in interests.keys where next[watch] == nil {
      _ = clinux_inotify_remove(descriptor.raw, watch)
    }
    interests = next
  }

  /// Takes what has happened since the last call.
  ///
  /// - Returns: whether any of it may concern what is watched.
  package func takeEvents() -> Bool {
    let raw = descriptor.raw
    var isTouched = false
    while true {
      let count = unsafe read(raw, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count <= 0 { return isTouched }
      var offset = 0
      // A head of four numbers: watch, mask, cookie, length of the name with its padding.
      while offset + 16 <= count {
        let numbers = (0..<4).map { number($0, at: offset) }
        let end = min(offset + 16 + Int(numbers[3]), count)
        let name = buffer[offset + 16..<end].prefix { $0 != 0 }
        if matters(CInt(bitPattern: numbers[0]), mask: numbers[1], name) { isTouched = true }
        offset = end
      }
    }
  }

  private func number(_ index: Int, at offset: Int) -> UInt32 {
    unsafe buffer.withUnsafeBytes {
      unsafe $0.loadUnaligned(fromByteOffset: offset + index * 4, as: UInt32.self)
    }
  }

  private func matters(_ watch: CInt, mask: UInt32, _ name: ArraySlice<UInt8>) -> Bool {
    // Of a queue that was full nobody knows what is missing.
    guard watch >= 0 else { return true }
    guard let interest = interests[watch] else { return false }
    if clinux_is_of_folder(mask) != 0 { return true }
    if interest.isListed, clinux_is_of_listing(mask) != 0 { return true }
    return interest.names.contains(String(decoding: name, as: UTF8.self))
  }

  /// Nil where there is no such folder, or no more can be watched.
  private func add(_ folder: String) -> CInt? {
    let watch = unsafe clinux_inotify_add(descriptor.raw, folder)
    return watch < 0 ? nil : watch
  }

  /// Where something may happen that puts another file at `path`: each symbolic link on the way,
  /// the file in its folder, and that folder in the one above. The way is followed as the kernel
  /// follows it.
  static func places(of path: String) -> [(folder: String, name: String)] {
    var folder = path.utf8.first == UInt8(ascii: "/") ? "/" : "."
    var rest = steps(path)
    var places: [(folder: String, name: String)] = []
    /// Steps that are no links.
    var plain: [(folder: String, name: String)] = []
    var links = 0
    while let name = rest.popLast() {
      let next = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
      guard name != "..", let target = link(at: next) else {
        if name != ".." { plain.append((folder, name)) }
        folder = next
        continue
      }
      links += 1
      if links > linksMax { break }
      places.append((folder, name))
      if target.utf8.first == UInt8(ascii: "/") { folder = "/" }
      rest += steps(target)
    }
    return places + plain.suffix(2)
  }

  /// A path's steps, the first one last.
  private static func steps(_ path: String) -> [String] {
    path.split(separator: "/").map(String.init).filter { $0 != "." }.reversed()
  }

  /// Where the symbolic link leads that is there; nil where none is.
  private static func link(at path: String) -> String? {
    var target = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlink(path, &target, target.count)
    if count < 0 { return nil }
    return String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
