/// A connection's bytes, in the clear or through TLS.
package final class ByteStream {
  /// The socket below, for its waiter and its state.
  package let socket: Socket
  /// The session above it, on an encrypted connection.
  package private(set) var tls: TLSSession?

  package init(_ socket: Socket, tls: TLSSession? = nil) {
    self.socket = socket
    self.tls = tls
  }

  /// The task to wake when anything changes.
  package var waiter: Waiter? {
    get { socket.waiter }
    set { socket.waiter = newValue }
  }

  /// Whether a read may give something without waiting.
  package var canRead: Bool { socket.canRead || tls?.mayHold ?? false }

  /// Reads what there is into the buffer's room, which must not be empty.
  package func read(into buffer: Buffer) -> Transfer {
    if let tls { return tls.read(into: buffer) }
    return socket.read(into: buffer)
  }

  /// Writes what the buffer holds and consumes what was taken; not for an empty buffer.
  package func write(from buffer: Buffer) -> Transfer {
    if let tls { return tls.write(from: buffer) }
    return socket.write(from: buffer)
  }

  /// Says goodbye: `close_notify`, then the end of the sending side.
  package func shutDown() {
    tls?.close()
    socket.shutDownWriting()
  }

  /// Ends the sending side, orderly; reading goes on. Not while a write waits to be done.
  package func endWriting() {
    tls?.endWriting()
    socket.shutDownWriting()
  }

  /// Whether an idle connection can still be used: nothing came and the peer has not ended it.
  package func isQuiet() -> Bool {
    // Over TLS anything that came since, a ticket or an alert, is read when it is used again.
    if let tls, !socket.hasPeerEnded { return tls.isQuiet() }
    return socket.isQuiet()
  }
}
