package import Reactor
import Wire

/// Why a call got no answer that can be read.
package enum CallFault: Error, Sendable {
  /// No connection came about.
  case unconnected(ConnectFault)
  case timedOut
  /// The server hung up, or its answer is no HTTP/1.1.
  case broken
  /// The answer's content is more than the caller wants.
  case tooLarge

  /// For the log.
  package var text: String {
    switch self {
    case .unconnected(let fault): fault.text
    case .timedOut: "did not answer in time"
    case .broken: "broke the connection or its answer is not HTTP/1.1"
    case .tooLarge: "sent too much"
    }
  }
}

/// A small request of the gateway's own: for keys, discovery or a token.
package struct Call: Sendable {
  package enum Method: Sendable { case get, post }

  package var method: Method
  /// Path and query; visible ASCII.
  package var target: String
  /// What `Host` says.
  package var authority: String
  /// Whole lines with their CRLFs, beside Host and framing.
  package var fields: [UInt8]
  package var content: [UInt8]
  /// The most content of an answer that is taken, in bytes.
  package var answerBytesMax: Int

  package init(
    _ method: Method, target: String, authority: String, fields: [UInt8] = [],
    content: [UInt8] = [], answerBytesMax: Int
  ) {
    self.method = method
    self.target = target
    self.authority = authority
    self.fields = fields
    self.content = content
    self.answerBytesMax = answerBytesMax
  }
}

/// What a call was answered with; redirects are answers like others and never followed.
package struct CallAnswer: Sendable {
  package let status: Int
  /// The value of `Content-Type`, empty without one.
  package let contentType: [UInt8]
  /// The value of `Retry-After`.
  package let retryAfter: [UInt8]?
  /// The value of `Cache-Control`, empty without one.
  package let cacheControl: [UInt8]
  package let content: [UInt8]
}

extension UpstreamPool {
  /// Makes a call and takes its answer whole.
  ///
  /// An idle connection that turns out to have been closed is replaced by a fresh one, once.
  ///
  /// - Parameter again: makes the call that is then sent in the first one's place; nil sends the
  ///   same bytes.
  package func call(
    _ call: Call, waiter: Waiter, untilMs deadlineMs: Int64, again: (() -> Call)? = nil
  ) async throws(CallFault) -> CallAnswer {
    var call = call
    if let idle = takeIdle(for: waiter) {
      do throws(CallFault) {
        return try await perform(call, on: idle, waiter, deadlineMs)
      } catch .broken where !idle.hasAnswerBytes {
        // It ended while it idled; a token request may be sent again (it changes nothing).
        if let again { call = again() }
      }
    }
    let fresh: UpstreamConnection
    do throws(ConnectFault) {
      fresh = try await connect(for: waiter, untilMs: deadlineMs)
    } catch {
      throw .unconnected(error)
    }
    return try await perform(call, on: fresh, waiter, deadlineMs)
  }

  /// Makes a call on a connection of its own and takes no more of the answer than its head.
  ///
  /// - Returns: the answer's status.
  package func status(
    of call: Call, waiter: Waiter, untilMs deadlineMs: Int64
  ) async throws(CallFault) -> Int {
    let connection: UpstreamConnection
    do throws(ConnectFault) {
      connection = try await connect(for: waiter, untilMs: deadlineMs)
    } catch {
      throw .unconnected(error)
    }
    defer { drop(connection) }
    write(call, to: connection)
    try await flush(connection, waiter, deadlineMs)
    try await receiveHead(connection, call, waiter, deadlineMs)
    return Int(connection.head.status)
  }

