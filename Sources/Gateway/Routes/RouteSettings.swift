package import OAuth
package import Wire

/// One entry of `routes`.
package struct RouteSettings: Sendable {
  /// For logs and metrics; the path's pattern where the file gives none.
  package let name: String
  package let match: RouteMatch
  package let access: RouteAccess
  /// `clientCredentials`: for systems' requests, or all of a public route's.
  package let ownToken: OwnTokenSettings?
  package let action: RouteAction
  package let cors: CORSSettings?
  package let rateLimits: [RateLimitSettings]
  package let limits: RouteLimits
  package let pathRules: PathRules
  package let place: ConfigPlace
}

/// Which requests a route is for.
package struct RouteMatch: Sendable {
  /// Indexes of `Configuration.listeners`; nil: all.
  package let listeners: [Int]?
  package let host: RouteHost
  package let path: PathPattern
  /// Upper case, HEAD added where GET is; nil: any.
  package let methods: [UTF8Text]?
  package let headers: [HeaderCondition]

  /// A field that must be there once, with this value.
  package struct HeaderCondition: Hashable, Sendable {
    /// In lower case.
    package let name: UTF8Text
    package let value: UTF8Text
  }
}

/// Who gets through, and what goes on in their token's place. A public route strips every token.
package enum RouteAccess: Sendable {
  case open
  case checked(Authentication, Admission, Onward)

  package struct Authentication: Sendable {
    /// Indexes of `Configuration.issuers`; never empty.
    package let issuers: [Int]
    /// All of them must be there.
    package let scopes: [UTF8Text]
    /// One of them must be there, where there are any.
    package let anyScopes: [UTF8Text]
    /// All of them must hold.
    package let claims: [ClaimRule]
    /// Where a request may bear its token; never empty, each once.
    package let places: [TokenPlace]
    /// In the challenge; nil: the host.
    package let realm: String?
  }

  package struct Admission: Hashable, Sendable {
    package let person: Verdict
    package let system: Verdict
    package let unknown: Verdict
  }

  package enum Verdict: Hashable, Sendable {
    /// `exchange` in the file: what then goes on is what `Onward` says.
    case admit
    case reject
    /// `client-credentials`, of systems only: let through with a token of the gateway's own.
    case ownToken
  }

  /// What goes on to the service in `Authorization`.
  package enum Onward: Sendable {
    /// A token for the service, of this entry of `Configuration.exchanges`.
    case exchanged(index: Int, ExchangeTarget)
    case stripped
    /// The caller's own.
    case passedThrough
  }
}

/// Where a request may bear its token.
package enum TokenPlace: Hashable, Sendable {
  /// `Authorization: Bearer`.
  case header
  case cookie(UTF8Text)
  case query(UTF8Text)
}

/// A token of the gateway's own that goes on, in place of one for the caller.
package struct OwnTokenSettings: Hashable, Sendable {
  /// An entry of `Configuration.exchanges` whose grant is client credentials.
  package let exchange: Int
  package let target: ExchangeTarget
  /// In which field the verified caller's client id goes on.
  package let callerHeader: UTF8Text?
}

/// What a route does with a request that it lets through.
package enum RouteAction: Sendable {
  case forward(ForwardSettings)
  /// The gateway's own answer: nothing is exchanged for it.
  case respond(FixedResponse)
  /// The same.
  case redirect(RedirectSettings)
}

package struct ForwardSettings: Sendable {
  /// An index of `Configuration.upstreams`.
  package let upstream: Int
  package let path: PathRewrite
  package let headers: FieldChanges
  package let answerHeaders: FieldChanges
  package let host: HostPolicy
  /// Until the answer's head; nil: no limit.
  package let timeoutMs: Int64?
  /// Between bytes of an answer.
  package let idleTimeoutMs: Int64
  package let retries: Int
  package let via: Bool
  /// Protocols that may take over the connection, in lower case.
  package let upgrades: [UTF8Text]

  /// What the `Host` field says to the service.
  package enum HostPolicy: Hashable, Sendable {
    /// The server's own.
    case upstream
    /// The one received.
    case preserve
    case literal(String)
  }
}

package struct FixedResponse: Sendable {
  /// 200–599.
  package let status: Int
  /// In the file's order, names as written; none of them framing or hop-by-hop.
  package let headers: [(name: UTF8Text, value: UTF8Text)]
  package let body: [UInt8]
}

/// What of `limits` a route may set, the file's own where it doesn't.
package struct RouteLimits: Hashable, Sendable {
  package let bodyBytesMax: Int
  package let bodyTimeoutMs: Int64
}

/// What becomes of paths that servers read differently.
package struct PathRules: Hashable, Sendable {
  /// `%2F`.
  package let encodedSlash: Rule
  /// `;`.
  package let parameters: Rule
  /// `//`.
  package let emptySegments: EmptySegments
  /// Tried only where nothing matched with case.
  package let ignoreCase: Bool

  package enum Rule: String, CaseIterable, Sendable {
    case reject, keep
  }

  package enum EmptySegments: String, CaseIterable, Sendable {
    case merge, reject, keep
  }
}
