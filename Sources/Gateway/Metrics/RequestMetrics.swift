import Reactor
import Wire

extension RequestNumbers {
  /// Requests and how long they took, for Prometheus. Labels are routes' names, methods, statuses
  /// and reasons: nothing that a caller could make many of.
  func write(to text: inout MetricsText) {
    text.begin(
      "http_server_request_duration_seconds", .histogram,
      "Callers' requests, from their first byte to their answer's last; error_type is the reason "
        + "of a refusal.")
    for (route, numbers) in byRoute {
      for (kind, durations) in numbers.kinds.sorted(by: { $0.kind.order < $1.kind.order }) {
        text.sample(
          durations.merged(to: DurationTally.boundsMs), Self.labels(route) + kind.labels)
      }
    }
    text.begin(
      "tollgate_upstream_response_duration_seconds", .histogram,
      "From a request's last byte written to a server until its answer's head.")
    for (route, numbers) in byRoute {
      let durations = numbers.upstream
      if durations.count > 0 { text.sample(durations, Self.labels(route)) }
    }
    text.begin(
      "tollgate_token_verification_duration_seconds", .histogram,
      "Checks of callers' tokens that were not known yet, waiting for keys included.")
    text.sample(authentication)
  }

  private static func labels(_ route: String?) -> [MetricsText.Label] {
    route.map { [("http_route", $0)] } ?? []
  }
}

extension RequestKind {
  fileprivate var labels: [MetricsText.Label] {
    var labels: [MetricsText.Label] = [
      ("http_request_method", method.metricName),
      ("http_response_status_code", status == 0 ? "other" : "\(status)"),
    ]
    if let reason { labels.append(("error_type", reason.word)) }
    return labels
  }

  fileprivate var order: (Int, UInt8, String) { (status, method.rawValue, reason?.word ?? "") }
}

extension Method {
  /// As OpenTelemetry's conventions have it: what is no registered method has one name.
  var metricName: String {
    self == .other ? "_OTHER" : "\(self)".uppercased()
  }
}

extension ProcessState {
  /// The process and its connections, for Prometheus.
  func write(to text: inout MetricsText) {
    text.begin("tollgate_build_info", .gauge, "The version that runs.")
    text.sample(1 as UInt64, [("version", Version.text)])
    text.begin("tollgate_connections", .gauge, "Callers' connections that are open.")
    text.sample(UInt64(max(0, connectionCount)))
    text.begin(
      "tollgate_work_wait_seconds", .gauge,
      "How long what is ready waits to be run, at the worker where it is longest; 0 below 5 ms.")
    text.sample(Double(waits.longestMs) / 1_000)
    guard let usage = ProcessUsage.now() else { return }
    text.begin(
      "process_start_time_seconds", .gauge, "When the process started, in seconds since 1970.")
    text.sample(usage.startedAtSeconds)
    text.begin("process_cpu_seconds_total", .counter, "CPU time of all threads.")
    text.sample(usage.cpuSeconds)
    text.begin("process_resident_memory_bytes", .gauge, "Memory that is in use.")
    text.sample(usage.residentBytes)
    text.begin("process_open_fds", .gauge, "File descriptors that are open.")
    text.sample(usage.openFiles)
    text.begin("process_max_fds", .gauge, "File descriptors that may be open.")
    text.sample(usage.openFilesMax)
  }
}
