import HTTP
import Reactor
import Wire

/// One worker's access log: lines are put together in a buffer and handed to the writer's thread
/// in batches.
final class AccessLog {
  private let writer: LogWriter
  private let layout: LogLayout
  private let sample: AccessLogSettings.Sample?
  private let configJSON: [UInt8]
  private let loop: EventLoop
  private let flushWaiter: Waiter
  private var lines: [UInt8] = []
  private var isRetired = false
  private var timeSecond = Int64.min
  private var timePrefix: [UInt8] = []
  /// Of a line that is no JSON object.
  private var noted = NotedValues()

  /// A batch is handed over at this size, or after `delayMs`.
  private static let batchBytes = 64 << 10
  private static let delayMs: Int64 = 25

  init(_ settings: AccessLogSettings, writer: LogWriter, configDigest: String, loop: EventLoop) {
    self.writer = writer
    layout = LogLayout(settings)
    sample = settings.sample
    var json: [UInt8] = []
    JSONWriter.appendString(configDigest, to: &json)
    configJSON = json
    self.loop = loop
    flushWaiter = Waiter(on: loop)
    lines.reserveCapacity(Self.batchBytes + 4096)
  }

  /// Another takes its place; the lines of requests that still end here are handed over at once.
  func retire() {
    isRetired = true
    flush()
    flushWaiter.signal()
  }

  /// Writes the line of a request whose answer has ended.
  func write(_ request: Request, endedNs: Int64) {
    if let sample {
      let rate = sample.rate(of: request.record.status)
      if rate < 1, Double.random(in: 0..<1) >= rate { return }
    }
    let mustArm = lines.isEmpty
    append(request, endedNs)
    if lines.count >= Self.batchBytes || isRetired {
      flush()
    } else if mustArm {
      flushWaiter.signal()
    }
  }

  /// Hands over what there is.
  func flush() {
    if lines.isEmpty { return }
    writer.write(lines)
    lines.removeAll(keepingCapacity: true)
  }

  /// Hands over what has waited long enough, until `retire`; the worker runs it as a task.
  func flushRegularly() async {
    while !isRetired {
      _ = await flushWaiter.wait()
      // Only the deadline counts now: one signal a batch.
      _ = await flushWaiter.wait(untilMs: loop.nowMs + Self.delayMs)
      flush()
    }
  }

  private func append(_ request: Request, _ endedNs: Int64) {
    let start = lines.count
    appendValues(of: request, endedNs, from: start)
    switch layout.arrangement {
    case .object:
      if layout.dialect == .ecs { appendConstants(status: request.record.status) }
      if lines.count == start { lines.append(UInt8(ascii: ",")) }
      lines[start] = UInt8(ascii: "{")
      lines.append("}\n")
    case .logfmt:
      noteValues(from: start)
      noted.appendLogfmt(to: &lines)
      lines.append(UInt8(ascii: "\n"))
    case .combined:
      noteValues(from: start)
      noted.appendCombined(at: LogTime.combined(epochSeconds: timeSecond), to: &lines)
      lines.append(UInt8(ascii: "\n"))
    case .template(let parts):
      noteValues(from: start)
      noted.append(parts, to: &lines)
      lines.append(UInt8(ascii: "\n"))
    }
  }

  private func noteValues(from start: Int) {
    noted.take(lines[start...])
    lines.removeSubrange(start...)
  }

