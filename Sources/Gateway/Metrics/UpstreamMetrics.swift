import HTTP

extension SharedState {
  /// What is known of the servers, for Prometheus.
  func writeUpstreams(to text: inout MetricsText) {
    let servers = upstreams.flatMap { upstream in
      upstream.servers.map { server -> (SharedServer, [MetricsText.Label]) in
        let labels = [("upstream", upstream.settings.name), ("server", "\(server.target)")]
        return (server, labels)
      }
    }
    func write(
      _ name: String, _ kind: MetricsText.Kind, _ help: String,
      _ value: (SharedServer) -> UInt64
    ) {
      text.begin("tollgate_upstream_" + name, kind, help)
      for (server, labels) in servers { text.sample(value(server), labels) }
    }
    write("healthy", .gauge, "0 while health checks call a server unwell.") {
      $0.state.isUnwell ? 0 : 1
    }
    write("ejected", .gauge, "1 while a server is left out because requests to it failed.") {
      $0.state.isEjected ? 1 : 0
    }
    write("connections", .gauge, "Connections to a server that are open.") {
      UInt64(max(0, $0.count.numbers.open))
    }
    write("waiting_requests", .gauge, "Requests that wait for one of a server's connections.") {
      UInt64(max(0, $0.count.numbers.waiting))
    }
    write("requests_total", .counter, "Requests given to a server, those sent again included.") {
      $0.state.tallies.sum { $0.requests }
    }
    write("failures_total", .counter, "Requests that a server failed: see the outlier setting.") {
      $0.state.tallies.sum { $0.failures }
    }
    write("resends_total", .counter, "Requests sent again after a server had failed them.") {
      $0.state.tallies.sum { $0.resends }
    }
    write("ejections_total", .counter, "How often a server was left out.") {
      $0.state.ejectionCount
    }
  }
}
