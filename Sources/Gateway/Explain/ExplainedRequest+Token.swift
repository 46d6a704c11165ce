import Crypto
import JOSE
import OAuth
import Reactor
import Wire

/// The token that is sent in the place of the one that is asked about: itself, or its twin.
struct JudgedToken {
  enum Signature {
    /// Its issuer's keys say.
    case checked
    /// Taken to hold.
    case assumed
    case keysMissing(String)
  }

  var token: [UInt8]?
  /// nil where it is no JWT, or names no issuer.
  var unverified: UnverifiedToken?
  /// By its index in the configuration; nil where the file has none of that name.
  var issuer: Int?
  var signature = Signature.checked
}

// Where the token is, what it says, and what the checks say of it.
extension ExplainedRequest {
  /// Has the issuer's keys fetched, where that is asked for or they are in a file; else the token
  /// is signed anew with a key that stands in for them.
  func judgedToken() async -> JudgedToken {
    var judged = JudgedToken(token: call.token)
    guard let token = call.token else { return judged }
    do throws(TokenFault) {
      judged.unverified = try UnverifiedToken(token.span)
    } catch {
      return judged
    }
    let tokens = engine.shared.tokens
    guard let unverified = judged.unverified,
      let issuer = tokens.issuerIndex(of: unverified.issuer)
    else { return judged }
    judged.issuer = issuer
    let keys = tokens.issuers[issuer]
    let isFile = if case .file = keys.rules.settings.keys { true } else { false }
    if call.isLive || isFile {
      if let trouble = await engine.keyKeeper.fetchOnce(issuer) {
        judged.signature = .keysMissing(trouble)
      } else if let set = keys.keys, isKeyUnknown(unverified, keys.rules, set) {
        _ = await engine.keyKeeper.fetchOnce(issuer)
      }
      return judged
    }
    do throws(CryptoFault) {
      let twin = try StandInKey.sign(token, as: unverified, digester)
      _ = keys.endFetch(with: twin.keys)
      judged.token = twin.token
      judged.signature = .assumed
    } catch {
      judged.signature = .keysMissing("\(error)")
    }
    return judged
  }

  private func isKeyUnknown(
    _ token: UnverifiedToken, _ rules: IssuerRules, _ keys: JWKSet
  ) -> Bool {
    do throws(TokenFault) {
      _ = try token.verify(by: rules, keys: keys, nowMs: nowMs)
      return false
    } catch {
      return error == .keyUnknown
    }
  }

  /// `Authenticator.identity`, and what it looks at.
  func authenticate(
    _ request: Request, at route: Route, _ judged: JudgedToken
  ) async throws(Refusal) -> VerifiedIdentity {
    guard case .checked(let check) = route.access,
      case .checked(let settings, _, _) = route.settings.access
    else {
      let isThere = call.token != nil
      add(
        "token", .note,
        isThere ? "not looked at: the route is public, and no token goes on" : "none is wanted")
      return try await engine.authenticator.identity(of: request, at: route)
    }
    do throws(Refusal) {
      if let sources = check.sources {
        _ = try Credential.find(in: request, at: sources)
      } else {
        _ = try Credential.find(in: request)
      }
    } catch {
      let places = settings.places.map(Self.text).joined(separator: ", ")
      add("token", .wrong, error.detail, [Explanation.Fact("looked in", places)])
      throw error
    }
    tellOfTokenItself(request, check, settings, judged)
    if case .assumed = judged.signature {
      caveats.append("The signature was taken to hold; --live checks it with the issuer's keys.")
    }
    let identity: VerifiedIdentity
    do throws(Refusal) {
      identity = try await engine.authenticator.identity(of: request, at: route)
    } catch {
      add("checks", .wrong, error.detail, checks(check, settings, judged, error))
      tellOfWhomItWouldBe(judged)
      throw error
    }
    var summary = "the token is verified"
    if case .assumed = judged.signature { summary = "all that is checked holds" }
    add("checks", .well, summary, checks(check, settings, judged, nil))
    return identity
  }

  static func text(_ place: TokenPlace) -> String {
    switch place {
    case .header: "Authorization"
    case .cookie(let name): "the cookie \(name)"
    case .query(let name): "the query's parameter \(name)"
    }
  }

  // What it says.

