import Wire

// The table of presets, row by row: left column, right column. Claims that say nothing (null, an
// object, a list that holds no text) count as absent.
extension IdentityPreset {
  /// The preset's system column.
  func marksSystem(_ claims: JSONNode) -> Bool {
    switch self {
    case .rfc9068:
      // RFC 9068 §2.2: for a grant without a resource owner `sub` is an identifier of the client.
      saySame(claims["sub"], claims["client_id"]) || saySame(claims["sub"], claims["azp"])
    case .tetrapak:
      userTypes(claims).contains { (node: JSONNode?) in
        // With blanks around it, it can be nobody's but a system's.
        node.holds { $0.trimmed.equalsIgnoringASCIICase("system") }
      }
    case .keycloak:
      claims["preferred_username"].holds { $0.hasPrefix("service-account-") }
        || claims["clientHost"] != nil || claims["clientAddress"] != nil
    case .entra:
      claims["idtyp"].holds { $0 == "app" }
        || !claims["idtyp"].saysSomething && !claims["scp"].saysSomething
    case .auth0:
      claims["gty"].holds { $0 == "client-credentials" }
        || claims["sub"].holds { $0.hasSuffix("@clients") }
    case .okta:
      saySame(claims["sub"], claims["cid"]) && !claims["uid"].saysSomething
        || claims["sub_profile"].holds { $0 == "service" }
    case .cognito:
      saySame(claims["sub"], claims["client_id"]) && !claims["username"].saysSomething
    case .duende: claims["client_id"].saysSomething && !claims["sub"].saysSomething
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
      !marksSystem(claims) && userTypes(claims).contains { (node: JSONNode?) in node.saysSomething }
    case .keycloak:
      claims["preferred_username"].holds { !$0.hasPrefix("service-account-") }
    case .entra: claims["idtyp"].holds { $0 == "user" } || claims["scp"].saysSomething
    case .auth0:
      claims["sub"].holds { sub in
        sub.bytes.contains(UInt8(ascii: "|")) && !sub.hasSuffix("@clients")
      }
    case .okta: claims["uid"].saysSomething
    case .cognito: claims["username"].saysSomething
    case .duende: claims["sub"].saysSomething
    case .google: claims["email"].holds { !$0.hasSuffix(".gserviceaccount.com") }
    }
  }

  /// Every top-level member named `userType` in any case: there may be more than one.
  private func userTypes(_ claims: JSONNode) -> [JSONNode] {
    (claims.members ?? []).filter { $0.name.equalsIgnoringASCIICase("userType") }.map(\.node)
  }
}

extension UTF8Text {
  /// Without the blanks and control characters at both ends.
  fileprivate var trimmed: UTF8Text {
    let start = bytes.firstIndex { $0 > 0x20 } ?? bytes.endIndex
    let end = (bytes.lastIndex { $0 > 0x20 } ?? -1) + 1
    return start < end ? UTF8Text(Array(bytes[start..<end])) : ""
  }
}
