import CLinux
import Glibc

/// Tells the service manager that started this process how it fares: sd_notify(3)'s protocol, lines
/// in one datagram to the socket that NOTIFY_SOCKET names. Without that name nothing is sent.
package struct ServiceManager: Sendable {
  private let socketPath: [UInt8]

  /// The one that the environment names.
  package init() { self.init(socket: Surroundings.variable("NOTIFY_SOCKET") ?? "") }

  /// - Parameter path: of a datagram socket; one that begins with `@` is in Linux' abstract
  ///   namespace. Anything else than that or an absolute path is nobody.
  package init(socket path: String) {
    let bytes = Array(path.utf8)
    switch bytes.first {
    case UInt8(ascii: "/"): socketPath = bytes
    case UInt8(ascii: "@"): socketPath = [0] + bytes.dropFirst()
    default: socketPath = []
    }
  }

  /// The service works, by the configuration that it has last been told to take up.
  package func tellReady(_ status: String) { send("READY=1\nSTATUS=\(Self.line(status))") }

  /// It takes up another configuration; `tellReady` follows, however that goes. The time tells the
  /// manager that this is the answer to the signal it sent, not to an earlier one.
  package func tellReloading() {
    send("RELOADING=1\nMONOTONIC_USEC=\(Clock.monotonicNs() / 1_000)")
  }

  package func tellStopping(_ status: String) { send("STOPPING=1\nSTATUS=\(Self.line(status))") }

  /// Another process is the service from now on.
  package func tellSuccessor(_ process: CInt) { send("MAINPID=\(process)") }

  private static func line(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }

  /// One that is not there, or does not read, is not waited for beyond a second.
  private func send(_ text: String) {
    if socketPath.isEmpty { return }
    let bytes = Array(text.utf8)
    _ = unsafe socketPath.withUnsafeBytes { path in
      unsafe bytes.withUnsafeBytes { bytes in
        unsafe clinux_send_datagram(path.baseAddress, path.count, bytes.baseAddress, bytes.count)
      }
    }
  }
}
