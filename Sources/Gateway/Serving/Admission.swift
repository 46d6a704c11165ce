import OAuth
import Wire

/// An identity that the route lets through. Only `Admission.admit` makes one.
struct AdmittedIdentity: ~Copyable {
  enum Onward {
    case nothing
    case passthrough(Caller)
    case exchange(Caller, target: Int)
    /// The gateway's own token; for a system that called, or for whoever calls a public route.
    case ownToken(Route.OwnToken, Caller?)
  }

  fileprivate(set) var onward: Onward
}

/// Decides who gets through a route: system identities stop here, before anything else is called.
enum Admission {
  /// - Throws: `system_identity`, `identity_unknown`, `scope_missing`, `claim_refused`.
  static func admit(
    _ identity: consuming VerifiedIdentity, at route: Route
  ) throws(Refusal) -> AdmittedIdentity {
    switch route.access {
    case .open:
      if let own = route.ownToken { return AdmittedIdentity(onward: .ownToken(own, nil)) }
      return AdmittedIdentity(onward: .nothing)
    case .checked(let check):
      guard let caller = identity.caller else { throw Refusal(.tokenMissing) }
      switch caller.token.identity {
      case .person where check.admission.person == .reject:
        throw Refusal(.claimRefused, "This route is not for people.")
      case .system where check.admission.system == .reject: throw Refusal(.systemIdentity)
      case .unknown where check.admission.unknown == .reject: throw Refusal(.identityUnknown)
      case .person, .system, .unknown: break
      }
      try requireScopes(check, caller.token)
      if let claims = check.claims, !caller.token.holds(claims) { throw Refusal(.claimRefused) }
      if caller.token.identity == .system, check.admission.system == .ownToken {
        // Reading has made sure that it is there; without it nothing may go on.
        guard let own = route.ownToken else { throw Refusal(.systemIdentity) }
        return AdmittedIdentity(onward: .ownToken(own, caller))
      }
      switch check.onward {
      case .stripped: return AdmittedIdentity(onward: .nothing)
      case .passedThrough: return AdmittedIdentity(onward: .passthrough(caller))
      case .exchanged(let target):
        return AdmittedIdentity(onward: .exchange(caller, target: target))
      }
    }
  }

  private static func requireScopes(
    _ check: Route.Check, _ token: KnownToken
  ) throws(Refusal) {
    if check.scopes.isEmpty, check.anyScopes.isEmpty { return }
    let hasAll = check.scopes.allSatisfy { token.scopes.contains($0) }
    let hasAny = check.anyScopes.isEmpty || check.anyScopes.contains { token.scopes.contains($0) }
    if hasAll, hasAny { return }
    var refusal = Refusal(.scopeMissing)
    refusal.scope = (check.scopes.isEmpty || hasAll && !hasAny ? check.anyScopes : check.scopes)
      .map(\.string).joined(separator: " ")
    throw refusal
  }
}
