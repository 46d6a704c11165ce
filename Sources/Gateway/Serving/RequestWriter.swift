import HTTP
import Reactor
import Wire

/// Writes the request that goes to a server: anew, from what was parsed. Its framing is the
/// gateway's own, and what the gateway says of itself no caller can say.
enum RequestWriter {
  /// What the caller's own fields never do: framing and the connection are this hop's, forwarding
  /// fields and the request's id are the gateway's words, the credential is for the gateway.
  static let dropped = FieldNameSet([
    .host, .contentLength, .transferEncoding, .expect, .authorization, .forwarded,
    .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort, .xForwardedPrefix,
    .xForwardedOther, .xRequestID,
  ])

  /// Room for what the gateway adds beside the head received, the token and the path.
  private static let ownBytesMax = 1_024

  /// Puts the head into the connection's request buffer, enlarging it where it must.
  static func write(
    _ request: Request, _ bearing: borrowing Bearing, to server: Upstream.Server,
    _ forward: Route.Forward, pathRules: PathRules, into upstream: UpstreamConnection
  ) {
    let head = request.connection.head
    let path = request.path.forwarded(pathRules)
    let strippedCount = forward.paths?.strippedCount(of: path) ?? 0
    let setLines = forward.fields?.lines(for: request) ?? []
    var out = upstream.requestBuffer()
    let traceByteCount = forward.tellsTrace ? request.trace?.byteCountMax ?? 0 : 0
    // The authority may be written twice, all else of the head once.
    let need =
      head.byteCount + (head.authorityRange?.count ?? 0) + path.count + bearing.byteCount
      + server.authority.count + setLines.count + (forward.paths?.added.count ?? 0) + strippedCount
      + forward.hostLiteral.count + request.client.count + traceByteCount + ownBytesMax
    if out.room < need { out = upstream.growRequestBuffer(toAtLeast: need) }
    write(
      request, bearing, to: server, forward, path: path, strippedCount: strippedCount,
      setLines: setLines, into: out)
  }

  /// Writes the head into a buffer that has room for it.
  ///
  /// - Parameters:
  ///   - path: the one that goes on, before `forward.path` rewrites it.
  ///   - strippedCount: how much of its front doesn't.
  ///   - setLines: what `forward.headers` sets.
  static func write(
    _ request: Request, _ bearing: borrowing Bearing, to server: Upstream.Server,
    _ forward: Route.Forward, path: [UInt8], strippedCount: Int, setLines: [UInt8],
    into out: Buffer
  ) {
    let head = request.connection.head
    let received = request.connection.received
    out.append(received.slice(head.methodRange))
    out.append(" ")
    if head.targetForm == .asterisk {
      out.append("*")
    } else {
      if let paths = forward.paths {
        paths.write(path, strippedCount: strippedCount, to: out)
      } else {
        out.append(path)
      }
      if let query = head.query, let places = forward.places {
        places.writeQuery(query, keeping: kept(request, forward), received, out)
      } else if let query = head.query {
        out.append("?")
        out.append(received.slice(query))
      }
    }
    out.append(" HTTP/1.1\r\nHost: ")
    switch forward.hostPolicy {
    case .upstream: out.append(server.authority)
    case .literal: out.append(forward.hostLiteral)
    case .preserve:
      if let authority = head.authorityRange {
        out.append(received.slice(authority))
      } else {
        out.append(server.authority)
      }
    }
    out.append("\r\n")
    copyFields(of: request, forward, from: received, to: out)
    if !setLines.isEmpty { out.append(setLines) }
    writeFraming(of: head, to: out)
    if let upgrade = request.upgrade { writeUpgrade(to: upgrade, out) }
    writeMaxForwards(of: head, from: received, to: out)
    writeForwarding(of: request, forward, from: received, to: out)
    if forward.tellsTrace, let trace = request.trace {
      trace.write(to: out, tellsState: forward.tellsTraceState)
    }
    if strippedCount > 0 {
      out.append("X-Forwarded-Prefix: ")
      out.append(path.span.extracting(0..<strippedCount))
      out.append("\r\n")
    }
    bearing.writeAuthorization(from: received, to: out)
    out.append("\r\n")
  }

