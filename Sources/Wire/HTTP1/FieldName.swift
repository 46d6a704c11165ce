/// The field names that the gateway acts upon; what it merely passes on is `other`.
///
/// A name is recognised once, while its line is parsed, and is a number from then on: nothing on a
/// request's path compares names as text. A new one is a case and its spelling, nothing else.
package enum FieldName: UInt8, Sendable, CaseIterable {
  case other
  // Of the connection: hop-by-hop by nature (RFC 9110 §7.6.1), and `Close`, reserved for its option
  case connection, keepAlive, proxyConnection, proxyAuthenticate, proxyAuthorization
  case te, trailer, transferEncoding, upgrade, http2Settings, close
  // Framing and routing
  case host, contentLength, expect, maxForwards
  // Identity
  case authorization, wwwAuthenticate, authenticationInfo, proxyAuthenticationInfo
  case cookie, setCookie, origin, referer
  // Where the request came from
  case forwarded, xForwardedFor, xForwardedProto, xForwardedHost, xForwardedPort
  case xForwardedPrefix
  /// Any other name that begins with `x-forwarded-`.
  case xForwardedOther
  case xRealIP, via, xRequestID, traceparent, tracestate
  // Content and caching
  case accept, contentType, contentEncoding, contentRange, range
  case ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince, ifRange
  case cacheControl, pragma, vary, age, expires, warning, date, retryAfter
  case userAgent, server, location, allow
  // CORS
  case accessControlRequestMethod, accessControlRequestHeaders
  /// Any other name that begins with `access-control-`.
  case accessControlOther

  /// Lower case, as on the wire; empty for `other`, the prefix for the two families.
  package var spelling: String {
    switch self {
    case .other: ""
    case .connection: "connection"
    case .keepAlive: "keep-alive"
    case .proxyConnection: "proxy-connection"
    case .proxyAuthenticate: "proxy-authenticate"
    case .proxyAuthorization: "proxy-authorization"
    case .te: "te"
    case .trailer: "trailer"
    case .transferEncoding: "transfer-encoding"
    case .upgrade: "upgrade"
    case .http2Settings: "http2-settings"
    case .close: "close"
    case .host: "host"
    case .contentLength: "content-length"
    case .expect: "expect"
    case .maxForwards: "max-forwards"
    case .authorization: "authorization"
    case .wwwAuthenticate: "www-authenticate"
    case .authenticationInfo: "authentication-info"
    case .proxyAuthenticationInfo: "proxy-authentication-info"
    case .cookie: "cookie"
    case .setCookie: "set-cookie"
    case .origin: "origin"
    case .referer: "referer"
    case .forwarded: "forwarded"
    case .xForwardedFor: "x-forwarded-for"
    case .xForwardedProto: "x-forwarded-proto"
    case .xForwardedHost: "x-forwarded-host"
    case .xForwardedPort: "x-forwarded-port"
    case .xForwardedPrefix: "x-forwarded-prefix"
    case .xForwardedOther: "x-forwarded-"
    case .xRealIP: "x-real-ip"
    case .via: "via"
    case .xRequestID: "x-request-id"
    case .traceparent: "traceparent"
    case .tracestate: "tracestate"
    case .accept: "accept"
    case .contentType: "content-type"
    case .contentEncoding: "content-encoding"
    case .contentRange: "content-range"
    case .range: "range"
    case .ifMatch: "if-match"
    case .ifNoneMatch: "if-none-match"
    case .ifModifiedSince: "if-modified-since"
    case .ifUnmodifiedSince: "if-unmodified-since"
    case .ifRange: "if-range"
    case .cacheControl: "cache-control"
    case .pragma: "pragma"
    case .vary: "vary"
    case .age: "age"
    case .expires: "expires"
    case .warning: "warning"
    case .date: "date"
    case .retryAfter: "retry-after"
    case .userAgent: "user-agent"
    case .server: "server"
    case .location: "location"
    case .allow: "allow"
    case .accessControlRequestMethod: "access-control-request-method"
    case .accessControlRequestHeaders: "access-control-request-headers"
    case .accessControlOther: "access-control-"
    }
  }

  /// Whether the field ends at this hop by its own nature, named by `Connection` or not.
  ///
  /// `Proxy-Authorization` counts: this gateway is the proxy that it could only be meant for, and
  /// asks for none.
  package var isHopByHop: Bool {
    rawValue &- FieldName.connection.rawValue
      <= FieldName.close.rawValue &- FieldName.connection.rawValue
  }

  /// Whether the case stands for every name with its spelling as prefix.
  package var isFamily: Bool { self == .xForwardedOther || self == .accessControlOther }
}

/// A set of field names, in one register.
package struct FieldNameSet: Sendable, Equatable {
  private var bits: UInt64 = 0
  package init() {}
  package init(_ names: [FieldName]) { for name in names { insert(name) } }
  package func contains(_ name: FieldName) -> Bool { bits & Self.bit(name) != 0 }
  package mutating func insert(_ name: FieldName) { bits |= Self.bit(name) }
  package func union(_ other: FieldNameSet) -> FieldNameSet {
    var union = self
    union.bits |= other.bits
    return union
  }
  package var isEmpty: Bool { bits == 0 }
  /// Bit 0 is `other`'s; the names are fewer than 64, which a test holds to.
  private static func bit(_ name: FieldName) -> UInt64 { 1 &<< UInt64(name.rawValue) }
}
