import HTTP
import Reactor
import Wire

extension Forwarder {
  /// The moving of one request and its answer.
  struct Relay: ~Copyable {
    let request: Request
    let upstream: UpstreamConnection
    let server: Upstream.Server
    let bodyTimeoutMs: Int64
    let forward: Route.Forward
    let sentNs: Int64
    let deadlineMs: Int64
    /// Whether another server may be asked when this one says that it can't.
    let mayDecline: Bool

    /// When the token that goes on was issued; `Int64.max` where it is none that was kept.
    let tokenKeptAtMs: Int64

    /// The answer's content, once its head is on its way.
    private var answer: BodyFlow?
    private var interimAnswers = 0
    /// Whether the caller's content may be read: not while it waits for a `100 Continue`.
    private var mayReadContent: Bool
    private var isUploadBroken = false
    /// The caller may now send its content: look for it before waiting.
    private var mustMoveUp = false
    /// Bytes that went out since this task last let others have their turn.
    private var bytesInTurn = 0
    /// When a byte last moved, for the timeouts between bytes.
    private var movedAtMs: Int64
    /// How fast content comes, and how fast the answer is taken.
    private var contentPace = Pace()
    private var answerPace: Pace
    /// What the caller had taken when it was last looked at.
    private var bytesTaken: UInt64 = 0

    private var connection: ServerConnection { request.connection }
    private var loop: EventLoop { request.connection.waiter.loop }

    /// Whether the connection to the server is ready for another request.
    var isReusable: Bool {
      guard let answer, answer.isDone, !answer.endsWithConnection else { return false }
      return upstream.head.keepAlive && connection.content.isDone && !isUploadBroken
    }

    /// Where the answer ends in what the server sent.
    var answerEnd: Int { answer?.end ?? 0 }

    init(
      _ request: Request, _ upstream: UpstreamConnection, of server: Upstream.Server,
      _ route: Route, _ forward: Route.Forward, sentNs: Int64, mayDecline: Bool,
      tokenKeptAtMs: Int64, deadlineMs: Int64
    ) {
      self.tokenKeptAtMs = tokenKeptAtMs
      self.mayDecline = mayDecline
      self.request = request
      self.upstream = upstream
      self.server = server
      bodyTimeoutMs = route.bodyTimeoutMs
      self.forward = forward
      self.sentNs = sentNs
      self.deadlineMs = deadlineMs
      let connection = request.connection
      movedAtMs = connection.waiter.loop.nowMs
      answerPace = Pace(from: connection.bytesWritten)
      // Content that is already here was sent without waiting.
      mayReadContent =
        !connection.head.expectsContinue
        || connection.received.count > connection.content.end
    }

    mutating func run() async -> Attempt {
      // A whole small content leaves in one write with the head.
      if mayReadContent, let left = connection.content.remaining, left > 0,
        left <= UInt64(connection.received.count - connection.content.end),
        let end = moveContent()
      {
        return end
      }
      while true {
        if let end = moveUp() { return end }
        if let end = moveDown() { return end }
        if hasHadItsTurn {
          bytesInTurn = 0
          await connection.waiter.pause()
          continue
        }
        if mustMoveUp {
          mustMoveUp = false
          continue
        }
        if connection.content.isDone || !mayReadContent, connection.hasCallerGone() {
          return callerGone()
        }
        if let end = await waitForEvent() { return end }
      }
    }

