import JOSE
import OAuth
import Reactor

extension SharedTokens {
  /// What is known of exchanges and keys, for Prometheus.
  func write(to text: inout MetricsText) {
    let nowMs = Clock.wallMs()
    let numbers = exchanges.map { ($0, [("exchange", $0.settings.name)], $0.tallies.sum()) }

    text.begin(
      "tollgate_exchange_requests_total", .counter,
      "Requests by how they came by the token for their service.")
    for (_, labels, numbers) in numbers {
      for outcome in AccessRecord.Exchange.allCases where outcome != .none {
        text.sample(numbers.requests(outcome), labels + [("outcome", "\(outcome.word)")])
      }
    }
    text.begin(
      "tollgate_exchange_call_duration_seconds", .histogram,
      "Calls to token services, everything sent again included.")
    for (_, labels, numbers) in numbers { text.sample(numbers.calls, labels) }
    text.begin(
      "tollgate_exchange_breaker_open", .gauge,
      "1 while a token service has failed too often to be called.")
    for (exchange, labels, _) in numbers {
      text.sample(exchange.gate.isOpen ? 1 : 0 as UInt64, labels)
    }
    text.begin(
      "tollgate_exchange_not_tried_total", .counter,
      "Exchanges that were not tried, to spare the token service: the breaker is open, it asked "
        + "for patience, or it fails often.")
    for (exchange, labels, _) in numbers {
      let counts = exchange.gate.notTried
      for (why, count) in [
        ("breaker", counts.open), ("patience", counts.patience), ("throttle", counts.throttled),
      ] { text.sample(count, labels + [("why", why)]) }
    }
    let monotonicMs = Clock.monotonicNs() / 1_000_000
    text.begin(
      "tollgate_exchange_calls_max", .gauge,
      "Calls that may be under way at once: fewer than configured for some seconds after a token "
        + "service has come back.")
    for (exchange, labels, _) in numbers {
      let most = exchange.gate.callsMax(of: exchange.settings.concurrency, nowMs: monotonicMs)
      text.sample(UInt64(most), labels)
    }
    text.begin("tollgate_exchange_cache_entries", .gauge, "Issued tokens and refusals kept.")
    for (exchange, labels, _) in numbers {
      text.sample(UInt64(exchange.cache.count), labels)
    }
    text.begin("tollgate_exchange_cache_bytes", .gauge, "Room that they take.")
    for (exchange, labels, _) in numbers {
      text.sample(UInt64(exchange.cache.byteCost), labels)
    }
    text.begin(
      "tollgate_exchange_survival_seconds", .gauge,
      "Time until half of the tokens kept have ended: how long the gateway gets along without its "
        + "token service.")
    for (exchange, labels, _) in numbers {
      text.sample(Double(exchange.cache.survivalMs(nowMs: nowMs) ?? 0) / 1_000, labels)
    }
    text.begin("tollgate_verified_tokens", .gauge, "Callers' tokens known to be good.")
    text.sample(UInt64(verified.count))
    text.begin("tollgate_issuer_keys", .gauge, "Usable keys of an issuer; 0: none can be verified.")
    for issuer in issuers {
      text.sample(UInt64(issuer.keys?.keys.count ?? 0), [("issuer", issuer.rules.settings.name)])
    }
    text.begin(
      "tollgate_issuer_keys_age_seconds", .gauge, "Time since an issuer's keys were last had.")
    for issuer in issuers {
      guard let ageMs = issuer.keysAgeMs else { continue }
      text.sample(Double(ageMs) / 1_000, [("issuer", issuer.rules.settings.name)])
    }
    cache?.metrics.write(to: &text)
  }

  /// The same as sentences, a line an exchange; of those that did nothing, nothing.
  func summary() -> [String] {
    let nowMs = Clock.wallMs()
    return exchanges.compactMap { exchange in
      let numbers = exchange.tallies.sum()
      let parts = AccessRecord.Exchange.allCases.filter { $0 != .none }.compactMap { outcome in
        let count = numbers.requests(outcome)
        return count == 0 ? nil : "\(count) \(outcome.word)"
      }
      if parts.isEmpty { return nil }
      var text = "exchange \(exchange.settings.name): \(parts.joined(separator: ", "))"
      text += numbers.calls.count == 1 ? "; 1 call" : "; \(numbers.calls.count) calls"
      if let median = numbers.calls.quantileMs(0.5), let most = numbers.calls.quantileMs(0.99) {
        text += " (half within \(Int(median)) ms, 99 % within \(Int(most)) ms)"
      }
      if let survivalMs = exchange.cache.survivalMs(nowMs: nowMs) {
        text += "; without the token service half of the tokens kept would last "
        text += Self.people(survivalMs)
      }
      return text
    }
  }

  /// A duration as people say it.
  private static func people(_ milliseconds: Int64) -> String {
    let seconds = milliseconds / 1_000
    if seconds < 120 { return "\(seconds) s" }
    if seconds < 120 * 60 { return "\(seconds / 60) min" }
    return "\(seconds / 3_600) h"
  }
}
