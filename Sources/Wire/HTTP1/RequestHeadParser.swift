/// Bounds of a request's head.
package struct RequestHeadLimits: Sendable, Equatable {
  /// The request line without its CRLF; more is 414.
  package var requestLineBytesMax: Int
  /// All field lines with their CRLFs and the empty line behind them; more is 431.
  package var headBytesMax: Int
  /// Field lines; more are 431.
  package var fieldCountMax: Int

  package init(requestLineBytesMax: Int, headBytesMax: Int, fieldCountMax: Int) {
    // Offsets are kept in 32 bits; no head comes near this.
    let ceiling = 1 << 28
    self.requestLineBytesMax = min(max(requestLineBytesMax, 0), ceiling)
    self.headBytesMax = min(max(headBytesMax, 0), ceiling)
    self.fieldCountMax = fieldCountMax
  }
}

/// Why a request's head cannot be served; each case is one answer.
package enum RequestFault: Error, Equatable, Sendable {
  /// 414
  case requestLineTooLong
  /// 431
  case headersTooLarge
  /// 431
  case tooManyFields
  /// 400
  case malformed(Malformation)
  /// 505
  case versionUnsupported
  /// 501: a transfer coding in front of, or in place of, `chunked`.
  case transferCodingUnknown
  /// 501
  case connectMethod
  /// 417: an Expect other than `100-continue`.
  case expectationFailed
}

/// Whether a head is whole.
package enum HeadOutcome: Equatable, Sendable {
  /// All bytes were looked at; more must come.
  case incomplete
  case complete
}

/// Reads the heads of HTTP/1.1 and HTTP/1.0 requests (RFC 9112 §2 to §6).
///
///     [CRLF] METHOD SP TARGET SP VERSION CRLF *(name ":" OWS value OWS CRLF) CRLF
///
/// What callers send is what attackers send, and nearly every attack on a gateway is a message
/// that it and the service behind it read in two ways. So there is one reading here or none: lines
/// end in CRLF, one framing field, one Host, one authority, and everything that RFC 9112 merely
/// lets a recipient mend is refused. The one exception is an empty line before the request line,
/// which old clients send behind a POST's content (§2.2).
///
/// It judges the head alone. Whether a method, path or field is welcome is its caller's business,
/// and it owns neither the bytes nor the head: `parse` is handed both. The bytes' index 0 is the
/// head's first; after `.incomplete` the same bytes and more are handed in, and none is scanned
/// twice.
package struct RequestHeadParser: Sendable {
  private enum Phase {
    /// Nothing of this head was seen.
    case begin
    case requestLine
    /// The field lines, the first of which begins at `start`.
    case fields(start: Int)
  }

  package let limits: RequestHeadLimits
  private var phase = Phase.begin
  private var scanner = LineScanner()
  private var skippedEmptyLine = false

  package init(limits: RequestHeadLimits) {
    self.limits = limits
  }

  /// Forgets a head that was begun. Not needed behind `.complete`, and of no use behind a fault:
  /// the connection can't go on then.
  package mutating func reset() {
    phase = .begin
    scanner = LineScanner()
    skippedEmptyLine = false
  }

  /// Goes on with the head that begins at the first byte.
  ///
  /// After `.complete`, `head` is whole and the parser ready for the next one. `head` must be the
  /// same from call to call until then, and means nothing before.
  package mutating func parse(
    _ bytes: Span<UInt8>, into head: inout RequestHead
  ) throws(RequestFault) -> HeadOutcome {
    while true {
      switch phase {
      case .begin:
        head.removeAll()
        phase = .requestLine
      case .requestLine:
        // Both ends of the line must lie below this.
        let limit = scanner.lineStart + limits.requestLineBytesMax + 2
        switch try nextLine(bytes, below: limit) {
        case .incomplete: return .incomplete
        case .overLimit: throw .requestLineTooLong
        case .line(let start, let end):
          if start == end {
            guard !skippedEmptyLine else { throw .malformed(.requestLineInvalid) }
            skippedEmptyLine = true
          } else {
            try head.readRequestLine(bytes, from: start, to: end)
            phase = .fields(start: scanner.lineStart)
          }
        }
      case .fields(let sectionStart):
        switch try nextLine(bytes, below: sectionStart + limits.headBytesMax) {
        case .incomplete: return .incomplete
        case .overLimit: throw .headersTooLarge
        case .line(let start, let end):
          if start == end {
            head.byteCount = scanner.lineStart
            reset()
            try head.finish(bytes)
            return .complete
          }
          guard head.section.lines.count < limits.fieldCountMax else { throw .tooManyFields }
          do throws(Malformation) {
            try head.section.append(bytes, from: start, to: end)
          } catch {
            throw .malformed(error)
          }
        }
      }
    }
  }

  private mutating func nextLine(
    _ bytes: Span<UInt8>, below limit: Int
  ) throws(RequestFault) -> LineScanner.Outcome {
    do throws(Malformation) {
      return try scanner.next(in: bytes, below: limit)
    } catch {
      throw .malformed(error)
    }
  }
}

