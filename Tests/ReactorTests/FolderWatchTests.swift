import Glibc
import Testing

@testable import Reactor

/// What the kernel tells is there when the call that did it returns: nothing here waits.
final class FolderWatchTests {
  private let folder: TemporaryFolder
  private let watch: FolderWatch

  init() throws {
    folder = try TemporaryFolder(in: "/tmp", name: "folder-watch-tests")
    watch = try FolderWatch()
  }

  deinit { Self.empty(folder.path) }

  private static func empty(_ folder: String) {
    for name in (try? Files.list(folder)) ?? [] {
      let path = "\(folder)/\(name)"
      if unsafe unlink(path) == 0 { continue }
      empty(path)
      _ = unsafe rmdir(path)
    }
  }

  private func put(_ text: String, at name: String) throws {
    try folder.write(Array(text.utf8), to: name)
  }

  private func makeFolder(_ name: String) {
    let isMade = unsafe mkdir(folder.file(name), 0o700) == 0
    #expect(isMade)
  }

  private func link(_ name: String, to target: String) {
    let isMade = unsafe symlink(target, folder.file(name)) == 0
    #expect(isMade)
  }

  private func move(_ name: String, to other: String) {
    let isMoved = unsafe rename(folder.file(name), folder.file(other)) == 0
    #expect(isMoved)
  }

  /// Whether what `body` does is told of, after what was before and watched by a new look.
  private func isTold(of paths: [String], _ body: () throws -> Void) rethrows -> Bool {
    watch.watch(Set(paths.map { folder.file($0) }))
    _ = watch.takeEvents()
    try body()
    return watch.takeEvents()
  }

  @Test func `tells of a file that is written, replaced, removed and made again`() throws {
    try put("one", at: "file")
    #expect(try isTold(of: ["file"]) { try put("two", at: "file") })
    try put("three", at: "beside")
    #expect(isTold(of: ["file"]) { move("beside", to: "file") })
    #expect(isTold(of: ["file"]) { _ = unsafe unlink(folder.file("file")) })
    #expect(try isTold(of: ["file"]) { try put("four", at: "file") })
    #expect(isTold(of: ["file"]) { _ = unsafe chmod(folder.file("file"), 0o600) })
    #expect(!watch.takeEvents())
  }

  @Test func `tells of nothing else in the folder`() throws {
    try put("one", at: "file")
    let isAnother = try isTold(of: ["file"]) {
      try put("log", at: "another")
      move("another", to: "yet-another")
      _ = try Files.read(folder.file("file"), bytesMax: 100)
    }
    #expect(!isAnother)
  }

  @Test func `tells of what many changes overflow`() throws {
    try put("one", at: "file")
    let (one, other) = (folder.file("a"), folder.file("b"))
    try put("x", at: "a")
    // More than fs.inotify.max_queued_events, in turn, so that none is left out as the same again.
    let isTold = isTold(of: ["file"]) {
      for _ in 0..<5_000 {
        _ = unsafe rename(one, other)
        _ = unsafe rename(other, one)
      }
    }
    let text = try Files.read("/proc/sys/fs/inotify/max_queued_events", bytesMax: 100)
    let most = Int(String(decoding: text.dropLast(), as: UTF8.self)) ?? .max
    #expect(isTold == (most < 20_000))
  }

  @Test func `tells of a link on the way that leads elsewhere`() throws {
    // Kubernetes: routes.json -> ..data/routes.json, ..data -> a folder that is replaced.
    for name in ["..one", "..two"] {
      makeFolder(name)
      try put(name, at: "\(name)/routes.json")
    }
    link("..data", to: "..one")
    link("routes.json", to: "..data/routes.json")
    link("..data_tmp", to: "..two")
    #expect(isTold(of: ["routes.json"]) { move("..data_tmp", to: "..data") })
    // In place, where the links lead now and no longer where they led.
    #expect(try isTold(of: ["routes.json"]) { try put("x", at: "..two/routes.json") })
    #expect(try !isTold(of: ["routes.json"]) { try put("x", at: "..one/routes.json") })
    // And the link of the file itself.
    try put("plain", at: "plain")
    #expect(isTold(of: ["routes.json"]) { move("plain", to: "routes.json") })
  }

  @Test func `tells of a folder that another takes the place of`() throws {
    for name in ["folder", "other"] {
      makeFolder(name)
      try put(name, at: "\(name)/file")
    }
    #expect(isTold(of: ["folder/file"]) { move("folder", to: "old") })
    // Nothing is there: what comes is told of.
    #expect(isTold(of: ["folder/file"]) { move("other", to: "folder") })
    #expect(try isTold(of: ["folder/file"]) { try put("more", at: "folder/file") })
    #expect(try !isTold(of: ["folder/file"]) { try put("more", at: "old/file") })
  }

  @Test func `tells of what comes into a folder that is looked through`() throws {
    makeFolder("routes.d")
    #expect(try isTold(of: ["routes.d"]) { try put("{}", at: "routes.d/one.json") })
    #expect(isTold(of: ["routes.d"]) { _ = unsafe unlink(folder.file("routes.d/one.json")) })
  }

  @Test func `follows the way as the kernel does`() {
    makeFolder("deep")
    makeFolder("deep/er")
    link("deep/er/up", to: "../../top")
    link("round", to: "round")
    let top = folder.path
    let names = { (path: String) in
      Set(FolderWatch.places(of: path).map { "\($0.folder)|\($0.name)" })
    }
    #expect(
      names("\(top)/deep/er/up/file") == [
        "\(top)/deep/er|up", "\(top)/deep/er/../..|top", "\(top)/deep/er/../../top|file",
      ])
    #expect(names("file") == [".|file"])
    #expect(names("folder/file") == [".|folder", "./folder|file"])
    #expect(names("/file") == ["/|file"])
    #expect(names("").isEmpty && names("/").isEmpty)
    // A link that leads to itself leads nowhere, and has an end.
    let name = top.dropFirst("/tmp/".count)
    #expect(names("\(top)/round") == ["\(top)|round", "/tmp|\(name)", "/|tmp"])
  }
}
