package import Crypto
package import Wire

/// What distinguishes one target of exchanged tokens from another, as one digest. Whatever changes
/// what the token service would answer is in it, each part behind its length, so that no two lists
/// of parts are the same bytes.
package enum TargetDigest {
  /// Made when a route is loaded. `tokenService` is the token endpoint's URL, or the issuer's where
  /// discovery has yet to say it: never a name that another routes file may give to another
  /// service.
  package static func make(
    _ settings: ExchangeSettings, tokenService: UTF8Text, target: ExchangeTarget,
    digester: Digester
  ) -> SHA256Digest {
    var input = LengthPrefixed()
    input.append("tollgate target 2")
    input.append(tokenService)
    switch settings.grant {
    case .tokenExchange: input.append("token-exchange")
    case .onBehalfOf: input.append("on-behalf-of")
    case .clientCredentials: input.append("client-credentials")
    }
    input.append(settings.client.id)
    input.append(target.audiences)
    input.append(target.resources)
    input.append(target.scopes)
    input.append(settings.subjectTokenType)
    input.append(settings.requestedTokenType.map { [$0] } ?? [])
    // The actor's token itself, which never leaves: what comes out is a digest of all this.
    let actor = settings.actorToken.map { UTF8Text($0.revealed) }
    input.append(actor.map { [$0, settings.actorTokenType] } ?? [])
    input.append(settings.parameters.flatMap { [$0.name, $0.value] })
    switch settings.verify.audience {
    case .requested: input.append("requested")
    case .list(let list): input.append(["list"] + list)
    case .any: input.append("any")
    }
    switch settings.verify.subject {
    case .same: input.append("same")
    case .claims(let caller, let issued): input.append(["claims", caller.text, issued.text])
    case .any: input.append("any")
    }
    input.append(settings.verify.signature ? "signature" : "no signature")
    return digester.digest(input.bytes)
  }
}

/// Parts, each behind its length in eight bytes, and each list behind its count.
private struct LengthPrefixed {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ text: UTF8Text) {
    appendCount(text.bytes.count)
    bytes.append(contentsOf: text.bytes)
  }

  mutating func append(_ list: [UTF8Text]) {
    appendCount(list.count)
    for text in list { append(text) }
  }

  private mutating func appendCount(_ count: Int) {
    for shift in stride(from: 56, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: count >> shift))
    }
  }
}