    private mutating func waitForEvent() async -> Attempt? {
      let beganMs = loop.nowMs
      let waitsForCaller = isWaitingForContent || isWaitingForReader
      let endMs = waitUntilMs()
      var untilMs = waitsForCaller ? min(endMs, beganMs + Limits.soughtAfterStretchMs) : endMs
      let mayGiveUp = mayDecline && answer == nil
      if mayGiveUp { untilMs = min(untilMs, beganMs + Limits.silenceLookEveryMs) }
      let isSignalled = await connection.waiter.wait(untilMs: untilMs)
      bytesInTurn = 0
      var hasMoved = isSignalled
      if !isSignalled {
        // Others have found out that this server does not answer.
        if mayGiveUp, server.isSilent, forward.upstream.mayResend(nowMs: loop.nowMs) {
          return .declined(.slow)
        }
        hasMoved = isWaitingForReader && hasReaderTaken()
        if hasMoved { movedAtMs = loop.nowMs }
        if loop.nowMs >= waitUntilMs() { return timedOut() }
      }
      return waitsForCaller ? tooSlow(waitedMs: loop.nowMs - beganMs, hasMoved: hasMoved) : nil
    }

    /// Whether it is the caller that does not take the answer.
    private var isWaitingForReader: Bool { answer != nil && !connection.outbound.isEmpty }

    /// The kernel tells of room only when a good part of what it holds is gone: a caller that reads
    /// slowly and steadily must not be taken for one that has stopped.
    private mutating func hasReaderTaken() -> Bool {
      let before = bytesTaken
      bytesTaken = connection.bytesTaken
      return bytesTaken > before
    }

    /// Whether it is the caller's content that is waited for, and not the server.
    private var isWaitingForContent: Bool {
      !connection.content.isDone && mayReadContent && answer == nil && !isUploadBroken
        && upstream.outbound.isEmpty
    }

    /// Two peers that are as fast as this worker would keep it to themselves.
    private var hasHadItsTurn: Bool { bytesInTurn >= Limits.bytesPerTurn }

    /// Moves the request towards the server.
    private mutating func moveUp() -> Attempt? {
      if isUploadBroken { return nil }
      while true {
        if !upstream.outbound.isEmpty {
          switch upstream.flush() {
          case .bytes(let count):
            movedAtMs = loop.nowMs
            bytesInTurn += count
          case .wouldBlock: return nil
          case .ended, .failed:
            isUploadBroken = true
            if !upstream.hasWritten { return .unanswered(Refusal(.upstreamFailed)) }
            // The server may have answered before it stopped listening.
            return nil
          }
        }
        if connection.content.isDone || !mayReadContent || hasHadItsTurn { return nil }
        if let end = moveContent() { return end }
        if !upstream.outbound.isEmpty || connection.content.isDone { continue }
        switch connection.readContent() {
        case .bytes: movedAtMs = loop.nowMs
        case .wouldBlock: return nil
        case .ended, .failed: return callerGone()
        }
      }
    }

    private mutating func moveContent() -> Attempt? {
      do throws(BodyFault) {
        _ = try connection.content.move(from: connection.received, to: upstream.requestBuffer())
        return nil
      } catch {
        let refusal = Refusal(error == .tooLarge ? .bodyTooLarge : .malformedRequest)
        return answer == nil ? .refused(refusal) : .aborted(.client, refusal.reason)
      }
    }

    /// Moves the answer towards the caller. What is there goes out when it is whole, when the
    /// buffer is full, or when nothing more is to be had at once; so a small answer is one write.
    private mutating func moveDown() -> Attempt? {
      while true {
        let step = answer == nil ? receiveHead() : moveAnswer()
        switch step {
        case .moved: continue
        case .over(let end): return end
        case .waiting, .full, .whole:
          if !connection.outbound.isEmpty {
            switch connection.flush() {
            case .bytes(let count):
              movedAtMs = loop.nowMs
              bytesInTurn += count
            case .wouldBlock: return nil
            case .ended, .failed: return callerGone()
            }
          }
          if case .whole = step { return .answered }
          if case .waiting = step { return nil }
          if hasHadItsTurn { return nil }
        }
      }
    }

    private enum Step {
      /// Go on.
      case moved
      /// The caller's buffer is full.
      case full
      /// The server has sent no more.
      case waiting
      /// All of the answer is in the caller's buffer.
      case whole
      case over(Attempt)
    }

