package import Crypto

/// An issuer's settings and their digest: what a token is verified by. Made once, when the routes
/// file is loaded. A class, because to hand on the settings by value costs a dozen reference
/// counts.
package final class IssuerRules: Sendable {
  package let settings: IssuerSettings
  /// The same settings have the same digest: a verified token that bears another one is void.
  package let digest: SHA256Digest

  package init(_ settings: IssuerSettings, digester: Digester) {
    self.settings = settings
    digest = digester.digest(settings.digestInput)
  }
}
