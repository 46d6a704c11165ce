import HTTP
import OAuth
import Reactor
import Wire

/// What of a token goes on.
struct OnwardToken {
  /// For the verdict.
  let goesOn: String
  /// What stands in its place in `Authorization`.
  let name: String
}

// The token that would be had for the service, and the request that would have it.
extension ExplainedRequest {
  func tellOfToken(
    _ admitted: borrowing AdmittedIdentity, _ request: Request
  ) async -> OnwardToken {
    switch admitted.onward {
    case .nothing:
      add("exchange", .note, "none: no token goes on")
      return OnwardToken(goesOn: "without a token", name: "")
    case .passthrough:
      add("exchange", .note, "none: the caller's own token goes on (passthrough)")
      return OnwardToken(goesOn: "with the caller's own token", name: "‹the caller's›")
    case .exchange(let caller, let target):
      return await tellOfExchange(target, caller)
    case .ownToken(let own, _):
      return await tellOfExchange(own.target, nil)
    }
  }

  private func tellOfExchange(_ index: Int, _ caller: Caller?) async -> OnwardToken {
    let asked = engine.exchanges.shared(target: index)
    let exchange = asked.exchange
    if call.isLive, exchange.endpoint == nil,
      case .issuer(let issuer, _) = exchange.settings.tokenService
    {
      _ = await engine.keyKeeper.discoverOnce(issuer)
    }
    var facts: [Explanation.Fact] = []
    let endpoint = exchange.endpoint
    if let endpoint {
      facts.append(Explanation.Fact("POST", "\(endpoint)"))
    } else {
      facts.append(
        Explanation.Fact("POST", "the token endpoint that the issuer's metadata names (not asked)"))
    }
    facts += requestFacts(asked, at: endpoint, caller)
    let audience = Self.audience(of: facts)
    let target = audience.map { " for \($0)" } ?? ""
    let what = (caller == nil ? "a token of the gateway's own" : "a token exchanged") + target
    add("exchange", .well, "\(what), by \(exchange.settings.name)", facts)
    caveats.append("The token service was not asked; it has the last word.")
    return OnwardToken(goesOn: "with \(what)", name: "‹the token\(target)›")
  }

  private static func audience(of facts: [Explanation.Fact]) -> String? {
    let named = facts.first { $0.name == "audience" } ?? facts.first { $0.name == "resource" }
    return (named ?? facts.first { $0.name == "scope" })?.got
  }

  /// Parameters that the gateway writes itself, and that hold no secret.
  private static let open: Set<String> = [
    "grant_type", "client_id", "client_assertion_type", "resource", "audience", "scope",
    "requested_token_type", "subject_token_type", "actor_token_type", "requested_token_use",
  ]

  /// The request as it would be sent, made by who makes it, its secrets left out.
  private func requestFacts(
    _ target: SharedTarget, at endpoint: HTTPURL?, _ caller: Caller?
  ) -> [Explanation.Fact] {
    let digest = "‹SHA-256 \(tokenDigest)…›"
    let flight = ExchangeFlight(
      key: target.digest, target: target, subject: caller?.token.verified,
      subjectToken: Array(digest.utf8))
    // Only the assertion of a client that makes one says where it goes, and that is not shown.
    guard let place = endpoint ?? (try? HTTPURL("https://token-service.invalid/")) else {
      return []
    }
    let form: Call
    do throws(ExchangeRefusal) {
      form = try target.call(at: place, flight)
    } catch {
      return [Explanation.Fact("request", error.note.string, mark: .wrong)]
    }
    var facts: [Explanation.Fact] = []
    let client = target.exchange.settings.client
    if target.request.authorization != nil {
      facts.append(Explanation.Fact("client", "\(client.id), by Basic; its secret is not shown"))
    } else if case .certificate = client.method {
      facts.append(Explanation.Fact("client", "\(client.id), by its certificate"))
    }
    let own = Set(target.exchange.settings.parameters.map(\.name.string))
    for (name, value) in FormEncoding.parse(form.content.span) ?? [] {
      let name = String(decoding: name, as: UTF8.self)
      let text = String(decoding: value, as: UTF8.self)
      if text == digest || Self.open.contains(name) && !own.contains(name) {
        facts.append(Explanation.Fact(name, text))
      } else {
        facts.append(Explanation.Fact(name, "‹not shown›"))
      }
    }
    return facts
  }
}
