extension Refusal.Reason {
  /// What to do about a refusal, for whoever runs the gateway or calls it.
  package var advice: String {
    switch self {
    case .malformedRequest:
      "Mend the client: HTTP/1.1 as RFC 9112 has it, a path without tricks; %2F and ; pass where "
        + "the route's pathRules keep them."
    case .versionUnsupported: "Send HTTP/1.1, or HTTP/1.0."
    case .notImplemented: "Send another method, and no transfer coding but chunked."
    case .expectationFailed: "Drop the Expect field, or send 100-continue."
    case .misdirected:
      "Connect anew for this host: another certificate of this listener holds its name."
    case .noRoute:
      "Call a path and host that a route has, or add a route; those that nearly match, if any, are "
        + "above."
    case .methodNotAllowed: "Use a method that the route has, or add it to its match.methods."
    case .tokenMissing:
      "Send Authorization: Bearer TOKEN, or the token where the route's authenticate.from says."
    case .credentialMalformed: "Send one bearer token, in one place, unbroken."
    case .tokenMalformed: "Send a JWT: an opaque token can't be checked here."
    case .issuerUnknown:
      "Get a token from an issuer that the route trusts, or add this one to issuers, its name as "
        + "the token's iss has it to the letter."
    case .keyUnknown:
      "Check that the token is of this issuer, and that its key set publishes the token's kid."
    case .algorithmRefused:
      "Have the token signed by an algorithm of issuers.NAME.algorithms that its key is for."
    case .signatureInvalid: "The token was changed, cut or forged: get a new one."
    case .tokenExpired: "Get a new token; where it is new, look at both clocks."
    case .tokenNotYetValid: "Wait, or look at both clocks."
    case .audienceWrong:
      "Ask the issuer for a token for this gateway, or add the token's audience to "
        + "issuers.NAME.audiences."
    case .typeRefused:
      "Send the access token and not the ID or refresh token; issuers.NAME.types takes others."
    case .claimsInvalid:
      "Have the issuer put exp and the other claims into tokens, as RFC 7519 has it."
    case .bindingUnverified:
      "Show the certificate that the token is bound to, or get a plain token."
    case .systemIdentity:
      "Use a person's token; or have the route's admit.system say exchange or client-credentials."
    case .identityUnknown:
      "Tell how persons' tokens are marked (issuers.NAME.identities), or have admit.unknown say "
        + "exchange."
    case .originRefused:
      "Call from a page of the same origin, or add the page's origin to the route's cors.origins."
    case .scopeMissing: "Ask the issuer for a token with the scopes that the route wants."
    case .claimRefused:
      "Use a token whose claims are as the route's authenticate.claims wants them."
    case .rateLimited: "Wait as long as Retry-After says, or raise the route's rateLimit."
    case .subjectRefused: "Sign in anew: the token service no longer accepts the caller's token."
    case .exchangeDenied:
      "Allow the gateway's client, at the token service, to exchange for this audience and caller."
    case .exchangeMisconfigured:
      "Look at exchange_error in the log: the client's id or secret, its grant, the URL."
    case .exchangeUnverified:
      "Have the token service issue for the audience asked for and the same sub, or see verify."
    case .exchangeUnavailable: "Look after the token service, or the way to it."
    case .exchangeTimeout: "Look why the token service is slow, or raise exchanges.NAME.timeout."
    case .keysUnavailable:
      "Look why the issuer's keys can't be had: its URL, its certificate, the way to it (/readyz)."
    case .upstreamUnavailable:
      "Look after the service: no server of the upstream takes connections. See its address, its "
        + "name in DNS and, with https, its certificate and authority (tls.ca)."
    case .upstreamFailed: "Look after the service: it broke off, or what it said was no HTTP."
    case .upstreamTimeout: "Look why the service is slow, or raise the route's forward.timeout."
    case .requestLineTooLong: "Shorten the URL, or raise limits.requestLine."
    case .headersTooLarge: "Send fewer or smaller fields, or raise limits.headers."
    case .bodyTooLarge: "Send less, or raise limits.body."
    case .requestTimeout: "The caller, or the network before it, was too slow."
    case .overloaded: "Raise limits.connections, or run more gateways."
    case .callerGone: "The caller ended the connection before the answer; look at its timeout."
    }
  }
}