  /// Lines stand one behind the other, so each run of lines that go on is copied in one piece.
  private static func copyFields(
    of request: Request, _ forward: Route.Forward, from received: Buffer, to out: Buffer
  ) {
    let head = request.connection.head
    let stopped = forward.stopped
    var runStart = -1
    for line in head.fields {
      let isWithheld =
        line.isHopByHop
        || !forward.withheld.isEmpty
          && forward.withheld.contains { $0.matchesFolded(line, in: received.readable) }
      let goesOn =
        !isWithheld && !stopped.contains(line.known)
        && !(line.known == .maxForwards && head.method == .options)
      if goesOn {
        if runStart < 0 { runStart = Int(line.nameStart) }
        continue
      }
      if runStart >= 0 {
        out.append(received.slice(runStart..<Int(line.nameStart)))
        runStart = -1
      }
      if let places = forward.places, places.fields.contains(line.known), !isWithheld {
        places.writeField(line, of: request, keeping: kept(request, forward), received, out)
      }
    }
    // The empty line's CRLF is not the last field's.
    if runStart >= 0 { out.append(received.slice(runStart..<(head.byteCount - 2))) }
  }

  /// The place whose token goes on in it.
  private static func kept(_ request: Request, _ forward: Route.Forward) -> TokenSource? {
    forward.keepsToken ? request.tokenSource : nil
  }

  private static func writeFraming(of head: RequestHead, to out: Buffer) {
    switch head.framing {
    case .none, .untilClose: break
    case .length(let count):
      out.append("Content-Length: ")
      out.append(decimal: count)
      out.append("\r\n")
    case .chunked: out.append("Transfer-Encoding: chunked\r\n")
    }
    if head.expectsContinue { out.append("Expect: 100-continue\r\n") }
  }

  static func writeUpgrade(to name: [UInt8], _ out: Buffer) {
    out.append("Connection: upgrade\r\nUpgrade: ")
    out.append(name)
    out.append("\r\n")
  }

  /// RFC 9110 §7.6.2: one less than received.
  private static func writeMaxForwards(
    of head: RequestHead, from received: Buffer, to out: Buffer
  ) {
    guard case .options = head.method, let line = head.first(.maxForwards),
      let left = Decimal.parse(received.slice(line.value)), left > 0
    else { return }
    out.append("Max-Forwards: ")
    out.append(decimal: left - 1)
    out.append("\r\n")
  }

  private static func writeForwarding(
    of request: Request, _ forward: Route.Forward, from received: Buffer, to out: Buffer
  ) {
    let head = request.connection.head
    out.append("X-Forwarded-For: ")
    var isFirst = true
    if request.peer.isTrusted {
      // A trusted proxy's list, then the proxy itself.
      for line in head.fields
      where line.known == .xForwardedFor && !line.hasUnderscore && !line.value.isEmpty {
        if !isFirst { out.append(", ") }
        out.append(received.slice(line.value))
        isFirst = false
      }
    }
    // Who came by a unix socket has no address to be added.
    if isFirst || !request.peer.isLocal {
      if !isFirst { out.append(", ") }
      out.append(request.peer.address)
    }
    out.append("\r\nX-Forwarded-Proto: ")
    if request.peer.isTrusted, let line = head.first(.xForwardedProto),
      isScheme(received.slice(line.value))
    {
      out.append(received.slice(line.value))
    } else {
      out.append(request.listener.tls == nil ? "http" : "https")
    }
    if request.peer.isTrusted, let line = head.first(.xForwardedHost), !line.value.isEmpty {
      out.append("\r\nX-Forwarded-Host: ")
      out.append(received.slice(line.value))
    } else if let authority = head.authorityRange {
      out.append("\r\nX-Forwarded-Host: ")
      out.append(received.slice(authority))
    }
    out.append("\r\nX-Request-Id: ")
    out.append(request.id)
    if forward.via {
      out.append(head.minorVersion == 1 ? "\r\nVia: 1.1 tollgate" : "\r\nVia: 1.0 tollgate")
    }
    out.append("\r\n")
  }

  private static func isScheme(_ value: Span<UInt8>) -> Bool {
    func equals(_ text: [UInt8]) -> Bool {
      value.count == text.count && (0..<value.count).allSatisfy { text[$0] == value[$0] | 0x20 }
    }
    return equals(Array("http".utf8)) || equals(Array("https".utf8))
  }
}
