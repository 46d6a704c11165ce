import HTTP
import Reactor
import Wire

extension SpanWriter {
  /// Writes the spans of a request whose answer has ended.
  ///
  /// - Parameter ids: names for the spans that have none yet.
  mutating func write(
    _ request: Request, _ trace: RequestTrace, endedNs: Int64, ids: inout SpanIDs
  ) {
    // One offset for all of them, so that they fit together to the nanosecond.
    let sinceEpochNs = Clock.wallNs() - Clock.monotonicNs()
    let record = request.record
    writeRequest(request, trace, sinceEpochNs, endedNs)
    if record.authNs > 0 {
      begin(
        trace, ids.span(), parent: trace.span, .internal, "verify token",
        startedNs: sinceEpochNs + record.authBeganNs,
        endedNs: sinceEpochNs + record.authBeganNs + record.authNs)
      if let caller = record.caller {
        attribute("tollgate.issuer", json: Array(caller.logged.issuer))
      }
      let isRefused = record.authentication == .none
      if isRefused, let reason = record.reason { attribute("error.type", reason.word) }
      end(failed: isRefused)
    }
    if record.exchangeNs > 0 { writeExchange(record, trace, sinceEpochNs, ids.span()) }
    for (index, call) in trace.calls.enumerated() {
      write(call, index, of: request, trace, sinceEpochNs)
    }
  }

  private mutating func writeRequest(
    _ request: Request, _ trace: RequestTrace, _ sinceEpochNs: Int64, _ endedNs: Int64
  ) {
    let record = request.record
    let method = request.method.metricName
    let verb = method == "_OTHER" ? "HTTP" : method
    let name = record.route.map { "\(verb) \($0.settings.name)" } ?? verb
    begin(
      trace, trace.span, parent: trace.parent, isRemoteParent: trace.parent != nil, .server, name,
      startedNs: sinceEpochNs + record.startedNs, endedNs: sinceEpochNs + endedNs)
    attribute("http.request.method", method)
    attribute("url.scheme", request.listener.tls == nil ? "http" : "https")
    attribute(
      "network.protocol.version", request.connection.head.minorVersion == 0 ? "1.0" : "1.1")
    if let route = record.route { attribute("http.route", json: route.nameJSON) }
    if record.status > 0 { attribute("http.response.status_code", record.status) }
    if let reason = record.reason { attribute("error.type", reason.word) }
    attribute("tollgate.listener", json: request.listener.nameJSON)
    var id: [UInt8] = []
    JSONWriter.appendString(request.id, to: &id)
    attribute("tollgate.request.id", json: id)
    if let caller = record.caller {
      attribute("tollgate.identity", json: Array(caller.logged.identity))
    }
    if record.route != nil {
      attribute("tollgate.auth", "\(record.authentication)")
      attribute("tollgate.exchange", "\(record.exchange.word)")
    }
    // Semantic conventions for HTTP: what a caller did wrong is no error of the server's.
    end(failed: record.status >= 500 || record.aborted == .upstream)
  }

  /// A call to the token service that this request began is a client's; to wait for another's call,
  /// or to be given what another gateway had, is not.
  private mutating func writeExchange(
    _ record: AccessRecord, _ trace: RequestTrace, _ sinceEpochNs: Int64, _ span: SpanID
  ) {
    let isOwn: Bool
    switch record.exchange {
    case .joined, .shared, .hit, .refreshed, .none: isOwn = false
    case .miss, .denied, .failed, .clientCredentials: isOwn = true
    }
    begin(
      trace, span, parent: trace.span, isOwn ? .client : .internal, "exchange token",
      startedNs: sinceEpochNs + record.exchangeBeganNs,
      endedNs: sinceEpochNs + record.exchangeBeganNs + record.exchangeNs)
    attribute("tollgate.exchange", "\(record.exchange.word)")
    if !record.audienceJSON.isEmpty { attribute("tollgate.audience", json: record.audienceJSON) }
    let failed = record.exchange == .denied || record.exchange == .failed
    if failed, let reason = record.reason { attribute("error.type", reason.word) }
    end(failed: failed)
  }

  private mutating func write(
    _ call: RequestTrace.Call, _ index: Int, of request: Request, _ trace: RequestTrace,
    _ sinceEpochNs: Int64
  ) {
    let method = request.method.metricName
    begin(
      trace, call.span, parent: trace.span, .client, method == "_OTHER" ? "HTTP" : method,
      startedNs: sinceEpochNs + call.startedNs, endedNs: sinceEpochNs + call.endedNs)
    attribute("http.request.method", method)
    switch call.server.shared.target {
    case .web(let origin):
      attribute("server.address", origin.host)
      attribute("server.port", Int(origin.port))
      attribute("url.scheme", origin.scheme)
    case .unix(let path):
      attribute("server.address", path)
      attribute("network.transport", "unix")
    }
    if call.status > 0 {
      attribute("http.response.status_code", call.status)
      attribute("network.protocol.version", "1.1")
    }
    if index > 0 { attribute("http.request.resend_count", index) }
    if let error = call.error { attribute("error.type", error) }
    end(failed: call.error != nil)
  }
}
