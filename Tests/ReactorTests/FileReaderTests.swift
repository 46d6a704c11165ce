import Glibc
import TestSupport
import Testing

@testable import Reactor

struct FileReaderTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder(in: "/tmp", name: "file-reader-tests") }

  @Test func `brings a file's content, or the kernel's refusal`() async throws {
    try folder.write(Array("content".utf8), to: "file")
    let file = folder.file("file")
    try await Stage.run { stage in
      let reader = FileReader()
      let waiter = stage.makeWaiter()
      let bytes = try await reader.read(
        file, bytesMax: 100, waiter: waiter, untilMs: stage.patience)
      #expect(bytes == Array("content".utf8))
      for (path, bytesMax, code) in [(file, 3, EFBIG), (file + "-none", 100, ENOENT)] {
        do throws(SystemError) {
          _ = try await reader.read(
            path, bytesMax: bytesMax, waiter: waiter, untilMs: stage.patience)
          Issue.record("it was read")
        } catch {
          #expect(error.code == code)
        }
      }
    }
  }

  @Test func `a file that can't be read holds up nobody, and is read anew when it can`()
    async throws
  {
    // Opening a pipe waits for somebody who writes to it.
    let (path, former) = (folder.file("path"), folder.file("former"))
    let made = unsafe mkfifo(path, 0o600)
    let linked = unsafe link(path, former)
    #expect(made == 0 && linked == 0)
    try folder.write(Array("present".utf8), to: "present")
    let present = folder.file("present")
    try await Stage.run { stage in
      let reader = FileReader()
      let waiter = stage.makeWaiter()
      for _ in 0..<3 {
        do throws(SystemError) {
          _ = try await reader.read(
            path, bytesMax: 100, waiter: waiter, untilMs: stage.loop.nowMs + 20)
          Issue.record("it was read")
        } catch {
          #expect(error.code == ETIMEDOUT)
        }
      }
      // By the time that the first reading ends, the path leads to another file.
      let renamed = unsafe rename(present, path)
      #expect(renamed == 0)
      let writer = try WorkerThread.start("writer") {
        do {
          let file = try Files.openAppending(former)
          try Files.write(Array("former".utf8), to: file.raw)
        } catch {
          Issue.record(error)
        }
      }
      let bytes = try await reader.read(
        path, bytesMax: 100, waiter: waiter, untilMs: stage.patience)
      #expect(bytes == Array("present".utf8))
      writer.join()
    }
  }
}
