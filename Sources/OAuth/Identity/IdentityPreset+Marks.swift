import Wire

// The table of presets, row by row: left column, right column. Claims that are null count as
// absent.
extension IdentityPreset {
  /// The preset's system column.
  func marksSystem(_ claims: JSONNode) -> Bool {
    switch self {
    case .rfc9068:
      // RFC 9068 §2.2: for a grant without a resource owner `sub` is an identifier of the client.
      isSame(claims["sub"], claims["client_id"]) || isSame(claims["sub"], claims["azp"])
    case .tetrapak:
      userTypes(claims).contains { (node: JSONNode?) in
        node.holds { $0.equalsIgnoringASCIICase("system") }
      }
    case .keycloak:
      claims["preferred_username"].holds { $0.hasPrefix("service-account-") }
        || claims["clientHost"] != nil || claims["clientAddress"] != nil
    case .entra:
      claims["idtyp"].holds { $0 == "app" }
        || !claims["idtyp"].isPresent && !claims["scp"].isPresent
    case .auth0:
      claims["gty"].holds { $0 == "client-credentials" }
        || claims["sub"].holds { $0.hasSuffix("@clients") }
    case .okta:
      isSame(claims["sub"], claims["cid"]) && !claims["uid"].isPresent
        || claims["sub_profile"].holds { $0 == "service" }
    case .cognito:
      isSame(claims["sub"], claims["client_id"]) && !claims["username"].isPresent
    case .duende: claims["client_id"].isPresent && !claims["sub"].isPresent
    case .google: claims["email"].holds { $0.hasSuffix(".gserviceaccount.com") }
    case .kubernetes: claims["sub"].holds { $0.hasPrefix("system:serviceaccount:") }
    case .spiffe: claims["sub"].holds { $0.hasPrefix("spiffe://") }
    }
  }

  /// The preset's person column. "Other" is what the system column does not mark.
  func marksPerson(_ claims: JSONNode) -> Bool {
    switch self {
    case .rfc9068, .kubernetes, .spiffe: false
    case .tetrapak:
      !marksSystem(claims) && userTypes(claims).contains { !$0.isNull }
    case .keycloak:
      claims["preferred_username"].holds { !$0.hasPrefix("service-account-") }
    case .entra: claims["idtyp"].holds { $0 == "user" } || claims["scp"].isPresent
    case .auth0:
      claims["sub"].holds { sub in
        sub.bytes.contains(UInt8(ascii: "|")) && !sub.hasSuffix("@clients")
      }
    case .okta: claims["uid"].isPresent
    case .cognito: claims["username"].isPresent
    case .duende: claims["sub"].isPresent
    case .google: claims["email"].holds { !$0.hasSuffix(".gserviceaccount.com") }
    }
  }

  /// Every top-level member named `userType` in any case: there may be more than one.
  private func userTypes(_ claims: JSONNode) -> [JSONNode] {
    (claims.members ?? []).filter { $0.name.equalsIgnoringASCIICase("userType") }.map(\.node)
  }
}
