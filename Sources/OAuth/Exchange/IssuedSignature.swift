package import JOSE
package import Wire

/// `verify.signature`: the signature of an issued token, checked with the keys of the issuer that
/// it names. What else is checked of it is `ExchangeJudge`'s, which has seen it by then.
package struct IssuedSignature: Sendable {
  private let token: UnverifiedToken

  /// - Throws: `unverified` where the token is no JWT that could be checked.
  package init(_ issued: IssuedToken) throws(ExchangeRefusal) {
    let bytes = issued.bytes
    do throws(TokenFault) {
      token = try UnverifiedToken(bytes.span)
    } catch {
      throw Self.refusal(error)
    }
  }

  /// `iss`: one that is configured, or `unknownIssuer`.
  package var issuer: UTF8Text { token.issuer }

  package static let unknownIssuer = ExchangeRefusal(
    .unverified, note: "the issued token's issuer is none of \"issuers\"")

  /// The keys could not be had, and so nothing be checked.
  package static let keysMissing = ExchangeRefusal(
    .unavailable, note: "the keys of the issued token's issuer can't be had")

  /// The issuer has no such key, asked for it or asked a moment ago.
  package static let keyUnknown = refusal(.keyUnknown)

  /// Whether the signature holds; false where none of these keys can have made it and others might.
  ///
  /// - Throws: `unverified` where it does not hold, or is of an algorithm that is not accepted.
  package func holds(
    by rules: IssuerRules, keys: JWKSet
  ) throws(ExchangeRefusal) -> Bool {
    guard rules.settings.algorithms.contains(token.jws.algorithm) else {
      throw Self.refusal(.algorithmRefused)
    }
    do throws(TokenFault) {
      _ = try token.signingKey(in: keys)
      return true
    } catch .keyUnknown {
      return false
    } catch {
      throw Self.refusal(error)
    }
  }

  private static func refusal(_ fault: TokenFault) -> ExchangeRefusal {
    ExchangeRefusal(.unverified, note: UTF8Text("the issued token: \(fault)"))
  }
}
