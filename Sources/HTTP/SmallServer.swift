import Reactor
import Wire

/// A request of a small server, taken whole.
package struct SmallRequest: Sendable {
  package let method: [UInt8]
  /// Without the query, as it was sent.
  package let path: [UInt8]
  package let query: [UInt8]
  /// Lower case, without port; empty in HTTP/1.0.
  package let host: [UInt8]
  package let fields: [(name: [UInt8], value: [UInt8])]
  package let content: [UInt8]

  /// The values of a field; `name` in lower case.
  package func values(of name: String) -> [[UInt8]] {
    fields.filter { field in
      field.name.map(ByteClass.lowercased).elementsEqual(name.utf8)
    }.map(\.value)
  }
}

/// A small server's answer.
package struct SmallAnswer: Sendable {
  package var status: Int
  package var contentType: String
  /// Whole lines with their CRLFs.
  package var fields: [UInt8]
  package var content: [UInt8]

  package init(
    _ status: Int, _ content: [UInt8] = [], type contentType: String = "text/plain; charset=utf-8",
    fields: [UInt8] = []
  ) {
    self.status = status
    self.contentType = contentType
    self.fields = fields
    self.content = content
  }
}

extension ServerConnection {
  /// Serves small requests on this connection until it ends: content is taken whole, up to
  /// `contentBytesMax`, and so is the answer's.
  package func serveSmall(
    contentBytesMax: Int, answer: (SmallRequest) async -> SmallAnswer
  ) async {
    serving: while true {
      switch await nextRequest() {
      case .request: break
      // Few and small: their tasks stay.
      case .parked: continue serving
      case .faulty, .tooSlow:
        // RFC 9112 §2.2 and §3: told, and nothing more is read.
        forgetHead()
        closesAfterAnswer = true
        let text = Array("This is no request that is served here.\n".utf8)
        await send(SmallAnswer(400, text), isHead: false)
        break serving
      case .finished: break serving
      }
      content = BodyFlow(head.framing, as: .length, pinned: head.byteCount)
      guard let bytes = await takeContent(bytesMax: contentBytesMax) else {
        closesAfterAnswer = true
        await send(SmallAnswer(413), isHead: false)
        break
      }
      if !head.keepAlive { closesAfterAnswer = true }
      let isSent = await send(await answer(smallRequest(bytes)), isHead: head.method == .head)
      if !isSent || closesAfterAnswer { break }
    }
    await close()
  }

  private func takeContent(bytesMax: Int) async -> [UInt8]? {
    var bytes: [UInt8] = []
    let target = Buffer(capacity: 16 << 10)
    if head.expectsContinue {
      answerBuffer().append("HTTP/1.1 100 Continue\r\n\r\n")
      guard await flushAll(stallMs: Self.smallStallMs) else { return nil }
    }
    while true {
      let progress: BodyFlow.Progress
      do throws(BodyFault) {
        progress = try content.move(from: received, to: target)
      } catch {
        return nil
      }
      bytes.append(contentsOf: [UInt8](copying: target.readable))
      target.removeAll()
      if bytes.count > bytesMax { return nil }
      switch progress {
      case .done: return bytes
      case .needsRoom: continue
      case .needsSource:
        switch readContent() {
        case .bytes: continue
        case .wouldBlock:
          let isSignalled = await waiter.wait(untilMs: waiter.loop.nowMs + Self.smallStallMs)
          if !isSignalled { return nil }
        case .ended, .failed: return nil
        }
      }
    }
  }

  private func smallRequest(_ content: [UInt8]) -> SmallRequest {
    let received = received
    func copy(_ range: Range<Int>) -> [UInt8] { [UInt8](copying: received.slice(range)) }
    return SmallRequest(
      method: copy(head.methodRange), path: head.path.isEmpty ? [47] : copy(head.path),
      query: head.query.map(copy) ?? [], host: head.authority.host,
      fields: head.fields.map { (copy($0.name), copy($0.value)) }, content: content)
  }

  @discardableResult
  private func send(_ answer: SmallAnswer, isHead: Bool) async -> Bool {
    var bytes = Array("HTTP/1.1 \(answer.status) \(StatusPhrase.of(answer.status))\r\n".utf8)
    bytes += Array("Content-Type: \(answer.contentType)\r\n".utf8)
    bytes += Array("Content-Length: \(answer.content.count)\r\n".utf8)
    bytes += answer.fields
    if closesAfterAnswer { bytes += Array("Connection: close\r\n".utf8) }
    bytes += Array("\r\n".utf8)
    if !isHead { bytes += answer.content }
    var out = answerBuffer()
    if out.room < bytes.count { out = growAnswerBuffer(toAtLeast: bytes.count) }
    out.append(bytes)
    return await flushAll(stallMs: Self.smallStallMs)
  }

  private static var smallStallMs: Int64 { 10_000 }
}
