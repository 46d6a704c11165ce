import OAuth
import Wire

// Whom a verified token stands for, and what the route says to that.
extension ExplainedRequest {
  /// `Admission.admit`, and what it looks at.
  func admit(
    _ identity: consuming VerifiedIdentity, at route: Route, _ request: Request
  ) throws(Refusal) -> AdmittedIdentity {
    let admitted: AdmittedIdentity
    do throws(Refusal) {
      admitted = try Admission.admit(identity, at: route)
    } catch {
      tellOfAdmission(route, request, error)
      throw error
    }
    tellOfAdmission(route, request, nil)
    return admitted
  }

  private func tellOfAdmission(_ route: Route, _ request: Request, _ refusal: Refusal?) {
    guard let caller = request.record.caller,
      case .checked(let wanted, let admission, _) = route.settings.access
    else { return }
    let identity = caller.verified.identity
    let verdict: RouteAccess.Verdict =
      switch identity.kind {
      case .person: admission.person
      case .system: admission.system
      case .unknown: admission.unknown
      }
    let word =
      switch verdict {
      case .admit: "exchange"
      case .reject: "reject"
      case .ownToken: "client-credentials"
      }
    let kind = identity.kind.rawValue
    add(
      "identity", verdict == .reject ? .wrong : .well,
      verdict == .reject ? "\(kind): not let through" : kind,
      [
        Explanation.Fact("rule", identity.rule ?? "none marks the token"),
        Explanation.Fact("admit.\(kind)", word),
      ])
    if verdict == .reject { return }
    var facts: [Explanation.Fact] = []
    let scopes = caller.verified.scopes
    let got = PlainText.list(scopes)
    for (name, list, isMet) in [
      ("scope", wanted.scopes, wanted.scopes.allSatisfy(scopes.contains)),
      ("anyScope", wanted.anyScopes, wanted.anyScopes.contains(where: scopes.contains)),
    ] where !list.isEmpty {
      let expected = "\(name == "scope" ? "all of" : "one of") \(PlainText.list(list))"
      facts.append(
        Explanation.Fact(name, got, expected: expected, mark: isMet ? .well : .wrong))
    }
    for rule in wanted.claims {
      let value = rule.claim.value(in: caller.verified.claims)
      let text = value.map { PlainText.of(CanonicalJSON.bytes(of: $0, hiding: [])) } ?? "absent"
      facts.append(
        Explanation.Fact(
          "\(rule.claim)", text, expected: "one of \(PlainText.list(rule.values))",
          mark: rule.holds(for: caller.verified.claims) ? .well : .wrong))
    }
    guard !facts.isEmpty else { return }
    let summary = refusal?.detail ?? "scopes and claims are as wanted"
    add("rules", refusal == nil ? .well : .wrong, summary, facts)
  }
}
