/// Bounds of a response's head. What is over them is the service's fault and ends as a 502.
package struct ResponseHeadLimits: Sendable, Equatable {
  /// The status line, all field lines and their CRLFs.
  package var headBytesMax: Int
  package var fieldCountMax: Int

  package init(headBytesMax: Int, fieldCountMax: Int = 256) {
    // Offsets are kept in 32 bits; no head comes near this.
    self.headBytesMax = min(max(headBytesMax, 0), 1 << 28)
    self.fieldCountMax = fieldCountMax
  }
}

/// Why a response's head cannot be passed on.
package enum ResponseFault: Error, Equatable, Sendable {
  case headTooLarge
  case tooManyFields
  case malformed(Malformation)
  case versionUnsupported
  /// A transfer coding in front of, or in place of, `chunked`; none was asked for.
  case transferCodingUnknown
}

/// Reads the heads of HTTP/1.1 and HTTP/1.0 responses (RFC 9112 §4 to §6).
///
/// As strict as the request's: a service that can be made to answer ambiguously splits the answers
/// of other callers on the same connection. How the content ends depends on the request's method,
/// so that is an argument. Interim heads (1xx) are heads of their own; the final one comes behind
/// them.
///
/// It is used as `RequestHeadParser` is, and promises the same about bytes that come piecemeal.
package struct ResponseHeadParser: Sendable {
  private enum Phase { case begin, statusLine, fields }

  package let limits: ResponseHeadLimits
  private var phase = Phase.begin
  private var scanner = LineScanner()

  package init(limits: ResponseHeadLimits) {
    self.limits = limits
  }

  /// Forgets a head that was begun. Not needed behind `.complete`.
  package mutating func reset() {
    phase = .begin
    scanner = LineScanner()
  }

  /// Goes on with the head that begins at the first byte; `method` is the request's.
  package mutating func parse(
    _ bytes: Span<UInt8>, answering method: Method, into head: inout ResponseHead
  ) throws(ResponseFault) -> HeadOutcome {
    while true {
      if phase == .begin {
        head.removeAll()
        phase = .statusLine
      }
      switch try nextLine(bytes) {
      case .incomplete: return .incomplete
      case .overLimit: throw .headTooLarge
      case .line(let start, let end):
        if phase == .statusLine {
          try head.readStatusLine(bytes, from: start, to: end)
          phase = .fields
        } else if start == end {
          head.byteCount = scanner.lineStart
          reset()
          try head.finish(bytes, answering: method)
          return .complete
        } else {
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
    _ bytes: Span<UInt8>
  ) throws(ResponseFault) -> LineScanner.Outcome {
    do throws(Malformation) {
      return try scanner.next(in: bytes, below: limits.headBytesMax)
    } catch {
      throw .malformed(error)
    }
  }
}

extension ResponseHead {
  /// What can be judged only when all fields are there.
  fileprivate func finish(
    _ bytes: Span<UInt8>, answering method: Method
  ) throws(ResponseFault) {
    let found: FieldFraming
    do throws(Malformation) {
      found = try section.framing(minorVersion: minorVersion)
    } catch {
      throw .malformed(error)
    }
    guard found != .unknownCoding else { throw .transferCodingUnknown }
    section.markNominated(bytes)
    keepAlive = !section.asksClose && (minorVersion > 0 || section.asksKeepAlive)
    upgradeAccepted = section.asksUpgrade && names.contains(.upgrade)

    // RFC 9112 §6.3, rules 1, 2, 4, 5 and 8. Fields that announce content are the truth about what
    // a GET would have got in an answer to HEAD and in a 304; elsewhere they are a mistake, and who
    // made it may send that content as well.
    let isSwitch = status == 101 || (method == .connect && (200..<300).contains(status))
    if isSwitch || isInterim || status == 204 {
      framing = .none
      if found != .absent, found != .length(0) { keepAlive = false }
    } else if method == .head || status == 304 {
      framing = .none
    } else {
      switch found {
      case .length(let count): framing = .length(count)
      case .chunked: framing = .chunked
      case .absent, .unknownCoding:
        framing = .untilClose
        keepAlive = false
      }
    }
  }
}
