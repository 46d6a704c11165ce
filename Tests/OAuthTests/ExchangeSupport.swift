import Crypto
import OAuth
import Wire

extension ExchangeSettings {
  /// The settings of a routes file that says no more than it must.
  static func make(
    grant: Grant = .tokenExchange,
    client: ClientAuthentication = .basic("gateway", "s3cret"),
    subjectTokenType: UTF8Text = "urn:ietf:params:oauth:token-type:access_token",
    requestedTokenType: UTF8Text? = nil, actorToken: String? = nil,
    actorTokenType: UTF8Text = "urn:ietf:params:oauth:token-type:access_token",
    parameters: [Parameter] = [],
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
      name: "test", tokenService: .issuer(index: 0, name: "test"), grant: grant,
      client: client, subjectTokenType: subjectTokenType, requestedTokenType: requestedTokenType,
      actorToken: actorToken.map { Secret(Array($0.utf8), origin: .literal) },
      actorTokenType: actorTokenType, parameters: parameters, ca: nil, timeoutMs: 5_000, retries: 1,
      concurrency: 64, cache: cache, breaker: Breaker(failures: 5, cooldownMs: 5_000),
      subjectErrors: subjectErrors, verify: verify, place: .none)
  }
}

extension ClientAuthentication {
  static func basic(_ id: UTF8Text, _ secret: String) -> ClientAuthentication {
    ClientAuthentication(id: id, method: .basic(Secret(Array(secret.utf8), origin: .literal)))
  }

  static func privateKey(
    _ id: UTF8Text, algorithm: SignatureAlgorithm? = nil, keyID: UTF8Text? = nil,
    audience: UTF8Text? = nil
  ) -> ClientAuthentication {
    ClientAuthentication(
      id: id,
      method: .privateKey(
        AssertionSettings(
          key: FileReference(path: "k", place: .none), keyID: keyID, certificate: nil,
          algorithm: algorithm.map { .init($0, place: .none) }, audience: audience)))
  }

  static func certificate(_ id: UTF8Text) -> ClientAuthentication {
    let file = FileReference(path: "f", place: .none)
    return ClientAuthentication(id: id, method: .certificate(chain: file, key: file))
  }

  static func none(_ id: UTF8Text) -> ClientAuthentication {
    ClientAuthentication(id: id, method: .none)
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
