import HTTP
import Reactor
import Wire

/// `traceparent` and `tracestate` of a request.
enum TraceFields {
  /// What replaces the caller's own fields where the gateway takes part in traces.
  static let names = FieldNameSet([.traceparent, .tracestate])

  /// Who asks, by a valid `traceparent`; two of them are none (W3C Trace Context §3.2.1).
  static func parent(of head: RequestHead, _ received: Buffer) -> TraceParent? {
    guard head.names.contains(.traceparent) else { return nil }
    var parent: TraceParent?
    var count = 0
    for line in head.fields where isField(.traceparent, line) {
      guard line.value.upperBound <= received.count else { return nil }
      count += 1
      parent = TraceParent(received.slice(line.value))
    }
    return count == 1 ? parent : nil
  }

  /// The `tracestate` that goes on, of all its lines in their order; empty without one.
  static func state(of head: RequestHead, _ received: Buffer) -> [UInt8] {
    guard head.names.contains(.tracestate) else { return [] }
    var list: [UInt8] = []
    for line in head.fields where isField(.tracestate, line) {
      if !list.isEmpty { list.append(UInt8(ascii: ",")) }
      list.append(copying: received.slice(line.value))
    }
    return TraceState.kept(of: list.span)
  }

  private static func isField(_ name: FieldName, _ line: FieldLine) -> Bool {
    line.known == name && !line.hasUnderscore && !line.isHopByHop
  }
}
