package import Reactor
package import Wire

/// The gateway's connection to a server: one request at a time, its answer after it.
package final class UpstreamConnection {
  /// What became of waiting for an answer's head.
  package enum HeadProgress {
    case complete
    case wouldBlock
    /// The server closed or broke the connection; `hadBytes` tells whether anything had come.
    case ended(hadBytes: Bool)
    /// The server sent what is no HTTP/1.1 answer.
    case malformed
  }

  package let stream: ByteStream
  package let buffers: BufferPool
  /// The answer's head; its ranges count from the first byte of `received`.
  package private(set) var head = ResponseHead()
  package let received = Buffer()
  /// The request on its way out.
  package let outbound = Buffer()
  /// Whether an earlier request was answered on it: a failure may then be a stale connection's.
  package private(set) var isReused = false
  /// Whether any byte of the present request was written.
  package private(set) var hasWritten = false
  /// Whether any byte of the present answer came.
  package private(set) var hasAnswerBytes = false
  /// Where the server is; nil of a socket in the file system.
  var address: SocketAddress?
  /// The generation of the name's addresses that had this one.
  var addressesSeen = 0
  /// On the loop's clock; when it was given back.
  package var idleSinceMs: Int64 = 0

  private var parser: ResponseHeadParser

  package init(_ stream: ByteStream, buffers: BufferPool, headBytesMax: Int) {
    self.stream = stream
    self.buffers = buffers
    parser = ResponseHeadParser(limits: ResponseHeadLimits(headBytesMax: headBytesMax))
  }

  /// Begins a request: its head goes into the buffer that this returns.
  package func requestBuffer() -> Buffer {
    if outbound.capacity == 0 { buffers.fill(outbound) }
    return outbound
  }

  /// Puts a larger buffer in place, for a head that does not fit.
  package func growRequestBuffer(toAtLeast capacity: Int) -> Buffer {
    buffers.resize(outbound, to: capacity)
    return outbound
  }

  /// Writes what of the request can be written now.
  package func flush() -> Transfer {
    var total = 0
    while !outbound.isEmpty {
      switch stream.write(from: outbound) {
      case .bytes(let count):
        hasWritten = true
        total += count
      case let other: return other
      }
    }
    buffers.give(outbound)
    return .bytes(total)
  }

  /// Goes on with the answer's head.
  ///
  /// - Parameter method: the request's, which decides how an answer ends (RFC 9112 §6.3).
  package func receiveHead(answering method: Method) -> HeadProgress {
    while true {
      if !received.isEmpty {
        hasAnswerBytes = true
        let received = received
        do throws(ResponseFault) {
          if case .complete = try parser.parse(received.readable, answering: method, into: &head) {
            return .complete
          }
        } catch {
          return .malformed
        }
      }
      switch read() {
      case .bytes: continue
      case .wouldBlock:
        if received.isEmpty { releaseReceived() }
        return .wouldBlock
      case .ended, .failed: return .ended(hadBytes: hasAnswerBytes)
      }
    }
  }

  /// Drops the head just read, so that content, or the next head, is at the front.
  package func consumeHead() {
    received.consume(min(head.byteCount, received.count))
    parser.reset()
  }

  /// Reads more behind what is there.
  package func read() -> Transfer {
    if received.room == 0 {
      if received.capacity == 0 {
        buffers.fill(received)
      } else {
        received.compact()
        if received.room == 0 {
          buffers.resize(received, to: received.capacity * 2)
        }
      }
    }
    return stream.read(into: received)
  }

  package func releaseReceived() {
    buffers.give(received)
  }

  /// Makes it ready for another request.
  ///
  /// - Parameter contentEnd: how much of `received` is the answer's.
  /// - Returns: false when bytes came that no request asked for: it must not be used again.
  package func finishAnswer(contentEnd: Int = 0) -> Bool {
    received.consume(min(contentEnd, received.count))
    guard received.isEmpty, outbound.isEmpty else { return false }
    releaseReceived()
    isReused = true
    hasWritten = false
    hasAnswerBytes = false
    parser.reset()
    return true
  }

  /// Gives its buffers back; the connection closes with the object.
  package func discard() {
    stream.waiter = nil
    releaseReceived()
    buffers.give(outbound)
  }
}