    private mutating func moveAnswer() -> Step {
      let out = connection.answerBuffer()
      while true {
        guard let progress = moveContent(into: out) else { return .over(broken()) }
        switch progress {
        case .done: return .whole
        case .needsRoom: return .full
        case .needsSource: break
        }
        switch upstream.read() {
        case .bytes: movedAtMs = loop.nowMs
        case .wouldBlock:
          if upstream.received.isEmpty { upstream.releaseReceived() }
          return .waiting
        case .ended:
          guard answer?.endsWithConnection == true else { return .over(broken()) }
          // The end has a chunk of its own; it is read again when there is room for it.
          if out.room < BodyFlow.endBytesMax { return .full }
          answer?.sourceEnded(to: out)
          return .whole
        case .failed: return .over(broken())
        }
      }
    }

    /// - Returns: nil where the server's content is no content.
    private mutating func moveContent(into out: Buffer) -> BodyFlow.Progress? {
      do throws(BodyFault) {
        return try answer?.move(from: upstream.received, to: out)
      } catch {
        return nil
      }
    }

    private mutating func receiveHead() -> Step {
      switch upstream.receiveHead(answering: request.method) {
      case .wouldBlock: return .waiting
      case .malformed: return .over(.refused(Refusal(.upstreamFailed)))
      case .ended(let hadBytes):
        let refusal = Refusal(.upstreamFailed)
        return .over(hadBytes || interimAnswers > 0 ? .refused(refusal) : .unanswered(refusal))
      case .complete: break
      }
      movedAtMs = loop.nowMs
      let status = Int(upstream.head.status)
      if status == 101, let upgrade = request.upgrade { return switchProtocol(to: upgrade) }
      if status < 200 { return receiveInterim(status) }
      if mayDecline, (502...504).contains(status), forward.upstream.mayResend(nowMs: loop.nowMs) {
        return .over(.declined(.status(status)))
      }
      if status == 401, isRefusalOfOldToken() {
        if Forwarder.mayRepeat(request), !request.record.tokenWasRefused {
          request.record.tokenWasRefused = true
          return .over(.tokenRefused)
        }
        request.record.tokenWasRefused = true
      }
      request.record.firstByteNs = Clock.monotonicNs() - sentNs
      request.record.upstreamStatus = status
      request.record.status = status
      beginAnswer()
      return .moved
    }

    private static let invalidToken = Array("invalid_token".utf8)

    /// Whether the service says that the token is no good, by a challenge with `invalid_token`
    /// (RFC 6750 §3.1), and that may be for its age.
    private func isRefusalOfOldToken() -> Bool {
      guard tokenKeptAtMs != .max,
        Clock.wallMs() - tokenKeptAtMs > Limits.refusedTokenAgeMsMin
      else { return false }
      let received = upstream.received
      return upstream.head.fields.contains { line in
        line.known == .wwwAuthenticate
          && ByteScan.holds(Self.invalidToken, in: received.slice(line.value))
      }
    }

    /// RFC 9110 §15.2: interim answers go on to callers that know them, also a 100 that is not
    /// waited for any more; nobody asked for a 101.
    private mutating func receiveInterim(_ status: Int) -> Step {
      interimAnswers += 1
      if status == 101 || interimAnswers > Forwarder.interimAnswersMax {
        return .over(.refused(Refusal(.upstreamFailed)))
      }
      let wasWaiting = !mayReadContent
      if status == 100 { mayReadContent = true }
      if connection.head.minorVersion == 1 {
        AnswerWriter.writeInterim(
          of: upstream, to: connection, changes: forward.answerChanges)
      }
      upstream.consumeHead()
      if status == 100, wasWaiting { mustMoveUp = true }
      return .moved
    }

