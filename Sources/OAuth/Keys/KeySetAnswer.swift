package import Crypto
package import JOSE

/// Judges what a key source answered.
package enum KeySetAnswer {
  /// The keys, of which at least one is usable; anything else is a failure, and the old ones stay.
  /// Only 200 is an answer: a redirect is not followed, and an error page in JSON is no set.
  package static func judge(
    status: Int, body: Span<UInt8>, digester: Digester
  ) throws(KeySetAnswerFault) -> JWKSet {
    guard status == 200 else { throw .status(status) }
    let keys: JWKSet
    do throws(JWKSetFault) { keys = try JWKSet(body, digester: digester) } catch {
      throw .document(error)
    }
    guard !keys.keys.isEmpty else {
      throw .noUsableKey(skipped: keys.skipped.map { "keys[\($0.index)]: \($0.flaw)" })
    }
    return keys
  }
}

/// Why an answer brings no keys.
package enum KeySetAnswerFault: Error, Equatable, Sendable, CustomStringConvertible {
  case status(Int)
  case document(JWKSetFault)
  /// What is wrong with each entry.
  case noUsableKey(skipped: [String])

  package var description: String {
    switch self {
    case .status(let status): "answered \(status)"
    case .document(let fault): fault.description
    case .noUsableKey(let skipped):
      "no usable key" + (skipped.isEmpty ? "" : " (" + skipped.joined(separator: "; ") + ")")
    }
  }
}
