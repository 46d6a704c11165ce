import Crypto
import OAuth
import Wire

extension Kind where Value == ClientAuthentication {
  /// An exchange's `client`. What its method has no use for is a mistake: somebody thinks that it
  /// is used.
  static var client: Kind {
    .object { object in
      let id = object.required("id", .text, "the gateway's client id")
      let given = object.optional(
        "method", Kind<ClientMethod>.choice(), "how the gateway shows who it is")
      let method = given ?? (object.has("method") ? nil : .basic)
      let secret = object.optional("secret", .secret, "of the methods with a secret")
      let key = object.optional("key", .inputFile, "the private key's PEM file")
      let keyID = object.optional("keyId", .text, "which of the gateway's keys it is")
      let certificate = object.optional("certificate", .inputFile, "the certificate's PEM file")
      let algorithm = object.optional("algorithm", .placedAlgorithm, "null: by the key")
      let audience = object.optional("assertionAudience", .text, "null: the token endpoint")
      if method == .certificate, let certificate, let key {
        object.setting.reading.note(
          .identity(CertificateReference(chain: certificate, key: key)))
      } else if let key {
        object.setting.reading.note(.key(key))
      }
      guard let method else { return nil }
      method.refuseMissingAndMisplaced(in: &object)
      let value: ClientAuthentication.Method? =
        switch method {
        case .basic: secret.map { .basic($0) }
        case .post: secret.map { .post($0) }
        case .privateKey:
          key.map { key in
            .privateKey(
              AssertionSettings(
                key: key, keyID: keyID, certificate: certificate, algorithm: algorithm,
                audience: audience))
          }
        case .certificate:
          if let certificate, let key { .certificate(chain: certificate, key: key) } else { nil }
        case .none: ClientAuthentication.Method.none
        }
      guard let id, let value else { return nil }
      return ClientAuthentication(id: id, method: value)
    }
  }
}

/// The methods by their registered names (RFC 7591 §2), and which keys go with each.
private enum ClientMethod: String, CaseIterable {
  case basic = "client_secret_basic"
  case post = "client_secret_post"
  case privateKey = "private_key_jwt"
  case certificate = "tls_client_auth"
  case none

  private static let keys: [(name: String, purpose: String)] = [
    ("secret", "{\"env\": \"NAME\"} or {\"file\": \"path\"}"),
    ("key", "the private key's PEM file"),
    ("certificate", "the certificate's PEM file"),
    ("keyId", ""), ("algorithm", ""), ("assertionAudience", ""),
  ]

  private var needed: [String] {
    switch self {
    case .basic, .post: ["secret"]
    case .privateKey: ["key"]
    case .certificate: ["key", "certificate"]
    case .none: []
    }
  }

  private var taken: [String] {
    switch self {
    case .privateKey: ["key", "keyId", "certificate", "algorithm", "assertionAudience"]
    case .basic, .post, .certificate, .none: needed
    }
  }

  func refuseMissingAndMisplaced(in object: inout ObjectReader) {
    for (name, purpose) in Self.keys {
      if object.has(name), !taken.contains(name) {
        let methods = Self.allCases.filter { $0.taken.contains(name) }.map(\.rawValue)
        object.reportAtName(name, "goes with the method \(Words.anyOf(methods)) only")
      } else if !object.has(name), needed.contains(name) {
        object.refuseMissing(name, purpose)
      }
    }
  }
}

extension Kind where Value == AssertionSettings.Algorithm {
  fileprivate static var placedAlgorithm: Kind {
    Kind(Kind<SignatureAlgorithm>.algorithm.schema) { setting in
      Kind<SignatureAlgorithm>.algorithm.read(setting).map {
        Value($0, place: setting.place)
      }
    }
  }
}
