/// What OpenSSL has sealed, on its way to the socket.
///
/// OpenSSL is never told that the socket is full: what the socket does not take waits here. A
/// record that is half written inside OpenSSL forbids it every other one, and it does not always
/// know: a peer that asked for new keys (RFC 8446 §4.6.3) while its answer was blocked was read,
/// the reply met the half record, and the connection broke ("bad length").
///
/// Bounded: content is sealed only when nothing waits, a record at a time, and nothing is read
/// (which is what makes OpenSSL reply) while more than `bytesMax` do.
@safe final class SealedOutput {
  let socket: Socket
  private var waiting: [UInt8] = []

  /// Two records (RFC 8446 §5.2).
  private static let bytesMax = 2 * ((16 << 10) + 256 + 5)

  init(_ socket: Socket) { self.socket = socket }

  var isEmpty: Bool { waiting.isEmpty }
  var isFull: Bool { waiting.count > Self.bytesMax }

  /// Takes all of `source`: what the socket takes now goes there, the rest waits.
  ///
  /// - Returns: why the connection is broken, if it is.
  func take(_ source: UnsafeRawBufferPointer) -> StreamFault? {
    var rest = unsafe source
    while waiting.isEmpty, unsafe !rest.isEmpty {
      switch unsafe socket.send(rest) {
      case .bytes(let count): unsafe rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      case .failed(let fault): return fault
      case .wouldBlock, .ended:
        unsafe waiting.append(contentsOf: rest)
        return nil
      }
    }
    unsafe waiting.append(contentsOf: rest)
    return nil
  }

  /// Sends what waits as far as the socket takes it.
  ///
  /// - Returns: why the connection is broken, if it is.
  func flush() -> StreamFault? {
    if waiting.isEmpty || !socket.canWrite { return nil }
    let sealed = waiting
    waiting = []
    return unsafe sealed.withUnsafeBytes { unsafe take($0) }
  }
}
