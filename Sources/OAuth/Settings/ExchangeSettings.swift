package import Wire

/// One entry of `exchanges`: a token service, and how its tokens are had and kept.
package struct ExchangeSettings: Sendable {
  /// The entry's name in the routes file.
  package let name: String
  package let tokenService: TokenService
  package let grant: Grant
  package let client: ClientAuthentication
  package let subjectTokenType: UTF8Text
  /// nil: not sent, since some services refuse it.
  package let requestedTokenType: UTF8Text?
  /// Who acts for the caller, and what kind of token says so; of RFC 8693 only.
  package let actorToken: Secret?
  package let actorTokenType: UTF8Text
  /// More form fields, in the file's order. None of them is one that the gateway sets itself.
  package let parameters: [Parameter]
  /// Certificate authorities for the token service in place of the system's.
  package let ca: FileReference?
  /// For one exchange, everything sent again included.
  package let timeoutMs: Int64
  package let retries: Int
  /// Calls under way at once in the whole process.
  package let concurrency: Int
  package let cache: Cache
  package let breaker: Breaker
  /// Errors of the token service that mean: the caller's token is no longer good.
  package let subjectErrors: [SubjectError]
  package let verify: Verification
  package let place: ConfigPlace

  package enum TokenService: Hashable, Sendable {
    /// The token endpoint of this issuer's discovery document, by its index in
    /// `Configuration.issuers`.
    case issuer(index: Int, name: String)
    case endpoint(HTTPURL)
  }

  package enum Grant: Hashable, Sendable {
    /// RFC 8693.
    case tokenExchange
    /// Entra's on-behalf-of: RFC 7523's grant with the caller's token as assertion.
    case onBehalfOf
    /// RFC 6749 §4.4: a token of the gateway's own, for no caller.
    case clientCredentials
  }

  package struct Parameter: Hashable, Sendable {
    package let name: UTF8Text
    package let value: UTF8Text

    package init(name: UTF8Text, value: UTF8Text) {
      self.name = name
      self.value = value
    }
  }

  package struct Cache: Hashable, Sendable {
    package let sizeBytes: Int
    /// An entry's longest life; 0: nothing is kept.
    package let maxLifeMs: Int64
    /// Time left off the end of an issued token's life.
    package let marginMs: Int64
    /// How long a refusal is remembered for a subject and target; 0: not at all.
    package let deniedMs: Int64
    /// The last part of an entry's life, 0 to 0.9, in which a hit has the token refreshed; 0: none.
    package let refreshAhead: Double

    package init(
      sizeBytes: Int, maxLifeMs: Int64, marginMs: Int64, deniedMs: Int64, refreshAhead: Double
    ) {
      self.sizeBytes = sizeBytes
      self.maxLifeMs = maxLifeMs
      self.marginMs = marginMs
      self.deniedMs = deniedMs
      self.refreshAhead = refreshAhead
    }
  }

  package struct Breaker: Hashable, Sendable {
    /// Failures in a row that open it.
    package let failures: Int
    /// How long it then stays open.
    package let cooldownMs: Int64

    package init(failures: Int, cooldownMs: Int64) {
      self.failures = failures
      self.cooldownMs = cooldownMs
    }
  }

  package struct SubjectError: Hashable, Sendable {
    package let error: UTF8Text
    /// The whole `error_description`, where it matters.
    package let description: UTF8Text?

    package init(error: UTF8Text, description: UTF8Text?) {
      self.error = error
      self.description = description
    }
  }

  /// What is checked of an issued token that is a JWT.
  package struct Verification: Hashable, Sendable {
    package let audience: Audience
    package let subject: Subject
    /// Whether its signature is checked with its issuer's keys too; what is no JWT is then refused.
    package let signature: Bool

    package enum Audience: Hashable, Sendable {
      /// Those that the route asked for.
      case requested
      /// One of these; never empty.
      case list([UTF8Text])
      case any
    }

    package enum Subject: Hashable, Sendable {
      /// The issued token's `sub` is the caller's.
      case same
      /// One claim of the caller's token equals another of the issued one.
      case claims(caller: ClaimName, issued: ClaimName)
      case any
    }

    package init(audience: Audience, subject: Subject, signature: Bool = false) {
      self.audience = audience
      self.subject = subject
      self.signature = signature
    }
  }

  package init(
    name: String, tokenService: TokenService, grant: Grant, client: ClientAuthentication,
    subjectTokenType: UTF8Text, requestedTokenType: UTF8Text?, actorToken: Secret?,
    actorTokenType: UTF8Text, parameters: [Parameter], ca: FileReference?,
    timeoutMs: Int64, retries: Int, concurrency: Int, cache: Cache, breaker: Breaker,
    subjectErrors: [SubjectError], verify: Verification, place: ConfigPlace
  ) {
    self.name = name
    self.tokenService = tokenService
    self.grant = grant
    self.client = client
    self.subjectTokenType = subjectTokenType
    self.requestedTokenType = requestedTokenType
    self.actorToken = actorToken
    self.actorTokenType = actorTokenType
    self.parameters = parameters
    self.ca = ca
    self.timeoutMs = timeoutMs
    self.retries = retries
    self.concurrency = concurrency
    self.cache = cache
    self.breaker = breaker
    self.subjectErrors = subjectErrors
    self.verify = verify
    self.place = place
  }
}

/// What a route asks the token service for, in the file's order (RFC 8693 §2.1).
package struct ExchangeTarget: Hashable, Sendable {
  package let audiences: [UTF8Text]
  package let resources: [UTF8Text]
  package let scopes: [UTF8Text]

  package init(audiences: [UTF8Text], resources: [UTF8Text], scopes: [UTF8Text]) {
    self.audiences = audiences
    self.resources = resources
    self.scopes = scopes
  }
}