  private func perform(
    _ call: Call, on connection: UpstreamConnection, _ waiter: Waiter, _ deadlineMs: Int64
  ) async throws(CallFault) -> CallAnswer {
    var isReusable = false
    defer { if isReusable { giveBack(connection) } else { drop(connection) } }
    write(call, to: connection)
    try await flush(connection, waiter, deadlineMs)
    try await receiveHead(connection, call, waiter, deadlineMs)
    let head = connection.head
    let received = connection.received
    func value(_ name: FieldName) -> [UInt8]? {
      head.first(name).map { [UInt8](copying: received.slice($0.value)) }
    }
    let contentType = value(.contentType) ?? []
    let retryAfter = value(.retryAfter)
    let cacheControl = value(.cacheControl) ?? []
    connection.consumeHead()
    let content = try await receiveContent(connection, call, waiter, deadlineMs)
    isReusable = head.keepAlive && head.framing != .untilClose && connection.finishAnswer()
    return CallAnswer(
      status: Int(head.status), contentType: contentType, retryAfter: retryAfter,
      cacheControl: cacheControl, content: content)
  }

  private func write(_ call: Call, to connection: UpstreamConnection) {
    var bytes: [UInt8] = []
    bytes += Array((call.method == .get ? "GET " : "POST ").utf8)
    bytes += Array(call.target.utf8)
    bytes += Array(" HTTP/1.1\r\nHost: \(call.authority)\r\nUser-Agent: tollgate\r\n".utf8)
    bytes += call.fields
    if call.method == .post { bytes += Array("Content-Length: \(call.content.count)\r\n".utf8) }
    bytes += Array("\r\n".utf8)
    bytes += call.content
    var buffer = connection.requestBuffer()
    if buffer.room < bytes.count {
      buffer = connection.growRequestBuffer(toAtLeast: bytes.count)
    }
    buffer.append(bytes)
  }

  private func flush(
    _ connection: UpstreamConnection, _ waiter: Waiter, _ deadlineMs: Int64
  ) async throws(CallFault) {
    while true {
      switch connection.flush() {
      case .bytes: return
      case .wouldBlock:
        let isSignalled = await waiter.wait(untilMs: deadlineMs)
        if !isSignalled { throw .timedOut }
      case .ended, .failed: throw .broken
      }
    }
  }

  private func receiveHead(
    _ connection: UpstreamConnection, _ call: Call, _ waiter: Waiter, _ deadlineMs: Int64
  ) async throws(CallFault) {
    var interim = 0
    while true {
      switch connection.receiveHead(answering: call.method == .get ? .get : .post) {
      case .complete:
        if connection.head.status == 101 { throw .broken }
        if connection.head.status >= 200 { return }
        interim += 1
        if interim > 16 { throw .broken }
        connection.consumeHead()
      case .wouldBlock:
        let isSignalled = await waiter.wait(untilMs: deadlineMs)
        if !isSignalled { throw .timedOut }
      case .ended, .malformed: throw .broken
      }
    }
  }

  private func receiveContent(
    _ connection: UpstreamConnection, _ call: Call, _ waiter: Waiter, _ deadlineMs: Int64
  ) async throws(CallFault) -> [UInt8] {
    var decoder = BodyDecoder(connection.head.framing)
    if let length = decoder.remaining, length > UInt64(call.answerBytesMax) { throw .tooLarge }
    var content: [UInt8] = []
    while true {
      let received = connection.received
      let event: BodyDecoder.Event
      do throws(ChunkFault) {
        event = try decoder.next(received.readable, from: 0)
      } catch {
        throw .broken
      }
      switch event {
      case .end(let consumed):
        received.consume(consumed)
        return content
      case .data(let range):
        if content.count + range.count > call.answerBytesMax { throw .tooLarge }
        content.append(contentsOf: [UInt8](copying: received.slice(range)))
        received.consume(range.upperBound)
      case .needMore(let consumed):
        received.consume(consumed)
        switch connection.read() {
        case .bytes: continue
        case .wouldBlock:
          let isSignalled = await waiter.wait(untilMs: deadlineMs)
          if !isSignalled { throw .timedOut }
        case .ended where decoder.endsWithConnection: return content
        case .ended, .failed: throw .broken
        }
      }
    }
  }
}

extension [UInt8] {
  /// A copy of a span's bytes.
  package init(copying span: Span<UInt8>) {
    self.init(capacity: span.count) { output in
      for index in 0..<span.count { output.append(span[index]) }
    }
  }
}