extension RequestHead {
  /// What can be judged only when all fields are there.
  fileprivate func finish(_ bytes: Span<UInt8>) throws(RequestFault) {
    try readHost(bytes)
    try readFraming()
    try readExpectations(bytes)
    section.markNominated(bytes)
    // RFC 9112 §9.3: close wins; HTTP/1.0 stays open only when asked to.
    keepAlive = !section.asksClose && (minorVersion > 0 || section.asksKeepAlive)
    upgradeRequested = minorVersion > 0 && section.asksUpgrade && names.contains(.upgrade)
  }

  /// RFC 9112 §3.2: HTTP/1.1 has exactly one Host; where the target has an authority as well, both
  /// must lead to the same place. (The RFC lets the target win; what is behind us may not.)
  private func readHost(_ bytes: Span<UInt8>) throws(RequestFault) {
    guard section.hostIndex >= 0 else {
      guard minorVersion == 0 else { throw .malformed(.hostMissing) }
      return
    }
    let range = section.lines[section.hostIndex].value
    var host = Authority()
    let hasTarget = authorityRange != nil
    do throws(Authority.Fault) {
      if hasTarget {
        try host.parse(bytes.extracting(range))
      } else {
        // Into the head's own array, which has room already.
        try authority.parse(bytes.extracting(range))
      }
    } catch {
      throw .malformed(.hostInvalid)
    }
    guard hasTarget else {
      authorityRange = range
      return
    }
    guard host.isSame(as: authority, defaultPort: (scheme ?? .http).defaultPort) else {
      throw .malformed(.authorityDisagrees)
    }
  }

  private func readFraming() throws(RequestFault) {
    let found: FieldFraming
    do throws(Malformation) {
      found = try section.framing(minorVersion: minorVersion)
    } catch {
      throw .malformed(error)
    }
    switch found {
    case .absent: framing = .none
    case .length(let count): framing = .length(count)
    case .chunked: framing = .chunked
    case .unknownCoding: throw .transferCodingUnknown
    }
  }

  /// RFC 9110 §10.1.1: `100-continue` is the only expectation there is, and HTTP/1.0 has none.
  private func readExpectations(_ bytes: Span<UInt8>) throws(RequestFault) {
    guard names.contains(.expect) else { return }
    for line in section.lines where line.known == .expect && !line.hasUnderscore {
      guard Self.isContinue(bytes.extracting(line.value)) else { throw .expectationFailed }
    }
    expectsContinue = minorVersion > 0 && framing != .none && framing != .length(0)
  }

  private static func isContinue(_ value: Span<UInt8>) -> Bool {
    let name = ScannedName(in: value, from: 0, to: value.count)
    return name.isContinue && name.end == value.count && !name.hasUnderscore
  }
}
