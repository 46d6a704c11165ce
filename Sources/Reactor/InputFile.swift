import CLinux
import Glibc

/// Bytes that come one piece after another: a file, standard input, or what `gzip` makes of a
/// file. Blocking: for commands, never for a worker.
package struct InputFile: ~Copyable {
  private let file: FileDescriptor?
  /// Of the program whose output it is; 0: none.
  private var program: CInt = 0

  /// Standard input.
  package static func standardInput() -> InputFile { InputFile(file: nil) }

  /// A file as it is, or, where its name ends in `.gz`, unpacked by `gzip`.
  package static func open(_ path: String) throws(SystemError) -> InputFile {
    // Opened in both cases, so that one that isn't there is told in the same words.
    let raw = try SystemError.check("open") { unsafe clinux_open_reading(path) }
    let plain = FileDescriptor(adopting: raw)
    guard path.hasSuffix(".gz") else { return InputFile(file: plain) }
    var pid: CInt = 0
    let output = try SystemError.check("start gzip") {
      unsafe clinux_spawn_reading("gzip", "-dc", "--", path, &pid)
    }
    return InputFile(file: FileDescriptor(adopting: output), program: pid)
  }

  private init(file: consuming FileDescriptor?, program: CInt = 0) {
    self.file = file
    self.program = program
  }

  deinit {
    // It ends by itself when nobody reads what it writes.
    if program > 0 { waitpid(program, nil, WNOHANG) }
  }

  /// Whether it is unpacked while it is read: such a file has an end, and grows no more.
  package var isPacked: Bool { program > 0 }

  /// Reads the next piece.
  ///
  /// - Returns: how many of the buffer's bytes it is; 0 at the end.
  package func read(into buffer: inout [UInt8]) throws(SystemError) -> Int {
    let raw = descriptor
    let count = try SystemError.check("read") {
      CInt(clamping: unsafe Glibc.read(raw, &buffer, buffer.count))
    }
    return Int(count)
  }

  /// Ends the program, if it is one's output.
  ///
  /// - Returns: whether it could read all of its file.
  package mutating func finish() -> Bool {
    guard program > 0 else { return true }
    var status: CInt = 0
    let waited = unsafe waitpid(program, &status, 0)
    program = 0
    return waited > 0 && status == 0
  }

  private var descriptor: CInt {
    switch file {
    case .some(let file): file.raw
    case .none: 0
    }
  }
}
