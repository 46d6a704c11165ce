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
  private let lines = Buffer(capacity: AccessLog.batchBytes + AccessLog.lineBytesUsual)
  private var isRetired = false
  private var timeSecond = Int64.min
  private var timePrefix: [UInt8] = []
  /// Of a line that is no JSON object.
  private var noted = NotedValues()
  /// What is made of them; empty where lines are JSON objects.
  private var line: [UInt8] = []

  /// A batch is handed over at this size, or after `delayMs`.
  private static let batchBytes = 64 << 10
  private static let delayMs: Int64 = 25
  private static let lineBytesUsual = 16 << 10
  /// More than any value that is appended whole or not at all: while so much room is left, nothing
  /// was left out.
  private static let roomLeftMin = 256

  init(_ settings: AccessLogSettings, writer: LogWriter, configDigest: String, loop: EventLoop) {
    self.writer = writer
    layout = LogLayout(settings)
    sample = settings.sample
    var json: [UInt8] = []
    JSONWriter.appendString(configDigest, to: &json)
    configJSON = json
    self.loop = loop
    flushWaiter = Waiter(on: loop)
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
    let start = lines.count
    while !append(request, endedNs) {
      // Written again, with as much room as it takes.
      lines.truncate(to: start)
      lines.grow(to: lines.capacity * 2)
    }
    if lines.count >= Self.batchBytes || isRetired {
      flush()
    } else if mustArm {
      flushWaiter.signal()
    }
  }

  /// Hands over what there is.
  func flush() {
    if lines.isEmpty { return }
    let lines = lines
    writer.write([UInt8](copying: lines.readable))
    lines.removeAll()
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

  /// - Returns: whether there was room for all of it.
  private func append(_ request: Request, _ endedNs: Int64) -> Bool {
    let start = lines.count
    appendValues(of: request, endedNs, from: start)
    // A line that is made of its values can be shorter than they.
    let areValuesWhole = lines.room >= Self.roomLeftMin
    switch layout.arrangement {
    case .object:
      if layout.dialect == .ecs { appendConstants(status: request.record.status) }
      if lines.count == start { lines.append(byte: UInt8(ascii: ",")) }
      lines.overwrite(UInt8(ascii: "{"), at: start)
      lines.append("}")
    case .logfmt:
      noteValues(from: start)
      noted.appendLogfmt(to: &line)
    case .combined:
      noteValues(from: start)
      noted.appendCombined(at: LogTime.combined(epochSeconds: timeSecond), to: &line)
    case .template(let parts):
      noteValues(from: start)
      noted.append(parts, to: &line)
    }
    lines.append(line)
    lines.append("\n")
    return areValuesWhole && lines.room >= Self.roomLeftMin
  }

  private func noteValues(from start: Int) {
    line.removeAll(keepingCapacity: true)
    let lines = lines
    noted.take(lines.slice(start..<lines.count))
    lines.truncate(to: start)
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
    if key(.id) { appendPlain(request.id) }
    if key(.listener) { lines.append(request.listener.nameJSON) }
    if key(.client) { appendPlain(request.client) }
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
        appendJSON(certificate.subject)
      }
    }
    if head.byteCount > 0, let agent = head.first(.userAgent), key(.userAgent) {
      string(agent.value.prefix(Limits.loggedAgentBytesMax))
    }
    if let route = request.record.route, key(.route) { lines.append(route.nameJSON) }
    if key(.status) { appendNumber(request.record.status) }
    if let reason = request.record.reason, key(.reason) {
      appendJSON(reason.word)
    }
    if let caller = request.record.caller {
      if key(.issuer) { lines.append(caller.issuerNameJSON) }
      if !caller.jtiJSON.isEmpty, key(.jti) { lines.append(caller.jtiJSON) }
      if isWanted(.claims) {
        appendClaims(caller.claimsJSON, request.record.clientIDJSON, from: start)
      }
      if key(.identity) { lines.append(caller.identityJSON) }
      if !caller.identityRuleJSON.isEmpty, key(.identityRule) {
        lines.append(caller.identityRuleJSON)
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
        lines.append(byte: UInt8(ascii: "\""))
        lines.append(request.record.exchange.word)
        lines.append(byte: UInt8(ascii: "\""))
      }
    }
    if !request.record.exchangeError.isEmpty, key(.exchangeError) {
      appendJSON(request.record.exchangeError)
    }
    if !request.record.audienceJSON.isEmpty, key(.audience) {
      lines.append(request.record.audienceJSON)
    }
    if !request.record.upstreamJSON.isEmpty, key(.upstream) {
      lines.append(request.record.upstreamJSON)
    }
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
      var text: [UInt8] = []
      trace.append(to: &text)
      appendPlain(text)
    }
    if let aborted = request.record.aborted, key(.aborted) {
      lines.append(aborted == .client ? "\"client\"" : "\"upstream\"")
    }
    if key(.config) { lines.append(configJSON) }
  }

  /// A string. What needs no escape, as most of them, is copied as a whole.
  private func appendText(_ text: Span<UInt8>) {
    var index = 0
    while index < text.count, Self.isPlain(text[index]) { index &+= 1 }
    if index == text.count { appendPlain(text) } else { appendJSON(text) }
  }

  private func appendText(_ text: [UInt8]) { appendText(text.span) }

  /// A string in which nothing can need an escape.
  private func appendPlain(_ text: Span<UInt8>) {
    lines.append(byte: UInt8(ascii: "\""))
    lines.append(text)
    lines.append(byte: UInt8(ascii: "\""))
  }

  private func appendPlain(_ text: [UInt8]) { appendPlain(text.span) }

  private func appendJSON(_ text: Span<UInt8>) {
    var json: [UInt8] = []
    JSONWriter.appendString(text, to: &json)
    lines.append(json)
  }

  private func appendJSON(_ text: String) { appendJSON(text.utf8Span.span) }

  private func appendJSON(_ text: [UInt8]) { appendJSON(text.span) }

  @inline(__always)
  private static func isPlain(_ byte: UInt8) -> Bool {
    byte &- 0x20 < 0x5F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }

  /// The claims configured, and the client's id where it is not among them.
  private func appendClaims(_ claims: [UInt8], _ clientID: [UInt8], from start: Int) {
    if claims.isEmpty, clientID.isEmpty { return }
    guard case .object = layout.arrangement else {
      noted.begin(.claims, at: lines.count - start)
      lines.append(claims)
      if !clientID.isEmpty {
        lines.append(claims.isEmpty ? "\"client_id\":" : ",\"client_id\":")
        lines.append(clientID)
      }
      return
    }
    if layout.dialect == .own {
      if !claims.isEmpty {
        lines.append(byte: UInt8(ascii: ","))
        lines.append(claims)
      }
    } else {
      JSONMembers.each(of: claims.span) { name, value in
        lines.append(",\"")
        lines.append(LogNames.claimPrefix)
        lines.append(name)
        lines.append("\":")
        lines.append(value)
      }
    }
    if clientID.isEmpty { return }
    lines.append(",\"")
    if layout.dialect != .own { lines.append(LogNames.claimPrefix) }
    lines.append("client_id\":")
    lines.append(clientID)
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
    if layout.dialect == .own { return appendJSON(version) }
    // "1.3" of "TLSv1.3"
    appendJSON(String(version.drop { !$0.isNumber }))
  }

  private func appendNumber(_ number: UInt64) { lines.append(decimal: number) }

  /// None that is told is below 0.
  private func appendNumber(_ number: Int) { appendNumber(UInt64(clamping: number)) }

  /// The three digits of a number below a thousand.
  private func appendDigits(_ number: UInt64) {
    lines.append(byte: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / 100 % 10))
    lines.append(byte: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / 10 % 10))
    lines.append(byte: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10))
  }

  /// A number with three decimals.
  private func appendThousandths(_ thousandths: Int64) {
    let thousandths = UInt64(clamping: thousandths)
    appendNumber(thousandths / 1_000)
    lines.append(byte: UInt8(ascii: "."))
    appendDigits(thousandths % 1_000)
  }

  /// Seconds with six decimals.
  private func appendSeconds(_ ns: Int64) {
    let micros = max(0, ns / 1_000)
    appendNumber(Int(micros / 1_000_000))
    lines.append(byte: UInt8(ascii: "."))
    appendDigits(UInt64(micros / 1_000 % 1_000))
    appendDigits(UInt64(micros % 1_000))
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
    lines.append(byte: UInt8(ascii: "\""))
    lines.append(timePrefix)
    lines.append(byte: UInt8(ascii: "."))
    appendDigits(UInt64(rest))
    lines.append("Z\"")
  }
}