    /// The server takes the connection over, if it does as it was asked to: whoever answers with
    /// another protocol than the one that the caller speaks from now on is not understood.
    private mutating func switchProtocol(to upgrade: [UInt8]) -> Step {
      guard Upgrades.isAccepted(by: upstream, upgrade) else {
        return .over(.refused(Refusal(.upstreamFailed)))
      }
      request.record.firstByteNs = Clock.monotonicNs() - sentNs
      request.record.upstreamStatus = 101
      request.record.status = 101
      AnswerWriter.writeInterim(
        of: upstream, to: connection, changes: forward.answerChanges, upgrade: upgrade)
      upstream.consumeHead()
      return .over(.switched(upstream))
    }

    private mutating func beginAnswer() {
      let head = upstream.head
      let isOld = connection.head.minorVersion == 0
      let framing: OutgoingFraming =
        switch head.framing {
        case .none: .none
        case .length: .length
        case .chunked, .untilClose: isOld ? .untilClose : .chunked
        }
      // An answer that comes before the content has ended is delivered, then the connection closes.
      if framing == .untilClose || !connection.content.isDone || !connection.head.keepAlive {
        connection.closesAfterAnswer = true
      }
      AnswerWriter.writeHead(
        of: upstream, to: connection, framing: framing, closes: connection.closesAfterAnswer,
        via: forward.via,
        isPrivate: request.tokenSource != .header && (200...299).contains(head.status),
        changes: forward.answerChanges, for: request)
      upstream.consumeHead()
      answer = BodyFlow(head.framing, as: framing, pinned: 0)
      if let changes = forward.answerChanges {
        answer?.withheldTrailers = changes.withheldTrailers
      }
    }

    /// The server broke its answer off.
    private func broken() -> Attempt { .aborted(.upstream, .upstreamFailed) }

    private func callerGone() -> Attempt {
      answer == nil ? .refused(Refusal(.callerGone)) : .aborted(.client, .callerGone)
    }

    /// Which end comes next if nothing moves.
    private func waitUntilMs() -> Int64 {
      if answer != nil { return movedAtMs + forward.idleTimeoutMs }
      if !mayReadContent {
        return min(movedAtMs + Forwarder.continueWaitMs, deadlineMs)
      }
      if isWaitingForContent {
        return movedAtMs + bodyTimeoutMs
      }
      // A long upload does not use the server's time up.
      return forward.timeoutMs.map { movedAtMs + $0 } ?? .max
    }

    private mutating func timedOut() -> Attempt? {
      if answer != nil {
        return connection.outbound.isEmpty
          ? .aborted(.upstream, .upstreamTimeout) : .aborted(.client, .requestTimeout)
      }
      if !mayReadContent, loop.nowMs < deadlineMs {
        mayReadContent = true
        movedAtMs = loop.nowMs
        connection.answerBuffer().append("HTTP/1.1 100 Continue\r\n\r\n")
        return nil
      }
      // A caller that waits for a 100 is not the slow one.
      if isWaitingForContent {
        return .refused(Refusal(.requestTimeout))
      }
      return .refused(Refusal(.upstreamTimeout))
    }

    /// After 30 seconds content must have come, and the answer been taken, at 1 KiB a second
    /// (ROUTES.md, `bodyTimeout`): a caller that moves a byte a minute would stay for ever.
    ///
    /// - Parameter hasMoved: in a pause it is the longest pause that decides, unless others wait.
    private mutating func tooSlow(waitedMs: Int64, hasMoved: Bool) -> Attempt? {
      let isSoughtAfter = server.pool.isSoughtAfter
      let stretchMs = isSoughtAfter ? Limits.soughtAfterStretchMs : Pace.stretchMs
      let isJudged = hasMoved || isSoughtAfter
      if answer == nil {
        contentPace.wait(waitedMs)
        let count = connection.content.byteCount
        guard isJudged, contentPace.isTooSlow(at: count, stretchMs: stretchMs) else { return nil }
        return .refused(Refusal(.requestTimeout))
      }
      answerPace.wait(waitedMs)
      let taken = connection.bytesTaken
      guard isJudged, answerPace.isTooSlow(at: taken, stretchMs: stretchMs)
      else { return nil }
      return .aborted(.client, .requestTimeout)
    }
  }
}
