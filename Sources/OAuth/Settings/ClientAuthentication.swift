package import Crypto
package import Wire

/// How the gateway shows the token service who it is (RFC 6749 §2.3).
package struct ClientAuthentication: Sendable {
  package let id: UTF8Text
  package let method: Method

  package enum Method: Sendable {
    /// `client_secret_basic`: form-encoded first, then base64 (RFC 6749 §2.3.1).
    case basic(Secret)
    /// `client_secret_post`: in the form.
    case post(Secret)
    /// `private_key_jwt` (RFC 7523 §2.2): a signed statement, a new one for each request.
    case privateKey(AssertionSettings)
    /// `tls_client_auth` (RFC 8705 §2.1): the connection's certificate says it.
    case certificate(chain: FileReference, key: FileReference)
    /// `none`: a public client says its id and proves nothing.
    case none
  }

  package init(id: UTF8Text, method: Method) {
    self.id = id
    self.method = method
  }

  /// Whether the token service is shown the same by both, as far as no file says it.
  package func isSame(as other: ClientAuthentication) -> Bool {
    guard id == other.id else { return false }
    switch (method, other.method) {
    case (.basic(let secret), .basic(let others)), (.post(let secret), .post(let others)):
      return secret.revealed == others.revealed
    case (.privateKey(let settings), .privateKey(let others)):
      return settings.keyID == others.keyID && settings.audience == others.audience
        && settings.algorithm?.value == others.algorithm?.value
        && (settings.certificate == nil) == (others.certificate == nil)
    case (.certificate, .certificate), (.none, .none): return true
    case (.basic, _), (.post, _), (.privateKey, _), (.certificate, _), (.none, _): return false
    }
  }

  /// What of it is typed in by the operator and must appear nowhere.
  var secret: Secret? {
    switch method {
    case .basic(let secret), .post(let secret): secret
    case .privateKey, .certificate, .none: nil
    }
  }
}

/// What `private_key_jwt` signs with, and what it says.
package struct AssertionSettings: Sendable {
  package let key: FileReference
  /// The header's `kid`.
  package let keyID: UTF8Text?
  /// Where there is one, the header says its `x5t#S256` (RFC 7515 §4.1.8), which Entra asks for.
  package let certificate: FileReference?
  /// nil: by the key.
  package let algorithm: Algorithm?
  /// The assertion's `aud`; nil: the token endpoint's URL.
  package let audience: UTF8Text?

  package struct Algorithm: Sendable {
    package let value: SignatureAlgorithm
    package let place: ConfigPlace

    package init(_ value: SignatureAlgorithm, place: ConfigPlace) {
      self.value = value
      self.place = place
    }
  }

  package init(
    key: FileReference, keyID: UTF8Text?, certificate: FileReference?, algorithm: Algorithm?,
    audience: UTF8Text?
  ) {
    self.key = key
    self.keyID = keyID
    self.certificate = certificate
    self.algorithm = algorithm
    self.audience = audience
  }
}
