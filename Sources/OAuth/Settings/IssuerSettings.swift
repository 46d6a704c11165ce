package import Crypto
package import Wire

/// One entry of `issuers`: whose tokens are believed, and on which conditions.
package struct IssuerSettings: Sendable {
  /// The entry's name in the routes file.
  package let name: String
  /// Equals the token's `iss`, byte for byte.
  package let issuer: UTF8Text
  /// The discovery document's URL; nil where the issuer is no URL and none was given, which is
  /// only accepted beside `keys` from elsewhere.
  package let discovery: HTTPURL?
  package let keys: KeySource
  package let jwksRefreshMs: Int64
  /// Certificate authorities for this issuer's endpoints in place of the system's.
  package let ca: FileReference?
  /// For each call to the issuer.
  package let timeoutMs: Int64
  package let audiences: AcceptedAudiences
  package let audienceClaim: ClaimName
  package let algorithms: Set<SignatureAlgorithm>
  /// Header `typ` values accepted, in lower case and without `application/`
  /// (RFC 7515 §4.1.9); nil: any that marks no other use.
  package let types: [UTF8Text]?
  package let clockSkewMs: Int64
  /// Tokens issued (`iat`) longer ago are refused.
  package let maxAgeMs: Int64?
  package let identities: IdentityRules
  /// What a digest of this entry is taken over: the same bytes, the same settings.
  package let digestInput: [UInt8]
  package let place: ConfigPlace

  /// Whether the same keys are the other's: its name, and where its keys come from.
  package func hasSameSource(as other: IssuerSettings) -> Bool {
    issuer == other.issuer && ca?.path == other.ca?.path && discovery == other.discovery
      && keys.isSame(as: other.keys)
  }

  /// Where an issuer's keys come from.
  package enum KeySource: Hashable, Sendable {
    /// `jwks_uri` of the discovery document.
    case discovery
    case url(HTTPURL)
    case file(FileReference)

    /// Whether both name one source, wherever in a file they do.
    fileprivate func isSame(as other: KeySource) -> Bool {
      switch (self, other) {
      case (.discovery, .discovery): true
      case (.url(let url), .url(let otherURL)): url == otherURL
      case (.file(let file), .file(let otherFile)): file.path == otherFile.path
      case (.discovery, _), (.url, _), (.file, _): false
      }
    }
  }

  package init(
    name: String, issuer: UTF8Text, discovery: HTTPURL?, keys: KeySource, jwksRefreshMs: Int64,
    ca: FileReference?, timeoutMs: Int64, audiences: AcceptedAudiences, audienceClaim: ClaimName,
    algorithms: Set<SignatureAlgorithm>, types: [UTF8Text]?, clockSkewMs: Int64,
    maxAgeMs: Int64?, identities: IdentityRules, digestInput: [UInt8], place: ConfigPlace
  ) {
    self.name = name
    self.issuer = issuer
    self.discovery = discovery
    self.keys = keys
    self.jwksRefreshMs = jwksRefreshMs
    self.ca = ca
    self.timeoutMs = timeoutMs
    self.audiences = audiences
    self.audienceClaim = audienceClaim
    self.algorithms = algorithms
    self.types = types
    self.clockSkewMs = clockSkewMs
    self.maxAgeMs = maxAgeMs
    self.identities = identities
    self.digestInput = digestInput
    self.place = place
  }
}

/// Which audiences a token may be meant for.
package enum AcceptedAudiences: Hashable, Sendable {
  /// Written out by the operator as `"any"`.
  case any
  /// The token must hold one of them; never empty.
  case list([UTF8Text])
}