  private func tellOfTokenItself(
    _ request: Request, _ check: Route.Check, _ settings: RouteAccess.Authentication,
    _ judged: JudgedToken
  ) {
    let place =
      settings.places.first { check.sources?.places.source($0) == request.tokenSource } ?? .header
    let digest = tokenDigest.isEmpty ? "" : ", SHA-256 \(tokenDigest)…"
    var facts: [Explanation.Fact] = []
    if let token = judged.unverified {
      facts.append(Explanation.Fact("header", header(of: token)))
      for member in token.claims.members ?? [] { facts.append(fact(of: member)) }
    } else if let header = call.token.flatMap({ TokenOutline($0).headerText }) {
      facts.append(Explanation.Fact("header", header))
    }
    add("token", .well, "in \(Self.text(place))\(digest)", facts)
  }

  private func header(of token: UnverifiedToken) -> String {
    var parts = ["alg \(token.algorithm.name)"]
    if let type = token.type { parts.append("typ \(type)") }
    if let keyID = token.keyID { parts.append("kid \(keyID)") }
    return parts.joined(separator: ", ")
  }

  private static let claimBytesMax = 300
  private static let dates: [UTF8Text] = ["exp", "nbf", "iat", "auth_time"]

  private func fact(of member: JSONMember) -> Explanation.Fact {
    let name = member.name.string
    if Self.dates.contains(member.name), let atMs = NumericDate.milliseconds(member.node) {
      return Explanation.Fact(name, PlainText.moment(atMs, nowMs: nowMs))
    }
    var bytes = CanonicalJSON.bytes(of: member.node, hiding: [])
    if bytes.count > Self.claimBytesMax {
      bytes = Array(bytes.prefix(Self.claimBytesMax)) + Array("…".utf8)
    }
    return Explanation.Fact(name, PlainText.of(bytes))
  }

  // What the checks say.

  private func checks(
    _ check: Route.Check, _ route: RouteAccess.Authentication, _ judged: JudgedToken,
    _ refusal: Refusal?
  ) -> [Explanation.Fact] {
    guard let token = judged.unverified else { return formFacts(route) }
    let accepted = route.issuers.map { configuration.issuers[$0].issuer }
    let isAccepted = judged.issuer.map { check.issuers[$0] } ?? false
    var facts = [
      Explanation.Fact(
        "issuer", token.issuer.string + nearMiss(token.issuer, accepted),
        expected: PlainText.list(accepted), mark: isAccepted ? .well : .wrong)
    ]
    guard let issuer = judged.issuer else { return facts }
    let settings = configuration.issuers[issuer]
    let isAllowed = settings.algorithms.contains(token.algorithm)
    let allowed = settings.algorithms.map(\.name).sorted().joined(separator: ", ")
    facts.append(
      Explanation.Fact(
        "algorithm", token.algorithm.name, expected: allowed, mark: isAllowed ? .well : .wrong))
    facts.append(signature(judged, refusal))
    let found = ClaimFindings(token, settings, nowMs: nowMs)
    facts.append(life(found, settings, check, judged, refusal))
    let audiences =
      switch settings.audiences {
      case .any: "any"
      case .list(let list): "one of \(PlainText.list(list))"
      }
    facts.append(
      Explanation.Fact(
        "\(settings.audienceClaim)", PlainText.list(found.audiences), expected: audiences,
        mark: found.audience == nil ? .well : .wrong))
    let type = token.type?.string ?? "none said"
    facts.append(
      Explanation.Fact(
        "type", found.type == nil ? type : type + Self.otherUse(of: token),
        expected: settings.types.map { PlainText.list($0) } ?? "an access token's",
        mark: found.type == nil ? .well : .wrong))
    if found.forms != nil {
      facts.append(
        Explanation.Fact(
          "forms", "sub, jti or scope is of a wrong type", expected: "texts", mark: .wrong))
    }
    if found.isBound {
      let isWrong = found.binding != nil || refusal?.reason == .bindingUnverified
      facts.append(
        Explanation.Fact(
          "cnf", "bound to a key of the caller's",
          expected: "a certificate that the connection shows; here there is none",
          mark: isWrong ? .wrong : .note))
    }
    return facts
  }

  /// Of a token of which nothing could be checked.
  private func formFacts(_ route: RouteAccess.Authentication) -> [Explanation.Fact] {
    guard let outline = call.token.map(TokenOutline.init) else { return [] }
    if let trouble = outline.trouble {
      return [
        Explanation.Fact("form", trouble.got, expected: trouble.expected, mark: .wrong)
      ]
    }
    guard let algorithm = outline.unusedAlgorithm else { return [] }
    var allowed: [String] = []
    for name in route.issuers.flatMap({ configuration.issuers[$0].algorithms.map(\.name).sorted() })
    where !allowed.contains(name) { allowed.append(name) }
    return [
      Explanation.Fact(
        "algorithm", algorithm, expected: allowed.joined(separator: ", "), mark: .wrong)
    ]
  }

