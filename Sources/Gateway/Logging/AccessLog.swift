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
  /// Its memory is handed over, and that of one written before comes back.
  private var batch: [UInt8] = []
  private var isRetired = false
  private var clocksComparedNs = Int64.min / 2
  private var wallOffsetNs: Int64 = 0
  private var timeSecond = Int64.min
  private let timePrefix = Buffer(capacity: 32)
  /// Of a line that is no JSON object.
  private var noted = NotedValues()
  /// What is made of them; empty where lines are JSON objects.
  private var line: [UInt8] = []

  private static let clocksComparedEveryNs: Int64 = 100_000_000
  /// A batch is handed over at this size, or after `delayMs`.
  private static let batchBytes = 256 << 10
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
    batch.append(copying: lines.readable)
    lines.removeAll()
    writer.take(&batch)
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
    let connection = request.connection
    let head = connection.head
    let buffer = connection.received
    let dialect = layout.dialect
    if layout.names.isEmpty { noted.clear() }

    func key(_ field: AccessLogField) -> Bool { begin(field, from: start) }
    func quoted(_ field: AccessLogField, _ text: Span<UInt8>) {
      guard layout.wants(field) else { return }
      if layout.names.isEmpty {
        noted.begin(field, at: lines.count - start)
        if !lines.append("", quoting: text) { appendJSON(text) }
      } else {
        let name = layout.names[Int(field.rawValue)]
        if lines.append(name, quoting: text) { return }
        lines.append(name)
        appendJSON(text)
      }
    }
    func quoted(_ field: AccessLogField, _ text: [UInt8]) { quoted(field, text.span) }
    func quoted(_ field: AccessLogField, _ range: Range<Int>?) {
      if let range, range.upperBound <= buffer.count {
        quoted(field, buffer.slice(range))
      } else if key(field) {
        lines.append("\"\"")
      }
    }
    func part(_ field: AccessLogField, _ ns: Int64) {
      if ns > 0, key(field) { appendThousandths(ns / 1_000) }
    }

    if key(.time) { appendTime(wallMs(endedNs)) }
    quoted(.id, request.id)
    if key(.listener) { lines.append(request.listener.nameJSON) }
    quoted(.client, request.client)
    if head.byteCount > 0 {
      if dialect == .otel, layout.wants(.method), case .other = head.method {
        // OpenTelemetry: what is no registered method has one name.
        if key(.method) { lines.append("\"_OTHER\"") }
        lines.append(",\"http.request.method_original\":")
        if head.methodRange.upperBound <= buffer.count {
          appendJSON(buffer.slice(head.methodRange))
        } else {
          lines.append("\"\"")
        }
      } else {
        quoted(.method, head.methodRange)
      }
      if !request.host.isEmpty { quoted(.host, request.host) }
      if request.path.merged.isEmpty {
        quoted(.path, head.path)
      } else {
        quoted(.path, request.path.merged)
      }
      if key(.protocol) {
        let isNew = head.minorVersion == 1
        switch dialect {
        case .own: lines.append(isNew ? "\"HTTP/1.1\"" : "\"HTTP/1.0\"")
        case .otel, .ecs: lines.append(isNew ? "\"1.1\"" : "\"1.0\"")
        }
      }
    }
    if let tls = connection.stream.tls {
      if key(.tls) { appendVersion(of: tls) }
      if let certificate = tls.clientCertificate, key(.tlsClient) {
        appendJSON(certificate.subject)
      }
    }
    if head.byteCount > 0, let agent = head.first(.userAgent) {
      quoted(.userAgent, agent.value.prefix(Limits.loggedAgentBytesMax))
    }
    if let route = request.record.route, key(.route) { lines.append(route.nameJSON) }
    if key(.status) { appendNumber(request.record.status) }
    if let reason = request.record.reason, key(.reason) {
      appendJSON(reason.word)
    }
    if let caller = request.record.caller {
      if layout.names.isEmpty || !request.record.clientIDJSON.isEmpty {
        append(caller.logged, clientID: request.record.clientIDJSON, from: start)
      } else {
        lines.append(caller.logged.members(in: layout))
      }
    }
    if request.record.route != nil {
      let (authentication, exchange) = (request.record.authentication, request.record.exchange)
      if layout.names.isEmpty {
        if key(.auth) { appendWord(authentication.word) }
        if key(.exchange) { appendWord(exchange.word) }
      } else {
        lines.append(layout.outcome(authentication, exchange))
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
      appendNumber(connection.content.byteCount + request.record.tunnelBytesIn)
    }
    if key(.bytesOut) {
      appendNumber(connection.bytesWritten - request.record.bytesWrittenBefore)
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
    if layout.wants(.trace), let trace = request.traceID {
      var text: [UInt8] = []
      trace.append(to: &text)
      quoted(.trace, text)
    }
    if let aborted = request.record.aborted, key(.aborted) {
      lines.append(aborted == .client ? "\"client\"" : "\"upstream\"")
    }
    if key(.config) { lines.append(configJSON) }
  }

  /// Begins a value.
  ///
  /// - Returns: whether a line has it.
  @inline(__always)
  private func begin(_ field: AccessLogField, from start: Int) -> Bool {
    guard layout.wants(field) else { return false }
    if layout.names.isEmpty {
      noted.begin(field, at: lines.count - start)
    } else {
      lines.append(layout.names[Int(field.rawValue)])
    }
    return true
  }

  private func appendWord(_ word: StaticString) {
    lines.append("\"")
    lines.append(word)
    lines.append("\"")
  }

  private func appendJSON(_ text: Span<UInt8>) {
    var json: [UInt8] = []
    JSONWriter.appendString(text, to: &json)
    lines.append(json)
  }

  private func appendJSON(_ text: String) { appendJSON(text.utf8Span.span) }

  private func appendJSON(_ text: [UInt8]) { appendJSON(text.span) }

  /// A caller, where its members are not written as one.
  private func append(_ caller: LoggedCaller, clientID: [UInt8], from start: Int) {
    func value(_ field: AccessLogField, _ text: ArraySlice<UInt8>) {
      if !text.isEmpty, begin(field, from: start) { lines.append(text.span) }
    }
    value(.issuer, caller.issuer)
    value(.jti, caller.tokenID)
    if layout.wants(.claims) { appendClaims(Array(caller.claims), clientID, from: start) }
    value(.identity, caller.identity)
    value(.identityRule, caller.identityRule)
  }

  /// The claims configured, and the client's id where it is not among them.
  private func appendClaims(_ claims: [UInt8], _ clientID: [UInt8], from start: Int) {
    if claims.isEmpty, clientID.isEmpty { return }
    if layout.names.isEmpty {
      noted.begin(.claims, at: lines.count - start)
      lines.append(claims)
      if clientID.isEmpty { return }
      lines.append(claims.isEmpty ? "\"client_id\":" : ",\"client_id\":")
      lines.append(clientID)
      return
    }
    var members: [UInt8] = []
    layout.append(claims: claims, to: &members)
    lines.append(members)
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

  /// A number with three decimals.
  private func appendThousandths(_ thousandths: Int64) {
    lines.append(UInt64(clamping: thousandths), decimals: 3)
  }

  /// Seconds with six decimals.
  private func appendSeconds(_ ns: Int64) {
    lines.append(UInt64(clamping: ns / 1_000), decimals: 6)
  }

  /// Milliseconds since 1970 at an instant of the monotonic clock; how the two clocks differ is
  /// looked at now and then.
  private func wallMs(_ ns: Int64) -> Int64 {
    if ns - clocksComparedNs > Self.clocksComparedEveryNs {
      clocksComparedNs = Clock.monotonicNs()
      wallOffsetNs = Clock.wallNs() - clocksComparedNs
    }
    return (ns + wallOffsetNs) / 1_000_000
  }

  /// RFC 3339 with milliseconds; the part up to the second is made once a second.
  private func appendTime(_ nowMs: Int64) {
    let second = nowMs / 1_000
    if second != timeSecond {
      timeSecond = second
      var text: [UInt8] = []
      RFC3339.append(epochMs: second * 1_000, to: &text)
      timePrefix.removeAll()
      timePrefix.append("\"")
      // "2026-11-22T10:20:3" of "2026-11-22T10:20:30.000Z"
      timePrefix.append(text.span.extracting(..<max(0, text.count - 6)))
    }
    let prefix = timePrefix
    lines.append(prefix.readable)
    lines.append(UInt64(clamping: nowMs % 10_000), decimals: 3)
    lines.append("Z\"")
  }
}
