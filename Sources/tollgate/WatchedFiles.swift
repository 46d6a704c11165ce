import Crypto
import Reactor

/// Files that are looked at when the kernel tells of them, and now and then: whether one has become
/// another.
///
/// A look opens every path anew, so it sees what is renamed into its place, what a symbolic link
/// leads to now (a folder's, too: a ConfigMap's), and a single file that is mounted into a
/// container, where no event of its folder tells of a change. Most looks ask the file system for
/// number, size and time; every few seconds one reads the files, as some times tell nothing.
struct WatchedFiles {
  /// Nil where this user may have no more of them: looks alone must do.
  private let folders: FolderWatch?
  private var paths: Set<String> = []
  private var fingerprints: [String: Files.Fingerprint?] = [:]
  private var digests: [String: [UInt8]] = [:]
  private var looks = 0

  /// A look in so many reads the files.
  private static let looksADigest = 3
  /// What is larger is known by number, size and time alone.
  private static let digestBytesMax = 1 << 20

  /// Watches nothing yet. From now on `Signals.Signal.foldersTouched` comes.
  init() {
    folders = try? FolderWatch()
    try? folders?.ring()
  }

  /// Watches these from now on. Of those that it has watched, what changed since the last look is
  /// still to be seen.
  ///
  /// - Parameter read: the digests of those that were read already: what has changed since then is
  ///   seen by a look that reads them.
  mutating func watch(_ paths: Set<String>, read: [String: [UInt8]]) {
    self.paths = paths
    fingerprints = fingerprints.filter { paths.contains($0.key) }
    digests = digests.filter { paths.contains($0.key) }
    // Before they are looked at: what happens in between is seen twice and not never.
    folders?.watch(paths)
    for path in paths where fingerprints[path] == nil {
      fingerprints[path] = .some(Files.fingerprint(path))
      let digest = Self.digest(path)
      // Where there is none no look makes one either.
      digests[path] = digest.map { read[path] ?? $0 }
    }
  }

  /// Takes what the kernel has told since the last call.
  ///
  /// - Returns: whether it may concern a file that is watched.
  func takeTouches() -> Bool { folders?.takeEvents() ?? false }

  /// - Parameter thoroughly: reads the files, whichever look this is.
  /// - Returns: those that have changed since the last look, in order.
  mutating func changed(thoroughly: Bool = false) -> [String] {
    looks += 1
    let reads = thoroughly || looks % Self.looksADigest == 0
    // A folder may be another one now.
    if reads { folders?.watch(paths) }
    var changed: [String] = []
    for path in paths {
      let fingerprint = Files.fingerprint(path)
      let isOther = fingerprints[path] != .some(fingerprint)
      guard isOther || reads else { continue }
      let digest = Self.digest(path)
      if isOther || digests[path] != digest { changed.append(path) }
      fingerprints[path] = .some(fingerprint)
      digests[path] = digest
    }
    return changed.sorted()
  }

  /// Nil for what is no regular file, or large, or not readable.
  private static func digest(_ path: String) -> [UInt8]? {
    guard Files.isRegular(path), let bytes = try? Files.read(path, bytesMax: digestBytesMax)
    else { return nil }
    return try? Digests.sha256(bytes.span)
  }
}
