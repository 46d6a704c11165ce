import Reactor
import Wire

/// Writes spans in OTLP's JSON (opentelemetry-proto, `trace/v1`; ids in hexadecimal and 64-bit
/// numbers as strings, as the OTLP specification's "JSON Protobuf Encoding" says) with the names of
/// OpenTelemetry's semantic conventions.
///
/// No path, query, address of a caller, claim or token is in them: collectors are read by more
/// people than the access log is, which has all of that under the same trace.
struct SpanWriter {
  /// The `kind` of a span.
  enum Kind: Int {
    case `internal` = 1
    case server = 2
    case client = 3
  }

  private(set) var bytes: [UInt8] = []
  private(set) var count = 0
  private var hasAttributes = false

  /// Begins a span; its attributes follow, then `end`.
  ///
  /// - Parameters:
  ///   - isRemoteParent: whether the parent is another process's.
  ///   - startedNs, endedNs: since 1970.
  mutating func begin(
    _ trace: RequestTrace, _ span: SpanID, parent: SpanID?, isRemoteParent: Bool = false,
    _ kind: Kind, _ name: String, startedNs: Int64, endedNs: Int64
  ) {
    bytes.append(count == 0 ? "{\"traceId\":\"" : ",{\"traceId\":\"")
    count += 1
    trace.trace.append(to: &bytes)
    bytes.append("\",\"spanId\":\"")
    span.append(to: &bytes)
    if let parent {
      bytes.append("\",\"parentSpanId\":\"")
      parent.append(to: &bytes)
    }
    if !trace.state.isEmpty {
      bytes.append("\",\"traceState\":")
      JSONWriter.appendString(trace.state, to: &bytes)
      bytes.append(",\"flags\":")
    } else {
      bytes.append("\",\"flags\":")
    }
    // Span.flags: the W3C flags, then whether it is known that the parent is remote, and is.
    let flags = UInt32(trace.flags.rawValue) | 0x100 | (isRemoteParent ? 0x200 : 0)
    JSONWriter.appendInteger(flags, to: &bytes)
    bytes.append(",\"name\":")
    JSONWriter.appendString(name, to: &bytes)
    bytes.append(",\"kind\":")
    JSONWriter.appendInteger(kind.rawValue, to: &bytes)
    bytes.append(",\"startTimeUnixNano\":\"")
    JSONWriter.appendInteger(startedNs, to: &bytes)
    bytes.append("\",\"endTimeUnixNano\":\"")
    JSONWriter.appendInteger(max(startedNs, endedNs), to: &bytes)
    bytes.append("\",\"attributes\":[")
    hasAttributes = false
  }

  mutating func attribute(_ key: StaticString, _ value: String) {
    beginAttribute(key, "stringValue")
    JSONWriter.appendString(value, to: &bytes)
    bytes.append("}}")
  }

  /// - Parameter json: JSON text of a string, quotes included.
  mutating func attribute(_ key: StaticString, json: [UInt8]) {
    beginAttribute(key, "stringValue")
    bytes += json
    bytes.append("}}")
  }

  mutating func attribute(_ key: StaticString, _ value: Int) {
    beginAttribute(key, "intValue")
    bytes.append("\"")
    JSONWriter.appendInteger(value, to: &bytes)
    bytes.append("\"}}")
  }

  private mutating func beginAttribute(_ key: StaticString, _ type: StaticString) {
    bytes.append(hasAttributes ? ",{\"key\":\"" : "{\"key\":\"")
    hasAttributes = true
    bytes.append(key)
    bytes.append("\",\"value\":{\"")
    bytes.append(type)
    bytes.append("\":")
  }

  /// - Parameter failed: whether what the span is of went wrong.
  mutating func end(failed: Bool) {
    bytes.append(failed ? "],\"status\":{\"code\":2}}" : "],\"status\":{}}")
  }

  /// Puts what was written into a request for a collector (`ExportTraceServiceRequest`).
  static func request(of spans: [UInt8], service: UTF8Text) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(spans.count + 512)
    bytes.append("{\"resourceSpans\":[{\"resource\":{\"attributes\":[")
    bytes.append("{\"key\":\"service.name\",\"value\":{\"stringValue\":")
    JSONWriter.appendString(service, to: &bytes)
    bytes.append("}},{\"key\":\"service.version\",\"value\":{\"stringValue\":")
    JSONWriter.appendString(Version.text, to: &bytes)
    bytes.append("}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"tollgate\",\"version\":")
    JSONWriter.appendString(Version.text, to: &bytes)
    bytes.append("},\"spans\":[")
    bytes += spans
    bytes.append("]}]}]}")
    return bytes
  }
}