  /// The values, each behind its name, or bare and noted where they are put together later.
  private func appendValues(of request: Request, _ endedNs: Int64, from start: Int) {
    // The record is read where it is: a copy counts the references of all that it holds.
    let head = request.connection.head
    let buffer = request.connection.received
    let wanted = layout.wanted
    let dialect = layout.dialect
    let names: [StaticString]
    if case .object(let given) = layout.arrangement {
      names = given
    } else {
      names = []
      noted.clear()
    }

    func isWanted(_ field: AccessLogField) -> Bool { wanted & (1 << UInt64(field.rawValue)) != 0 }
    func key(_ field: AccessLogField) -> Bool {
      guard isWanted(field) else { return false }
      if names.isEmpty {
        noted.begin(field, at: lines.count - start)
      } else {
        lines.append(names[Int(field.rawValue)])
      }
      return true
    }
    func string(_ range: Range<Int>?) {
      if let range, range.upperBound <= buffer.count {
        appendText(buffer.slice(range))
      } else {
        lines.append("\"\"")
      }
    }

    func part(_ field: AccessLogField, _ ns: Int64) {
      if ns > 0, key(field) { appendThousandths(ns / 1_000) }
    }

    if key(.time) { appendTime(Clock.wallMs()) }
    if key(.id) { appendText(request.id) }
    if key(.listener) { lines += request.listener.nameJSON }
    if key(.client) { appendText(request.client) }
    if head.byteCount > 0 {
      if key(.method) {
        if dialect == .otel, case .other = head.method {
          // OpenTelemetry: what is no registered method has one name.
          lines.append("\"_OTHER\",\"http.request.method_original\":")
        }
        string(head.methodRange)
      }
      if !request.host.isEmpty, key(.host) { appendText(request.host) }
      if key(.path) {
        if request.path.merged.isEmpty {
          string(head.path)
        } else {
          appendText(request.path.merged)
        }
      }
      if key(.protocol) {
        let isNew = head.minorVersion == 1
        switch dialect {
        case .own: lines.append(isNew ? "\"HTTP/1.1\"" : "\"HTTP/1.0\"")
        case .otel, .ecs: lines.append(isNew ? "\"1.1\"" : "\"1.0\"")
        }
      }
    }
    if let tls = request.connection.stream.tls {
      if key(.tls) { appendVersion(of: tls) }
      if let certificate = tls.clientCertificate, key(.tlsClient) {
        JSONWriter.appendString(certificate.subject, to: &lines)
      }
    }
    if head.byteCount > 0, let agent = head.first(.userAgent), key(.userAgent) {
      string(agent.value.prefix(Limits.loggedAgentBytesMax))
    }
    if let route = request.record.route, key(.route) { lines += route.nameJSON }
    if key(.status) { appendNumber(request.record.status) }
    if let reason = request.record.reason, key(.reason) {
      JSONWriter.appendString(reason.word, to: &lines)
    }
    if let caller = request.record.caller {
      if key(.issuer) { lines += caller.issuerNameJSON }
      if !caller.jtiJSON.isEmpty, key(.jti) { lines += caller.jtiJSON }
      if isWanted(.claims) {
        appendClaims(caller.claimsJSON, request.record.clientIDJSON, from: start)
      }
      if key(.identity) { lines += caller.identityJSON }
      if !caller.identityRuleJSON.isEmpty, key(.identityRule) {
        lines += caller.identityRuleJSON
      }
    }
    if request.record.route != nil {
      if key(.auth) {
        switch request.record.authentication {
        case .none: lines.append("\"none\"")
        case .verified: lines.append("\"verified\"")
        case .cached: lines.append("\"cached\"")
        }
      }
      if key(.exchange) {
        lines.append(UInt8(ascii: "\""))
        lines.append(request.record.exchange.word)
        lines.append(UInt8(ascii: "\""))
      }
    }
    if !request.record.exchangeError.isEmpty, key(.exchangeError) {
      JSONWriter.appendString(request.record.exchangeError, to: &lines)
    }
    if !request.record.audienceJSON.isEmpty, key(.audience) { lines += request.record.audienceJSON }
    if !request.record.upstreamJSON.isEmpty, key(.upstream) { lines += request.record.upstreamJSON }
    if request.record.upstreamStatus > 0, key(.upstreamStatus) {
      appendNumber(request.record.upstreamStatus)
    }
    if request.record.attempts > 0, key(.attempts) { appendNumber(request.record.attempts) }
    if key(.bytesIn) {
      appendNumber(request.connection.content.byteCount + request.record.tunnelBytesIn)
    }
    if key(.bytesOut) {
      appendNumber(request.connection.bytesWritten - request.record.bytesWrittenBefore)
    }
    if key(.durationMs) {
      let ns = endedNs - request.record.startedNs
      switch dialect {
      case .own: appendThousandths(ns / 1_000)
      case .otel: appendSeconds(ns)
      case .ecs: appendNumber(Int(ns))
      }
    }
    part(.authMs, request.record.authNs)
    part(.exchangeMs, request.record.exchangeNs)
    part(.connectMs, request.record.connectNs)
    part(.firstByteMs, request.record.firstByteNs)
    if isWanted(.trace), let trace = request.traceID, key(.trace) {
      lines.append(UInt8(ascii: "\""))
      trace.append(to: &lines)
      lines.append(UInt8(ascii: "\""))
    }
    if let aborted = request.record.aborted, key(.aborted) {
      lines.append(aborted == .client ? "\"client\"" : "\"upstream\"")
    }
    if key(.config) { lines += configJSON }
  }

