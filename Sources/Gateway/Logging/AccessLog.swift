import HTTP
import Reactor
import Wire

/// One worker's access log: lines are put together in a buffer and handed to the writer's thread
/// in batches.
final class AccessLog {
  private let writer: LogWriter
  private let fields: Set<AccessLogField>
  private let configJSON: [UInt8]
  private let loop: EventLoop
  private let flushWaiter: Waiter
  private var lines: [UInt8] = []
  private var isRetired = false
  private var timeSecond = Int64.min
  private var timePrefix: [UInt8] = []

  /// A batch is handed over at this size, or after `delayMs`.
  private static let batchBytes = 64 << 10
  private static let delayMs: Int64 = 25

  init(_ settings: AccessLogSettings, writer: LogWriter, configDigest: String, loop: EventLoop) {
    self.writer = writer
    fields = Set(settings.fields)
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
    let record = request.record
    let head = request.connection.head
    let buffer = request.connection.received
    var separator = UInt8(ascii: "{")

    func key(_ field: AccessLogField, _ text: StaticString) -> Bool {
      guard fields.contains(field) else { return false }
      lines.append(separator)
      separator = UInt8(ascii: ",")
      lines.append(text)
      return true
    }
    func string(_ range: Range<Int>?) {
      if let range, range.upperBound <= buffer.count {
        JSONWriter.appendString(buffer.slice(range), to: &lines)
      } else {
        lines.append("\"\"")
      }
    }
    func milliseconds(_ ns: Int64) {
      let thousandths = ns / 1_000
      JSONWriter.appendInteger(thousandths / 1_000, to: &lines)
      let rest = thousandths % 1_000
      lines.append(UInt8(ascii: "."))
      lines.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / 100))
      lines.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest / 10 % 10))
      lines.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
    }

    if key(.time, "\"time\":") { appendTime() }
    if key(.id, "\"id\":") { JSONWriter.appendString(request.id, to: &lines) }
    if key(.listener, "\"listener\":") { lines += request.listener.nameJSON }
    if key(.client, "\"client\":") { JSONWriter.appendString(request.client, to: &lines) }
    if head.byteCount > 0 {
      if key(.method, "\"method\":") { string(head.methodRange) }
      if !request.host.isEmpty, key(.host, "\"host\":") {
        JSONWriter.appendString(request.host, to: &lines)
      }
      if key(.path, "\"path\":") {
        if request.path.merged.isEmpty {
          string(head.path)
        } else {
          JSONWriter.appendString(request.path.merged, to: &lines)
        }
      }
      if key(.protocol, "\"protocol\":") {
        lines.append(head.minorVersion == 1 ? "\"HTTP/1.1\"" : "\"HTTP/1.0\"")
      }
    }
    if let tls = request.connection.stream.tls {
      if key(.tls, "\"tls\":") { JSONWriter.appendString(tls.version, to: &lines) }
      if let certificate = tls.clientCertificate, key(.tlsClient, "\"tls_client\":") {
        JSONWriter.appendString(certificate.subject, to: &lines)
      }
    }
    if head.byteCount > 0, let agent = head.first(.userAgent), key(.userAgent, "\"user_agent\":") {
      string(agent.value.prefix(Limits.loggedAgentBytesMax))
    }
    if let route = record.route, key(.route, "\"route\":") { lines += route.nameJSON }
    if key(.status, "\"status\":") { JSONWriter.appendInteger(record.status, to: &lines) }
    if let reason = record.reason, key(.reason, "\"reason\":") {
      JSONWriter.appendString(reason.word, to: &lines)
    }
    if let caller = record.caller {
      if key(.issuer, "\"issuer\":") { lines += caller.issuerNameJSON }
      if !caller.jtiJSON.isEmpty, key(.jti, "\"jti\":") { lines += caller.jtiJSON }
      if !caller.claimsJSON.isEmpty, fields.contains(.claims) {
        lines.append(separator)
        separator = UInt8(ascii: ",")
        lines += caller.claimsJSON
      }
      if !record.clientIDJSON.isEmpty, fields.contains(.claims) {
        lines.append(separator)
        separator = UInt8(ascii: ",")
        lines.append("\"client_id\":")
        lines += record.clientIDJSON
      }
      if key(.identity, "\"identity\":") { lines += caller.identityJSON }
      if !caller.identityRuleJSON.isEmpty, key(.identityRule, "\"identity_rule\":") {
        lines += caller.identityRuleJSON
      }
    }
    if record.route != nil {
      if key(.auth, "\"auth\":") {
        switch record.authentication {
        case .none: lines.append("\"none\"")
        case .verified: lines.append("\"verified\"")
        case .cached: lines.append("\"cached\"")
        }
      }
      if key(.exchange, "\"exchange\":") {
        lines.append(UInt8(ascii: "\""))
        lines.append(record.exchange.word)
        lines.append(UInt8(ascii: "\""))
      }
    }
    if !record.exchangeError.isEmpty, key(.exchangeError, "\"exchange_error\":") {
      JSONWriter.appendString(record.exchangeError, to: &lines)
    }
    if !record.audienceJSON.isEmpty, key(.audience, "\"audience\":") {
      lines += record.audienceJSON
    }
    if !record.upstreamJSON.isEmpty, key(.upstream, "\"upstream\":") {
      lines += record.upstreamJSON
    }
    if record.upstreamStatus > 0, key(.upstreamStatus, "\"upstream_status\":") {
      JSONWriter.appendInteger(record.upstreamStatus, to: &lines)
    }
    if record.attempts > 0, key(.attempts, "\"attempts\":") {
      JSONWriter.appendInteger(record.attempts, to: &lines)
    }
    if key(.bytesIn, "\"bytes_in\":") {
      JSONWriter.appendInteger(
        request.connection.content.byteCount + record.tunnelBytesIn, to: &lines)
    }
    if key(.bytesOut, "\"bytes_out\":") {
      JSONWriter.appendInteger(
        request.connection.bytesWritten - record.bytesWrittenBefore, to: &lines)
    }
    if key(.durationMs, "\"duration_ms\":") { milliseconds(endedNs - record.startedNs) }
    if record.authNs > 0, key(.authMs, "\"auth_ms\":") { milliseconds(record.authNs) }
    if record.exchangeNs > 0, key(.exchangeMs, "\"exchange_ms\":") {
      milliseconds(record.exchangeNs)
    }
    if record.connectNs > 0, key(.connectMs, "\"connect_ms\":") { milliseconds(record.connectNs) }
    if record.firstByteNs > 0, key(.firstByteMs, "\"first_byte_ms\":") {
      milliseconds(record.firstByteNs)
    }
    if let aborted = record.aborted, key(.aborted, "\"aborted\":") {
      lines.append(aborted == .client ? "\"client\"" : "\"upstream\"")
    }
    if key(.config, "\"config\":") { lines += configJSON }
    lines.append("}\n")
  }

  /// RFC 3339 with milliseconds; the part up to the second is made once a second.
  private func appendTime() {
    let nowMs = Clock.wallMs()
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
