package import Reactor
package import Wire

/// A caller's connection: requests in, answers out, one after the other.
///
/// While a request is being served its head stays at the front of `received`, and its content and
/// whatever the caller sent ahead come behind it. Between requests the connection holds no buffer.
/// It knows HTTP/1.1's framing and its own deadlines; what a request means is its user's business.
package final class ServerConnection {
  /// The deadlines and sizes of a connection, in milliseconds and bytes.
  package struct Limits: Sendable, Equatable {
    package var head: RequestHeadLimits
    package var headerTimeoutMs: Int64
    package var idleTimeoutMs: Int64

    package init(head: RequestHeadLimits, headerTimeoutMs: Int64, idleTimeoutMs: Int64) {
      self.head = head
      self.headerTimeoutMs = headerTimeoutMs
      self.idleTimeoutMs = idleTimeoutMs
    }
  }

  /// What came next from the caller.
  package enum Arrival {
    /// `head` is a whole request's.
    case request
    /// The head can't be served; the answer says why, then the connection closes.
    case faulty(RequestFault)
    /// A head that was begun was not finished in time.
    case tooSlow
    /// The connection has idled for a while and holds next to nothing: end the task, and begin
    /// another when `park` says so.
    case parked
    /// The caller is gone, stayed idle too long, or the worker drains: close without an answer.
    case finished
  }

  package let stream: ByteStream
  package let waiter: Waiter
  package let buffers: BufferPool
  /// The head of the request being served; its ranges count from the first byte of `received`.
  package private(set) var head = RequestHead()
  /// What came and is not yet used; its front is the present request's head.
  package let received = Buffer()
  /// Answer bytes on their way out.
  package let outbound = Buffer()
  /// The present request's content.
  package var content = BodyFlow(.none, as: .none, pinned: 0)
  /// Set to end the connection when the present answer is out.
  package var closesAfterAnswer = false
  /// The worker drains: no further request is taken.
  package private(set) var isDraining = false
  /// Bytes read from and written to the caller so far (inside TLS).
  package private(set) var bytesRead: UInt64 = 0
  package private(set) var bytesWritten: UInt64 = 0
  /// Of the bytes written those that the caller has taken from the kernel, about (over TLS the
  /// kernel's are a few more): what is written and what is taken can be megabytes, and at a slow
  /// reader minutes, apart. Costs a system call.
  package var bytesTaken: UInt64 {
    let outgoing = UInt64(stream.socket.outgoingCount)
    return bytesWritten > outgoing ? bytesWritten - outgoing : 0
  }

  /// Whether it has become another protocol's.
  private var isTunnel = false
  /// When a tunnel over it ends at the latest, on the loop's clock.
  package private(set) var tunnelEndsMs = Int64.max
  /// The connection was broken off; nothing more can be done with it.
  package private(set) var isAborted = false
  /// Whether a byte of the request was written to the last connection to a server: what decides
  /// about sending again.
  package var lastUpstreamHadWritten = false

  private var parser: RequestHeadParser
  private var headerTimeoutMs: Int64
  private var idleTimeoutMs: Int64
  private var isIdle = true
  /// When the present idle time ends, on the loop's clock.
  private var idleUntilMs: Int64?
  /// Whether the last request came soon after the one before: the next one is likely to as well.
  private var isInHurry = false
  private var hasServed = false
  /// Until when a connection that drains waits for its first request.
  private var firstUntilMs = Int64.min
  private var headBytesMax: Int
  private let idling: Idling

  /// - Parameter idling: shared by all of a worker's.
  package init(
    _ stream: ByteStream, waiter: Waiter, buffers: BufferPool, limits: Limits,
    idling: Idling = Idling()
  ) {
    self.stream = stream
    self.idling = idling
    self.waiter = waiter
    self.buffers = buffers
    headerTimeoutMs = limits.headerTimeoutMs
    idleTimeoutMs = limits.idleTimeoutMs
    parser = RequestHeadParser(limits: limits.head)
    headBytesMax = Self.headBytesMax(limits)
    stream.waiter = waiter
  }

  private static func headBytesMax(_ limits: Limits) -> Int {
    limits.head.requestLineBytesMax + limits.head.headBytesMax + 4
  }

  // A task that ends early must not take buffers with it.
  deinit {
    buffers.give(outbound)
    buffers.give(received)
  }

  /// Goes on by other limits: heads that are not whole yet are judged by them. A wait that has
  /// begun ends when it was to end.
  package func take(_ limits: Limits) {
    headerTimeoutMs = limits.headerTimeoutMs
    idleTimeoutMs = limits.idleTimeoutMs
    headBytesMax = Self.headBytesMax(limits)
    // What there is of a head is looked at again from its first byte.
    parser = RequestHeadParser(limits: limits.head)
  }

  /// Waits for the next request's head.
  package func nextRequest() async -> Arrival {
    if idleUntilMs == nil {
      finishRequest()
    } else if head === idling.noHead {
      head = RequestHead()
    }
    let idleLimitMs = hasServed ? idleTimeoutMs : headerTimeoutMs
    let idleUntilMs = self.idleUntilMs ?? waiter.loop.nowMs + idleLimitMs
    self.idleUntilMs = idleUntilMs
    let parkAtMs = waiter.loop.nowMs + idling.patienceMs(isInHurry: isInHurry)
    var headUntilMs: Int64?
    while true {
      if !received.isEmpty {
        isIdle = false
        let received = received
        do throws(RequestFault) {
          if case .complete = try parser.parse(received.readable, into: &head) {
            let waitedMs = waiter.loop.nowMs - (idleUntilMs - idleLimitMs)
            isInHurry = hasServed && waitedMs < Idling.patienceMs
            hasServed = true
            self.idleUntilMs = nil
            return .request
          }
        } catch {
          return .faulty(beginsAsTLS ? .malformed(.handshake) : error)
        }
      }
      switch readMore(upTo: headBytesMax) {
      case .bytes:
        continue
      case .wouldBlock:
        if received.isEmpty {
          if isDraining, waiter.loop.nowMs >= firstUntilMs { return .finished }
          releaseReceived()
        } else if beginsAsTLS {
          // It waits for an answer that HTTP has none of.
          return .faulty(.malformed(.handshake))
        } else if headUntilMs == nil {
          headUntilMs = waiter.loop.nowMs + headerTimeoutMs
        }
        let untilMs = headUntilMs ?? min(idleUntilMs, isDraining ? firstUntilMs : parkAtMs)
        idling.begin()
        let isSignalled = await waiter.wait(untilMs: untilMs)
        idling.end()
        if isSignalled { continue }
        if headUntilMs != nil { return .tooSlow }
        if isDraining { return .finished }
        return untilMs < idleUntilMs ? .parked : .finished
      case .ended, .failed:
        return .finished
      }
    }
  }

  /// Whether the bytes that no head was made of begin a TLS handshake (RFC 8446 §5.1).
  private var beginsAsTLS: Bool {
    let received = received
    let bytes = received.readable
    return bytes.count > 1 && bytes[0] == 0x16 && bytes[1] == 0x03
  }

  /// Waits without a task after `nextRequest` returned `.parked`; `wake` is called once, when
  /// `nextRequest` is to be asked again.
  package func park(wake: @escaping () -> Void) {
    head = idling.noHead
    waiter.park(untilMs: idleUntilMs ?? .max, wake: wake)
  }

  /// Ends the wait of an idle connection and takes no request after the present one. Who has just
  /// come is about to send its first, and is given a moment for it.
  package func drain() {
    isDraining = true
    firstUntilMs = hasServed ? .min : waiter.loop.nowMs + Self.firstRequestMs
    closesAfterAnswer = true
    if isIdle { waiter.signal() }
  }

  /// Whether the caller has gone while an answer is outstanding: the end of its stream, a
  /// `close_notify`, or a broken connection. Bytes sent ahead are kept, within the buffer's room.
  package func hasCallerGone() -> Bool {
    if stream.socket.hasPeerEnded, stream.tls == nil { return true }
    // To the last byte: of an end that was seen with them no other event tells.
    while stream.canRead, received.room > 0 {
      switch stream.read(into: received) {
      case .bytes(let count): bytesRead += UInt64(count)
      case .wouldBlock: return stream.socket.hasPeerEnded
      case .ended, .failed: return true
      }
    }
    return stream.socket.hasPeerEnded
  }

  /// Reads more of the request's content behind what is there.
  package func readContent() -> Transfer {
    // The head stays in front: one that fills its buffer must not leave content a byte at a time,
    // or no room at all.
    if received.room < Self.contentRoomMin, received.capacity > 0 {
      received.compact()
      if received.room < Self.contentRoomMin {
        buffers.resize(received, to: received.count + BufferPool.bufferBytes)
      }
    }
    return readMore(upTo: received.capacity)
  }

  private func readMore(upTo bytesMax: Int) -> Transfer {
    if received.room == 0 {
      if received.capacity == 0 {
        buffers.fill(received)
      } else if received.capacity < bytesMax {
        buffers.resize(received, to: min(received.capacity * 2, bytesMax))
      } else {
        received.compact()
        if received.room == 0 { return .wouldBlock }
      }
    }
    let transfer = stream.read(into: received)
    if case .bytes(let count) = transfer { bytesRead += UInt64(count) }
    return transfer
  }

  private func finishRequest() {
    isIdle = true
    if hasServed { received.consume(min(content.end, received.count)) }
    content = BodyFlow(.none, as: .none, pinned: 0)
    parser.reset()
    if received.isEmpty { releaseReceived() }
    releaseOutbound()
  }

  private func releaseReceived() {
    buffers.give(received)
  }

  /// The buffer that the answer is put into.
  package func answerBuffer() -> Buffer {
    if outbound.capacity == 0 { buffers.fill(outbound) }
    return outbound
  }

  /// Puts a larger buffer in place, for a head that does not fit.
  package func growAnswerBuffer(toAtLeast capacity: Int) -> Buffer {
    buffers.resize(outbound, to: capacity)
    return outbound
  }

  /// Gives an empty buffer back while nothing is to be written.
  package func releaseAnswerBuffer() {
    if outbound.isEmpty { releaseOutbound() }
  }

  /// Writes what of the answer can be written now.
  ///
  /// - Returns: `.bytes` with nothing left, `.wouldBlock` with something left.
  package func flush() -> Transfer {
    var total = 0
    while !outbound.isEmpty {
      switch stream.write(from: outbound) {
      case .bytes(let count):
        total += count
        bytesWritten += UInt64(count)
      case let other: return other
      }
    }
    releaseOutbound()
    return .bytes(total)
  }

  /// Writes all of the answer that is there, waiting for a slow caller.
  ///
  /// - Parameter stallMs: the longest wait without a byte taken.
  /// - Returns: whether all of it went out.
  package func flushAll(stallMs: Int64) async -> Bool {
    var untilMs = waiter.loop.nowMs + stallMs
    var pace = Pace(from: bytesWritten)
    while true {
      let written = bytesWritten
      switch flush() {
      case .bytes: return true
      case .wouldBlock:
        // A caller that sends and reads nothing wakes us, and moves no byte.
        let beganMs = waiter.loop.nowMs
        if bytesWritten != written { untilMs = beganMs + stallMs }
        let isSignalled = await waiter.wait(untilMs: untilMs)
        pace.wait(waiter.loop.nowMs - beganMs)
        if !isSignalled || pace.isTooSlow(at: bytesWritten) { return false }
      case .ended, .failed: return false
      }
    }
  }

  private func releaseOutbound() {
    buffers.give(outbound)
  }

  /// Reads the rest of the request's content and drops it, so that the connection can be kept.
  ///
  /// - Parameter withinMs: how long that may take in all: a new connection is soon the cheaper way.
  /// - Returns: false when there is more than `bytesMax`, or it does not come.
  package func dropContent(bytesMax: UInt64, withinMs: Int64) async -> Bool {
    let sink = buffers.take()
    defer { buffers.give(sink) }
    let untilMs = waiter.loop.nowMs + withinMs
    let startCount = content.byteCount
    while content.byteCount - startCount <= bytesMax {
      let progress: BodyFlow.Progress
      do throws(BodyFault) {
        progress = try content.move(from: received, to: sink)
      } catch {
        return false
      }
      sink.removeAll()
      switch progress {
      case .done: return true
      case .needsRoom: continue
      case .needsSource:
        switch readContent() {
        case .bytes: continue
        case .wouldBlock:
          let isSignalled = await waiter.wait(untilMs: untilMs)
          if !isSignalled { return false }
        case .ended, .failed: return false
        }
      }
    }
    return false
  }

  // A connection that becomes another protocol's.

  /// Ends HTTP on this connection. The request's head stays, in no more memory than it takes: a
  /// tunnel may last for days.
  ///
  /// - Returns: what the caller has sent behind its request: the tunnel's first bytes.
  package func beginTunnel() -> Buffer {
    isTunnel = true
    closesAfterAnswer = true
    let received = received
    let end = min(content.end, received.count)
    let first = Buffer()
    if end < received.count {
      let ahead = received.slice(end..<received.count)
      buffers.fill(first)
      if first.room < ahead.count { buffers.resize(first, to: ahead.count) }
      first.append(ahead)
      received.truncate(to: end)
    }
    buffers.resize(received, to: end)
    return first
  }

  /// Reads the tunnel's bytes.
  package func readTunnel(into buffer: Buffer) -> Transfer {
    let transfer = stream.read(into: buffer)
    if case .bytes(let count) = transfer { bytesRead += UInt64(count) }
    return transfer
  }

  /// Writes the tunnel's bytes and consumes what was taken; not for an empty buffer.
  package func writeTunnel(from buffer: Buffer) -> Transfer {
    let transfer = stream.write(from: buffer)
    if case .bytes(let count) = transfer { bytesWritten += UInt64(count) }
    return transfer
  }

  /// Has a tunnel, also one that has yet to begin, end at this time at the latest.
  package func endTunnel(byMs endMs: Int64) {
    tunnelEndsMs = endMs
    if isTunnel { waiter.signal() }
  }

  /// Forgets the head of a request that could not be read.
  package func forgetHead() { head = RequestHead() }

  /// Ends a connection on which nothing is outstanding.
  package func finish() {
    stream.shutDown()
    releaseOutbound()
    releaseReceived()
  }

  /// Closes the connection so that the caller gets the whole answer: what it still sends is read
  /// and dropped for a while, because a close with unread bytes makes the kernel reset the
  /// connection and the answer may be lost with it (RFC 9112 §9.6).
  ///
  /// - Parameters:
  ///   - lingerMs: how long it is listened to in all: some clients take a reset for a broken
  ///     connection and never look at the answer.
  ///   - quietMs: the same without a byte.
  package func close(lingerMs: Int64 = 30_000, quietMs: Int64 = 2_000) async {
    stream.shutDown()
    releaseOutbound()
    // Who was told that a tunnel ends has no answer to lose.
    let lingerMs = isTunnel ? min(lingerMs, Self.tunnelLingerMs) : lingerMs
    let untilMs = waiter.loop.nowMs + lingerMs
    while waiter.loop.nowMs < untilMs {
      received.removeAll()
      if received.capacity == 0 { buffers.fill(received) }
      // Below TLS, whose session has ended: nobody looks at these bytes.
      switch stream.socket.read(into: received) {
      case .bytes: await waiter.pause()
      case .wouldBlock:
        releaseReceived()
        let quietUntilMs = waiter.loop.nowMs + quietMs
        let isSignalled = await waiter.wait(untilMs: min(untilMs, quietUntilMs))
        if !isSignalled { return }
      case .ended, .failed:
        releaseReceived()
        return
      }
    }
    releaseReceived()
  }

  /// Breaks the connection off: the caller sees a reset, when this object goes, and can't take what
  /// it has for whole. The head stays: the log has yet to tell of it.
  package func abort() {
    isAborted = true
    stream.socket.resetOnClose()
    releaseOutbound()
  }

  /// A connection was accepted, and is to be drained: its request is a round trip away.
  private static let firstRequestMs: Int64 = 500
  private static let tunnelLingerMs: Int64 = 500
  /// Content is read in pieces of this size at least.
  private static let contentRoomMin = 4 << 10
}