  /// A string. What needs no escape, as most of them, is copied as a whole.
  private func appendText(_ text: Span<UInt8>) {
    var index = 0
    while index < text.count, Self.isPlain(text[index]) { index &+= 1 }
    guard index == text.count else { return JSONWriter.appendString(text, to: &lines) }
    lines.append(UInt8(ascii: "\""))
    lines.append(copying: text)
    lines.append(UInt8(ascii: "\""))
  }

  private func appendText(_ text: [UInt8]) { appendText(text.span) }

  @inline(__always)
  private static func isPlain(_ byte: UInt8) -> Bool {
    byte &- 0x20 < 0x5F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }

  /// The claims configured, and the client's id where it is not among them.
  private func appendClaims(_ claims: [UInt8], _ clientID: [UInt8], from start: Int) {
    if claims.isEmpty, clientID.isEmpty { return }
    guard case .object = layout.arrangement else {
      noted.begin(.claims, at: lines.count - start)
      lines += claims
      if !clientID.isEmpty {
        lines.append(claims.isEmpty ? "\"client_id\":" : ",\"client_id\":")
        lines += clientID
      }
      return
    }
    if layout.dialect == .own {
      if !claims.isEmpty {
        lines.append(UInt8(ascii: ","))
        lines += claims
      }
    } else {
      JSONMembers.each(of: claims.span) { name, value in
        lines.append(",\"")
        lines.append(LogNames.claimPrefix)
        lines.append(copying: name)
        lines.append("\":")
        lines.append(copying: value)
      }
    }
    if clientID.isEmpty { return }
    lines.append(",\"")
    if layout.dialect != .own { lines.append(LogNames.claimPrefix) }
    lines.append("client_id\":")
    lines += clientID
  }

  /// What ECS wants in every event.
  private func appendConstants(status: Int) {
    lines.append(
      ",\"ecs.version\":\"8.11.0\",\"event.kind\":\"event\",\"event.category\":[\"web\"]")
    lines.append(",\"event.dataset\":\"tollgate.access\",\"event.outcome\":\"")
    lines.append(status >= 400 ? "failure\"" : "success\"")
  }

  private func appendVersion(of tls: TLSSession) {
    let version = tls.version
    if layout.dialect == .own { return JSONWriter.appendString(version, to: &lines) }
    // "1.3" of "TLSv1.3"
    JSONWriter.appendString(String(version.drop { !$0.isNumber }), to: &lines)
  }

  private func appendNumber(_ number: UInt64) { Decimal.append(number, to: &lines) }

  /// None that is told is below 0.
  private func appendNumber(_ number: Int) { appendNumber(UInt64(clamping: number)) }

  /// A number with three decimals.
  private func appendThousandths(_ thousandths: Int64) {
    let thousandths = UInt64(clamping: thousandths)
    appendNumber(thousandths / 1_000)
    lines.append(UInt8(ascii: "."))
    Decimal.append(thousandths % 1_000, digits: 3, to: &lines)
  }

  /// Seconds with six decimals.
  private func appendSeconds(_ ns: Int64) {
    let micros = max(0, ns / 1_000)
    appendNumber(Int(micros / 1_000_000))
    lines.append(UInt8(ascii: "."))
    Decimal.append(UInt64(micros % 1_000_000), digits: 6, to: &lines)
  }

  /// RFC 3339 with milliseconds; the part up to the second is made once a second.
  private func appendTime(_ nowMs: Int64) {
    let second = nowMs / 1_000
    if second != timeSecond {
      timeSecond = second
      timePrefix.removeAll(keepingCapacity: true)
      RFC3339.append(epochMs: second * 1_000, to: &timePrefix)
      // "2026-11-22T10:20:30" of "2026-11-22T10:20:30.000Z"
      timePrefix.removeLast(min(5, timePrefix.count))
    }
    let rest = nowMs % 1_000
    lines.append(UInt8(ascii: "\""))
    lines += timePrefix
    lines.append(UInt8(ascii: "."))
    lines.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / 100))
    lines.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / 10 % 10))
    lines.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
    lines.append("Z\"")
  }
}
