import HTTP
import JOSE
import OAuth
import Reactor
import Wire

/// What runs and how it goes, as one JSON document: for the status page and `tollgate top`.
///
/// It holds no token, no secret and nobody's name; paths are in it, as they are in the access log.
struct StatusReport {
  private let shared: SharedState

  /// Routes that are told of: those with the most requests.
  private static let routesMax = 200

  init(_ shared: SharedState) { self.shared = shared }

  var json: [UInt8] {
    var json = JSONBuilder()
    json.object { json in
      json.member("version", Version.text)
      json.member("now", Self.time(Clock.wallMs()))
      process(&json)
      readiness(&json)
      traffic(&json)
      routes(&json)
      tokens(&json)
      upstreams(&json)
      certificates(&json)
      refusals(&json)
    }
    return json.bytes
  }

  private static func time(_ epochMs: Int64) -> [UInt8] {
    var text: [UInt8] = []
    RFC3339.append(epochMs: epochMs, to: &text)
    return text
  }

  private func process(_ json: inout JSONBuilder) {
    json.object("process") { json in
      if let usage = ProcessUsage.now() {
        json.member("startedAt", Self.time(Int64(usage.startedAtSeconds * 1_000)))
        json.member("cpuSeconds", usage.cpuSeconds)
        json.member("residentBytes", usage.residentBytes)
        json.member("openFiles", usage.openFiles)
        json.member("openFilesMax", usage.openFilesMax)
      }
      json.member("connections", max(0, shared.process.connectionCount))
      json.member("connectionsMax", shared.configuration.limits.connectionsMax)
      json.member("droppedLogLines", shared.log?.writer.droppedLinesTotal ?? 0)
    }
    json.object("configuration") { json in
      json.member("digest", shared.configDigest)
      json.member("since", Self.time(shared.process.config.runningSinceMs))
      json.member("lastReloadSuccessful", shared.process.config.isLastSuccessful)
      json.member("routes", shared.configuration.routes.count)
      json.list("listeners") { json in
        for listener in shared.configuration.listeners {
          json.object { json in
            json.member("name", listener.name)
            json.member("address", "\(listener.address)")
            json.member("tls", listener.tls != nil)
          }
        }
      }
    }
  }

  private func readiness(_ json: inout JSONBuilder) {
    let keys = shared.tokens.readiness()
    json.member("ready", !shared.isDraining && keys.allSatisfy(\.isReady))
    json.list("missing") { json in
      if shared.isDraining { json.value("the gateway is ending") }
      for entry in keys where !entry.isReady {
        json.value("keys of issuer \(entry.issuer): \(entry.text)")
      }
    }
  }

  private func traffic(_ json: inout JSONBuilder) {
    let totals = shared.process.requests.totals
    json.object("traffic") { json in
      json.member("requests", totals.requests)
      json.member("refused", totals.refused)
      json.member("failed", totals.failed)
      json.member("everySeconds", Double(TrafficHistory.everyMs) / 1_000)
      json.list("history") { json in
        for sample in shared.process.history.samples {
          json.list { json in
            json.value(sample.endedAtMs)
            json.value(sample.requests)
            json.value(sample.refused)
            json.value(sample.failed)
            for quantile in [sample.medianMs, sample.p99Ms] {
              if let quantile { json.value(quantile) } else { json.null() }
            }
          }
        }
      }
    }
  }

