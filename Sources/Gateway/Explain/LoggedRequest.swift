import Crypto
import HTTP
import Reactor
import Wire

/// A request as its line in the access log tells of it.
package struct LoggedRequest: Sendable {
  private let id: String
  private let fields: [(field: AccessLogField, value: String)]

  /// - Parameters:
  ///   - line: taken apart.
  ///   - text: what it was taken from.
  package init(_ line: LogLine, _ text: Span<UInt8>, id: String) {
    self.id = id
    var fields: [(field: AccessLogField, value: String)] = []
    for field in AccessLogField.allCases {
      guard let range = line.range(field) else { continue }
      // Some formats have it in seconds or nanoseconds.
      if field == .durationMs, let micros = line.micros(field, in: text) {
        let digits = "\(1_000 + micros % 1_000)".dropFirst()
        fields.append((field, "\(micros / 1_000).\(digits)"))
        continue
      }
      fields.append((field, LogText.shown([UInt8](copying: text.extracting(range)))))
    }
    self.fields = fields
  }

  private func value(_ field: AccessLogField) -> String? {
    fields.first { $0.field == field }?.value
  }

  /// What the line says, the route that the request finds by what runs now, and what the outcome
  /// means.
  func explain(
    by engine: Engine, _ digester: Digester
  ) async throws(SystemError) -> Explanation {
    var steps = [
      Explanation.Step(
        "log", .note, "what its line says",
        fields.map { Explanation.Fact($0.field.name, $0.value) })
    ]
    var caveats: [String] = []
    if let config = value(.config), config != engine.shared.configDigest {
      caveats.append(
        "The request was served by configuration \(config); the routes file is "
          + "\(engine.shared.configDigest) now, and the route above is what it finds now.")
    }
    if let call = call {
      let explained = ExplainedRequest(call, engine, digester)
      _ = try await explained.explainRoute()
      steps += explained.steps
      caveats.append(
        "The log has no token, header or query: for the whole way name the request and a token, "
          + "tollgate explain ROUTES METHOD URL --token FILE.")
    }
    return Explanation(
      title: "request \(id)", steps: steps, verdict: verdict, caveats: caveats)
  }

  /// nil where the line doesn't say enough.
  private var call: ExplainedCall? {
    guard let method = value(.method), let path = value(.path) else { return nil }
    let scheme = value(.tls) == nil ? "http" : "https"
    let host = value(.host) ?? ""
    let authority = host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host
    do throws(ExplainedCall.Fault) {
      return try ExplainedCall(
        method: method, url: host.isEmpty ? path : "\(scheme)://\(authority)\(path)",
        listener: value(.listener))
    } catch {
      return nil
    }
  }

  private var verdict: Explanation.Verdict {
    let status = value(.status).flatMap { Int($0) }
    if let word = value(.reason) {
      // Two reasons share a word, and differ in their status.
      let named = Refusal.Reason.allCases.filter { $0.word == word }
      if let reason = named.first(where: { $0.status == status }) ?? named.first {
        let aborted = value(.aborted).map { ", broken off by the \($0)" } ?? ""
        return Explanation.Verdict(
          reason, status: status ?? reason.status, "\(reason.sentence)\(aborted)")
      }
    }
    guard let server = value(.upstream) else {
      return Explanation.Verdict(.answered, status: status, "the gateway's own answer")
    }
    return Explanation.Verdict(
      .forwarded, status: status, "to \(server), which answered \(status.map(String.init) ?? "")")
  }
}