  /// What of an issuer's name differs from a trusted one's, where that is easily overlooked.
  private func nearMiss(_ issuer: UTF8Text, _ accepted: [UTF8Text]) -> String {
    if accepted.contains(issuer) { return "" }
    func bare(_ name: UTF8Text) -> String {
      let parts = name.string.lowercased().split(separator: "://", maxSplits: 1)
      let text = parts.last.map(String.init) ?? ""
      return text.hasSuffix("/") ? String(text.dropLast()) : text
    }
    guard let near = accepted.first(where: { bare($0) == bare(issuer) }) else { return "" }
    let isSlash = near.string.hasSuffix("/") != issuer.string.hasSuffix("/")
    return isSlash ? " (only the slash at its end differs)" : " (scheme or case differ)"
  }

  /// What marks a token that is none for access (ROUTES.md, `type_refused`).
  private static func otherUse(of token: UnverifiedToken) -> String {
    let claims = token.claims
    let marks = ["nonce", "at_hash", "c_hash", "events"].filter { claims[UTF8Text($0)] != nil }
    let named = ["typ", "token_use"].compactMap { name in
      claims[UTF8Text(name)]?.string.map { "\(name) \($0)" }
    }
    let all = named + marks
    return all.isEmpty ? "" : "; its claims have \(all.joined(separator: ", "))"
  }

  private func signature(_ judged: JudgedToken, _ refusal: Refusal?) -> Explanation.Fact {
    switch judged.signature {
    case .assumed: return Explanation.Fact("signature", "unchecked")
    case .keysMissing(let trouble):
      return Explanation.Fact("signature", "no keys: \(trouble)", mark: .wrong)
    case .checked: break
    }
    switch refusal?.reason {
    case .signatureInvalid: return Explanation.Fact("signature", "does not hold", mark: .wrong)
    case .keyUnknown:
      let keys = judged.issuer.flatMap { engine.shared.tokens.issuers[$0].keys?.keys } ?? []
      let wanted = judged.unverified?.keyID.map { "no key \"\($0)\"" }
      return Explanation.Fact(
        "signature", wanted ?? "no key that fits",
        expected: "one of the issuer's: \(PlainText.list(keys.compactMap(\.keyID)))", mark: .wrong)
    case .algorithmRefused, .issuerUnknown: return Explanation.Fact("signature", "not looked at")
    default: return Explanation.Fact("signature", "holds", mark: .well)
    }
  }

  private func life(
    _ found: ClaimFindings, _ settings: IssuerSettings, _ check: Route.Check,
    _ judged: JudgedToken, _ refusal: Refusal?
  ) -> Explanation.Fact {
    let isExpired = refusal?.reason == .tokenExpired
    let skew = "give or take \(Numbers.span(ms: settings.clockSkewMs)) (clockSkew)"
    var expected =
      check.isExchanging
      ? "an end in the future; no clockSkew where tokens are exchanged"
      : "an end in the future, \(skew)"
    let isWrong = found.times != nil || isExpired
    let got: String
    switch found.times {
    case .notYetValid:
      let begins = found.notBeforeMs.flatMap { $0 > nowMs ? $0 : nil } ?? found.issuedAtMs
      got = "valid \(begins.map { PlainText.moment($0, nowMs: nowMs) } ?? "later")"
      expected = "a beginning that has been, \(skew)"
    case .claimsInvalid:
      let claims = judged.unverified?.claims
      let wrong = Self.dates.first { name in
        claims?[name].map { NumericDate.milliseconds($0) == nil } ?? false
      }
      got = wrong.map { "\($0) is no number of seconds" } ?? "no exp"
      expected = "exp, in seconds since 1970"
    default:
      guard let end = found.expiresAtMs else {
        got = "no exp"
        break
      }
      let isOver = end <= nowMs
      got = "\(isOver ? "expired" : "ends") \(PlainText.moment(end, nowMs: nowMs))"
    }
    let age = settings.maxAgeMs.map { ", maxAge \(Numbers.span(ms: $0))" } ?? ""
    return Explanation.Fact("life", got, expected: expected + age, mark: isWrong ? .wrong : .well)
  }

  private func tellOfWhomItWouldBe(_ judged: JudgedToken) {
    guard let token = judged.unverified, let issuer = judged.issuer else { return }
    let identity = configuration.issuers[issuer].identities.identity(of: token.claims)
    add(
      "identity", .note, "not looked at; it would be \(identity.kind.rawValue)",
      [Explanation.Fact("rule", identity.rule ?? "none marks it")])
  }
}