  private func routes(_ json: inout JSONBuilder) {
    var reasons: [String: UInt64] = [:]
    var rows: [(name: String?, totals: RequestTotals)] = []
    for (route, numbers) in shared.process.requests.byRoute {
      var totals = RequestTotals()
      totals.add(numbers)
      if totals.requests > 0 { rows.append((route, totals)) }
      for (reason, count) in totals.reasons { reasons[reason.word, default: 0] += count }
    }
    json.list("reasons") { json in
      for (reason, count) in reasons.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }) {
        json.object { json in
          json.member("reason", reason)
          json.member("count", count)
        }
      }
    }
    json.list("boundsMs") { json in
      for bound in DurationTally.requestBoundsMs { json.value(bound) }
    }
    json.list("routes") { json in
      let order = rows.sorted { $0.totals.requests > $1.totals.requests }
      for row in order.prefix(Self.routesMax) {
        json.object { json in
          if let name = row.name { json.member("name", name) }
          json.member("requests", row.totals.requests)
          json.member("refused", row.totals.refused)
          json.member("failed", row.totals.failed)
          json.list("buckets") { json in
            for count in row.totals.latencies.buckets { json.value(count) }
          }
        }
      }
    }
  }

  private func tokens(_ json: inout JSONBuilder) {
    let nowMs = Clock.wallMs()
    json.list("exchanges") { json in
      for exchange in shared.tokens.exchanges {
        let numbers = exchange.tallies.sum()
        json.object { json in
          json.member("name", exchange.settings.name)
          json.object("outcomes") { json in
            for outcome in AccessRecord.Exchange.allCases where outcome != .none {
              json.member("\(outcome.word)", numbers.requests(outcome))
            }
          }
          json.member("calls", numbers.calls.count)
          json.member("callMedianMs", numbers.calls.quantileMs(0.5))
          json.member("callP99Ms", numbers.calls.quantileMs(0.99))
          json.member("breakerOpen", exchange.gate.isOpen)
          json.member("tokens", exchange.cache.count)
          json.member("bytes", exchange.cache.byteCost)
          json.member(
            "survivalSeconds", exchange.cache.survivalMs(nowMs: nowMs).map { Double($0) / 1_000 })
        }
      }
    }
    json.list("issuers") { json in
      let readiness = shared.tokens.readiness()
      for (issuer, state) in zip(shared.tokens.issuers, readiness) {
        json.object { json in
          json.member("name", state.issuer)
          json.member("keys", issuer.keys?.keys.count ?? 0)
          json.member("keysAgeSeconds", issuer.keysAgeMs.map { Double($0) / 1_000 })
          json.member("ready", state.isReady)
          json.member("state", state.text)
        }
      }
    }
  }

  private func upstreams(_ json: inout JSONBuilder) {
    json.list("upstreams") { json in
      for upstream in shared.upstreams {
        json.object { json in
          json.member("name", upstream.settings.name)
          json.list("servers") { json in
            for server in upstream.servers {
              json.object { json in
                json.member("name", "\(server.target)")
                let failuresMax = upstream.settings.outlier.failures
                json.member("state", server.state.word(failuresMax: failuresMax))
                json.member("requests", server.state.tallies.sum { $0.requests })
                json.member("failures", server.state.tallies.sum { $0.failures })
                json.member("connections", max(0, server.count.numbers.open))
              }
            }
          }
        }
      }
    }
  }

  private func certificates(_ json: inout JSONBuilder) {
    let nowSeconds = Clock.wallMs() / 1_000
    json.list("certificates") { json in
      for (listener, context) in zip(shared.configuration.listeners, shared.listenerContexts) {
        for certificate in context?.certificates ?? [] {
          json.object { json in
            json.member("listener", listener.name)
            json.list("names") { json in for name in certificate.names { json.value(name) } }
            json.member("endsAt", Self.time(certificate.notAfter * 1_000))
            json.member("daysLeft", (certificate.notAfter - nowSeconds) / 86_400)
          }
        }
      }
    }
  }

  private func refusals(_ json: inout JSONBuilder) {
    json.list("refusals") { json in
      for entry in shared.process.refusals.entries {
        json.object { json in
          json.member("time", Self.time(entry.atMs))
          json.member("status", entry.status)
          json.member("reason", entry.reason.word)
          if let route = entry.route { json.member("route", route) }
          json.member("method", entry.method)
          json.member("host", entry.host)
          json.member("path", entry.path)
          json.member("client", entry.client)
          json.member("id", entry.id)
          if !entry.exchangeError.isEmpty { json.member("exchangeError", entry.exchangeError) }
        }
      }
    }
  }
}

extension ServerState {
  /// Whether requests are sent to the server, and if not why.
  fileprivate func word(failuresMax: Int) -> String {
    if isUnwell { return "unwell" }
    if isEjected { return "left out" }
    return failureCount >= failuresMax ? "failing" : "healthy"
  }
}
