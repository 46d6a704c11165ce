import HTTP
import Reactor
import Wire

/// Writes what goes back to the caller: a server's answer written anew, and the gateway's own.
enum AnswerWriter {
  /// What of a server's answer never goes on as it came.
  private static let dropped = FieldNameSet([.contentLength, .transferEncoding])

  /// Room for what the gateway adds to an answer's head.
  private static let ownBytesMax = 256

  /// Puts the head of a server's answer into the caller's buffer.
  ///
  /// - Parameters:
  ///   - framing: how the content will be framed to the caller.
  ///   - closes: whether the connection ends with this answer.
  ///   - isPrivate: whether no cache but the caller's own may keep it.
  ///   - changes: what the route changes of it, for `request`; nil where nothing.
  static func writeHead(
    of upstream: UpstreamConnection, to connection: ServerConnection, framing: OutgoingFraming,
    closes: Bool, via: Bool, isPrivate: Bool, changes: AnswerChanges?, for request: Request
  ) {
    let head = upstream.head
    let received = upstream.received
    var out = connection.answerBuffer()
    let changed = changes?.lines(replacingIn: head, received, for: request, isPrivate: isPrivate)
    let need = head.byteCount + ownBytesMax + (changed?.count ?? 0)
    if out.room < need { out = connection.growAnswerBuffer(toAtLeast: out.count + need) }
    writeStatusLine(head.status, phrase: received.slice(head.reason), to: out)
    var stopped = dropped
    if isPrivate { stopped.insert(.cacheControl) }
    if let changes { stopped = stopped.union(changes.stopped) }
    var runStart = -1
    for line in head.fields {
      if !line.isHopByHop, !stopped.contains(line.known),
        changes?.keeps(line, in: received.readable) ?? true
      {
        if runStart < 0 { runStart = Int(line.nameStart) }
      } else if runStart >= 0 {
        out.append(received.slice(runStart..<Int(line.nameStart)))
        runStart = -1
      }
    }
    if runStart >= 0 { out.append(received.slice(runStart..<(head.byteCount - 2))) }
    if isPrivate {
      out.append("Cache-Control: private")
      for line in head.fields
      where line.known == .cacheControl && !line.isHopByHop
        && changes?.keeps(line, in: received.readable) ?? true
      {
        PrivateCaching.append(received.slice(line.value), to: out)
      }
      out.append("\r\n")
    }
    if let changed { out.append(changed) }
    switch framing {
    case .chunked: out.append("Transfer-Encoding: chunked\r\n")
    case .length:
      if case .length(let count) = head.framing {
        out.append("Content-Length: ")
        out.append(decimal: count)
        out.append("\r\n")
      }
    case .none:
      // Of an answer to HEAD, or a 304, it says how long the content would be.
      if head.status != 204, let length = head.first(.contentLength) {
        out.append("Content-Length: ")
        out.append(received.slice(length.value))
        out.append("\r\n")
      }
    case .untilClose: break
    }
    // RFC 9110 §6.6.1: who forwards an answer without a date says when it came.
    if head.first(.date)?.isHopByHop ?? true { writeDate(to: out) }
    if via {
      out.append(head.minorVersion == 1 ? "Via: 1.1 tollgate\r\n" : "Via: 1.0 tollgate\r\n")
    }
    writeConnection(connection, closes: closes, to: out)
    out.append("\r\n")
  }

  /// Puts an interim answer (1xx) into the caller's buffer.
  ///
  /// - Parameter upgrade: of a 101: the protocol that it switches to.
  static func writeInterim(
    of upstream: UpstreamConnection, to connection: ServerConnection, changes: AnswerChanges?,
    upgrade: [UInt8] = []
  ) {
    let head = upstream.head
    let received = upstream.received
    var out = connection.answerBuffer()
    // Each line may become longer by the space behind its colon.
    let need = head.byteCount + head.fields.count + ownBytesMax
    if out.room < need { out = connection.growAnswerBuffer(toAtLeast: out.count + need) }
    writeStatusLine(head.status, phrase: received.slice(head.reason), to: out)
    for line in head.fields
    where !line.isHopByHop && !dropped.contains(line.known)
      && changes?.keeps(line, in: received.readable) ?? true
    {
      out.append(received.slice(line.name))
      out.append(": ")
      out.append(received.slice(line.value))
      out.append("\r\n")
    }
    if !upgrade.isEmpty { RequestWriter.writeUpgrade(to: upgrade, out) }
    out.append("\r\n")
  }

  private static func writeStatusLine(
    _ status: UInt16, phrase: Span<UInt8>, to out: Buffer
  ) {
    out.append("HTTP/1.1 ")
    out.append(decimal: UInt64(status))
    out.append(" ")
    out.append(phrase)
    out.append("\r\n")
  }

  private static func writeDate(to out: Buffer) {
    out.append("Date: ")
    var date: [UInt8] = []
    date.reserveCapacity(29)
    HTTPDate.append(epochSeconds: Clock.wallMs() / 1_000, to: &date)
    out.append(date)
    out.append("\r\n")
  }

  private static func writeConnection(
    _ connection: ServerConnection, closes: Bool, to out: Buffer
  ) {
    if closes {
      out.append("Connection: close\r\n")
    } else if connection.head.minorVersion == 0 {
      out.append("Connection: keep-alive\r\n")
    }
  }

  /// Puts an answer of the gateway's own into the caller's buffer, content included.
  ///
  /// - Parameters:
  ///   - fields: whole lines with their CRLFs, framing and connection aside.
  ///   - hasNoContent: of an answer to HEAD: the length is told and nothing sent.
  static func writeOwn(
    _ status: Int, fields: [UInt8], content: [UInt8], isHead: Bool, closes: Bool,
    to connection: ServerConnection
  ) {
    var out = connection.answerBuffer()
    let need = fields.count + content.count + ownBytesMax
    if out.room < need { out = connection.growAnswerBuffer(toAtLeast: out.count + need) }
    out.append("HTTP/1.1 ")
    out.append(decimal: UInt64(status))
    out.append(" ")
    out.append(StatusPhrase.of(status))
    out.append("\r\n")
    writeDate(to: out)
    out.append(fields)
    // RFC 9110 §8.6: no length where there can be no content.
    let mayHaveContent = status >= 200 && status != 204 && status != 304
    if mayHaveContent {
      out.append("Content-Length: ")
      out.append(decimal: UInt64(content.count))
      out.append("\r\n")
    }
    writeConnection(connection, closes: closes, to: out)
    out.append("\r\n")
    if mayHaveContent, !isHead { out.append(content) }
  }
}
