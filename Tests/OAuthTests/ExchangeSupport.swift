import OAuth
import Wire

extension ExchangeSettings {
  /// The settings of a routes file that says no more than it must.
  static func make(
    client: ClientAuthentication = .basic("gateway", "s3cret"),
    subjectTokenType: UTF8Text = "urn:ietf:params:oauth:token-type:access_token",
    requestedTokenType: UTF8Text? = nil, parameters: [Parameter] = [],
    cache: Cache = Cache(
      sizeBytes: 1 << 20, maxLifeMs: 3_600_000, marginMs: 10_000, deniedMs: 10_000,
      refreshAhead: 0.2),
    subjectErrors: [SubjectError] = [
      SubjectError(error: "invalid_grant", description: nil),
      SubjectError(error: "invalid_token", description: nil),
      SubjectError(error: "invalid_request", description: "Invalid token"),
    ],
    verify: Verification = Verification(audience: .requested, subject: .same)
  ) -> ExchangeSettings {
    ExchangeSettings(
      name: "test", tokenService: .issuer(index: 0, name: "test"), grant: .tokenExchange,
      client: client, subjectTokenType: subjectTokenType,
      requestedTokenType: requestedTokenType, parameters: parameters, ca: nil, timeoutMs: 5_000,
      retries: 1, concurrency: 64, cache: cache, breaker: Breaker(failures: 5, cooldownMs: 5_000),
      subjectErrors: subjectErrors, verify: verify, place: .none)
  }
}

extension ClientAuthentication {
  static func basic(_ id: UTF8Text, _ secret: String) -> ClientAuthentication {
    ClientAuthentication(id: id, method: .basic(Secret(Array(secret.utf8), origin: .literal)))
  }

  static func post(_ id: UTF8Text, _ secret: String) -> ClientAuthentication {
    ClientAuthentication(id: id, method: .post(Secret(Array(secret.utf8), origin: .literal)))
  }
}

extension ExchangeTarget {
  static func to(
    _ audiences: UTF8Text..., resources: [UTF8Text] = [], scopes: [UTF8Text] = []
  ) -> ExchangeTarget {
    ExchangeTarget(audiences: audiences, resources: resources, scopes: scopes)
  }
}
