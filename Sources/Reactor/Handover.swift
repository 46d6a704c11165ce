import CLinux
import Glibc

/// The channel between a process and the one that takes over from it: lines of text, and keys that
/// never are text. Each end is used by one thread.
package final class HandoverChannel {
  private let descriptor: FileDescriptor
  private var line: [UInt8] = []

  /// The environment variable that tells a process which of its descriptors is its end. It names a
  /// number and nothing else.
  package static let variable = "TOLLGATE_HANDOVER"
  private static let lineBytesMax = 8 << 10

  package init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

  package var raw: CInt { descriptor.raw }

  /// The end that this process was started with; nil where it was started by nobody of its kind.
  ///
  /// - Throws: `EBADF` when the variable names no descriptor.
  package static func inherited() throws(SystemError) -> HandoverChannel? {
    guard let text = Surroundings.variable(variable) else { return nil }
    _ = unsafe unsetenv(variable)
    guard let raw = CInt(text), raw > 2, clinux_close_on_exec(raw) == 0 else {
      throw SystemError(call: "\(variable)=\(text)", code: EBADF)
    }
    return HandoverChannel(FileDescriptor(adopting: raw))
  }

  /// Sends a line.
  ///
  /// - Throws: `EPIPE` when nobody is there.
  package func send(_ text: String) throws(SystemError) {
    let bytes = Array("\(text)\n".utf8)
    let span = bytes.span
    try unsafe span.withUnsafeBytes { bytes throws(SystemError) in try unsafe send(bytes) }
  }

  /// Takes the next line, waiting at most so long for it.
  ///
  /// - Returns: nil when it did not come in time.
  /// - Throws: `EPIPE` when nobody is there any more, `EMSGSIZE` when it does not end.
  package func receive(withinMs milliseconds: Int64) throws(SystemError) -> String? {
    let untilMs = Clock.monotonicNs() / 1_000_000 + milliseconds
    while true {
      let leftMs = max(0, untilMs - Clock.monotonicNs() / 1_000_000)
      let (raw, wait) = (raw, CInt(clamping: leftMs))
      if try SystemError.check("poll", { clinux_await_reading(raw, wait) }) == 0 { return nil }
      // A byte at a time: what follows the line is not always text.
      var byte: UInt8 = 0
      let count = try Self.transfer("recv") { unsafe recv(raw, &byte, 1, 0) }
      if count == 0 { throw SystemError(call: "recv", code: EPIPE) }
      if byte == UInt8(ascii: "\n") {
        defer { line = [] }
        return String(decoding: line, as: UTF8.self)
      }
      line.append(byte)
      if line.count > Self.lineBytesMax { throw SystemError(call: "recv", code: EMSGSIZE) }
    }
  }

  /// Sends memory that is to leave no copy behind.
  func send(_ source: UnsafeRawBufferPointer) throws(SystemError) {
    var offset = 0
    while offset < source.count {
      let start = offset
      // SIGPIPE is ignored.
      offset += try Self.transfer("send") {
        unsafe Glibc.send(raw, source.baseAddress?.advanced(by: start), source.count - start, 0)
      }
    }
  }

  /// Fills memory; waits for the sender, who sends it in one go.
  func receive(into target: UnsafeMutableRawBufferPointer) throws(SystemError) {
    var offset = 0
    while offset < target.count {
      let start = offset
      let count = try Self.transfer("recv") {
        unsafe recv(raw, target.baseAddress?.advanced(by: start), target.count - start, 0)
      }
      if count == 0 { throw SystemError(call: "recv", code: EPIPE) }
      offset += count
    }
  }

  private static func transfer(_ call: String, _ body: () -> Int) throws(SystemError) -> Int {
    while true {
      let count = body()
      if count >= 0 { return count }
      let code = errno
      if code != EINTR { throw SystemError(call: call, code: code) }
    }
  }
}

/// A process that is started to take over from this one. One thread uses it.
package final class Successor {
  package let process: CInt
  /// Its number may be another's once it has been taken note of.
  private var hasEnded = false

  private init(process: CInt) { self.process = process }

  /// Starts the program that this process was started as, with the same arguments and environment:
  /// by its name, so that what has been put in its place is what runs.
  ///
  /// - Parameters:
  ///   - sockets: descriptors that it inherits under their numbers; no other is, but the standard
  ///     ones and its end of the channel.
  ///   - arguments: the program's name first.
  /// - Throws: the kernel's refusal: ENOENT, EACCES, ENOEXEC, EAGAIN…
  package static func start(
    _ arguments: [String], inheriting sockets: [CInt]
  ) throws(SystemError) -> (Successor, HandoverChannel) {
    guard let program = arguments.first else { throw SystemError(call: "exec", code: ENOENT) }
    var ends: [CInt] = [-1, -1]
    _ = try SystemError.check("socketpair") { unsafe clinux_socket_pair(&ends) }
    let channel = HandoverChannel(FileDescriptor(adopting: ends[0]))
    let other = FileDescriptor(adopting: ends[1])
    // One that does not read what it is told is not waited for.
    _ = clinux_set_send_timeout(channel.raw, 5)

    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    for raw in sockets + [other.raw] {
      // Onto itself: the copy stays open in the new program (posix_spawn_file_actions_adddup2(3)).
      unsafe posix_spawn_file_actions_adddup2(&actions, raw, raw)
    }
    let variables = environment().filter { !$0.hasPrefix("\(HandoverChannel.variable)=") }
    var process: pid_t = 0
    let code = unsafe withTexts(arguments) { arguments in
      unsafe withTexts(variables + ["\(HandoverChannel.variable)=\(other.raw)"]) { variables in
        unsafe posix_spawnp(&process, program, &actions, nil, arguments, variables)
      }
    }
    guard code == 0 else { throw SystemError(call: "exec \(program)", code: code) }
    return (Successor(process: process), channel)
  }

  /// How it ended; nil while it runs.
  package func ending() -> String? {
    var status: CInt = 0
    guard !hasEnded else { return "it has ended" }
    guard unsafe waitpid(process, &status, WNOHANG) == process else { return nil }
    hasEnded = true
    let signal = status & 0x7f
    return signal == 0 ? "it ended with status \(status >> 8 & 0xff)" : "signal \(signal) ended it"
  }

  /// Ends it at once.
  package func end() {
    if hasEnded { return }
    hasEnded = true
    _ = kill(process, SIGKILL)
    var status: CInt = 0
    while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
  }

  private static func environment() -> [String] {
    var texts: [String] = []
    var next = unsafe environ
    while let text = unsafe next.pointee {
      unsafe texts.append(String(cString: text))
      unsafe next += 1
    }
    return texts
  }

  /// Calls `body` with a list of C strings, ended by a null pointer.
  private static func withTexts(
    _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> CInt
  ) -> CInt {
    var copies = unsafe texts.map { unsafe strdup($0) } + [nil]
    defer { unsafe copies.forEach { unsafe free($0) } }
    return unsafe copies.withUnsafeMutableBufferPointer { list in
      guard let start = list.baseAddress else { return EINVAL }
      return unsafe body(UnsafePointer(start))
    }
  }
}
