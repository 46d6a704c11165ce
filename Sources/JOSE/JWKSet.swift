package import Crypto
package import Wire

/// The keys that an issuer signs with (RFC 7517 §5): a value, replaced as a whole.
package struct JWKSet: Sendable {
  /// Some issuers keep dozens of keys; each costs memory here and time when it is read.
  package static let keyCountMax = 128
  /// 128 RSA keys of 4096 bits with a certificate chain each.
  package static let bytesMax = 1 << 20
  /// Without a `kid`, or where several share it, each candidate costs a verification.
  package static let candidateCountMax = 16

  package let keys: [JWK]
  /// Entries that are passed over, by their position, for the log.
  package let skipped: [(index: Int, flaw: JWKFlaw)]
  private let thumbprints: Set<SHA256Digest>

  package init(_ keys: [JWK], skipped: [(index: Int, flaw: JWKFlaw)] = []) {
    self.keys = keys
    self.skipped = skipped
    thumbprints = Set(keys.map(\.thumbprint))
  }

  /// Reads a set. An entry that cannot be used is passed over; a document that is no set is
  /// refused.
  package init(_ document: Span<UInt8>, digester: Digester) throws(JWKSetFault) {
    let parser = JSONParser(.strict, bytesMax: Self.bytesMax, depthMax: 16, nodesMax: 20_000)
    let root: JSONNode
    do throws(JSONFault) { root = try parser.parse(document) } catch { throw .json(error) }
    guard let entries = root["keys"]?.elements else { throw .noKeysMember }
    guard entries.count <= Self.keyCountMax else {
      throw .tooManyKeys(countMax: Self.keyCountMax)
    }
    var keys: [JWK] = []
    var skipped: [(index: Int, flaw: JWKFlaw)] = []
    for (index, entry) in entries.enumerated() {
      do throws(JWKFlaw) {
        keys.append(try JWK.make(from: entry, digester: digester))
      } catch {
        skipped.append((index, error))
      }
    }
    self.init(keys, skipped: skipped)
  }

  /// Whether the key of that thumbprint is still among them.
  package func contains(_ thumbprint: SHA256Digest) -> Bool { thumbprints.contains(thumbprint) }

  package enum LookUp: Sendable {
    /// At least one, at most `candidateCountMax`. When `isCertain` is false the keys have no `kid`
    /// though the token has one, so a signature that does not hold may also be an unknown key's.
    case found([JWK], isCertain: Bool)
    /// The key of that `kid` is there, and not for that algorithm.
    case otherAlgorithm
    case unknown
  }

  /// The keys that may have made a signature. A token's `kid` names one exactly; where the set has
  /// none of that name, keys without a name may be it (RFC 7517 §4.5 leaves `kid` optional on both
  /// sides). A token without a `kid` may be of any key.
  package func find(_ keyID: UTF8Text?, for algorithm: SignatureAlgorithm) -> LookUp {
    guard let keyID else { return fitting(keys, algorithm, isCertain: true) }
    let named = keys.filter { $0.keyID == keyID }
    if !named.isEmpty { return fitting(named, algorithm, isCertain: true) }
    return fitting(keys.filter { $0.keyID == nil }, algorithm, isCertain: false)
  }

  private func fitting(
    _ keys: [JWK], _ algorithm: SignatureAlgorithm, isCertain: Bool
  ) -> LookUp {
    let fitting = keys.filter { $0.key.algorithms.contains(algorithm) }
    if !fitting.isEmpty {
      return .found(Array(fitting.prefix(Self.candidateCountMax)), isCertain: isCertain)
    }
    return keys.isEmpty || !isCertain ? .unknown : .otherAlgorithm
  }
}

/// Why a document is no set of keys.
package enum JWKSetFault: Error, Equatable, Sendable, CustomStringConvertible {
  case json(JSONFault)
  /// Not an object with a list named `keys`.
  case noKeysMember
  case tooManyKeys(countMax: Int)

  package var description: String {
    switch self {
    case .json(let fault): fault.description
    case .noKeysMember: "not an object with a list named \"keys\""
    case .tooManyKeys(let countMax): "more than \(countMax) keys"
    }
  }
}
