import COpenSSL

/// A key that checks signatures. It is made once, from numbers that were looked at first, and then
/// used by all threads at once. The algorithms it checks are fixed when it is made: a token can
/// choose among them but never add one.
package final class PublicKey: Sendable {
  package let numbers: PublicNumbers
  /// What `verify` will check; for anything else it is false.
  package let algorithms: [SignatureAlgorithm]

  private let handle: KeyHandle
  private let prepared: [SignatureAlgorithm: PreparedVerification]
  /// Of the curve, as many bytes as a coordinate: `r` and `s` lie below it.
  private let order: [UInt8]

  /// A key of these numbers, for those of its kind's algorithms that are in `algorithms` (nil:
  /// all). Throws `keyRefused` for numbers that are no safe key, `algorithmRefused` when none is
  /// left.
  package init(
    _ numbers: PublicNumbers, for algorithms: [SignatureAlgorithm]? = nil
  ) throws(CryptoFault) {
    let checked: PublicNumbers
    do throws(KeyFlaw) { checked = try numbers.checked() } catch { throw .keyRefused(error) }
    let possible = checked.algorithms.filter { algorithms?.contains($0) ?? true }
    guard !possible.isEmpty else { throw .algorithmRefused }
    (handle, order, prepared) = try ErrorQueue.clean { () throws(CryptoFault) in
      let handle = try KeyHandle(publicKeyInfo: DER.publicKeyInfo(of: checked))
      let order =
        if case .ec(let curve, _, _) = checked {
          try handle.number(OSSL_PKEY_PARAM_EC_ORDER, byteCount: curve.coordinateByteCount)
        } else {
          [UInt8]()
        }
      var prepared: [SignatureAlgorithm: PreparedVerification] = [:]
      for algorithm in possible where algorithm != .edDSA {
        prepared[algorithm] = try PreparedVerification(handle, algorithm)
      }
      return (handle, order, prepared)
    }
    self.numbers = checked
    self.algorithms = possible
  }

  /// Whether `signature` is this key's over `message`. ECDSA's is `r` and `s`, each as long as a
  /// coordinate (RFC 7518 §3.4). Never throws: what cannot be checked does not hold.
  package func verify(
    _ algorithm: SignatureAlgorithm, signature: Span<UInt8>, message: Span<UInt8>
  ) -> Bool {
    guard algorithms.contains(algorithm) else { return false }
    return ErrorQueue.clean {
      switch numbers {
      case .rsa(let modulus, _):
        guard signature.count == modulus.count, let context = prepared[algorithm] else {
          return false
        }
        return context.holds(signature, over: message)
      case .ec(let curve, _, _):
        guard let context = prepared[algorithm],
          let encoded = derSignature(signature, curve: curve)
        else { return false }
        return context.holds(encoded.span, over: message)
      case .ed25519:
        guard signature.count == 64, let context = unsafe EVP_MD_CTX_new() else { return false }
        defer { unsafe EVP_MD_CTX_free(context) }
        do throws(CryptoFault) {
          // OpenSSL 3.0 cannot copy a context that has no digest.
          try unsafe prepareVerification(context, handle, .edDSA)
        } catch {
          return false
        }
        return unsafe Crypto.verify(context, signature, message)
      }
    }
  }

  /// `r` and `s` in the DER that OpenSSL reads; nil when their length is wrong or one of them is
  /// not from 1 to the order less 1. With zeros let through, one signature holds for every message.
  private func derSignature(_ signature: Span<UInt8>, curve: EllipticCurve) -> [UInt8]? {
    let count = curve.coordinateByteCount
    guard signature.count == 2 * count, isBelowOrder(signature.extracting(0..<count)),
      isBelowOrder(signature.extracting(count..<2 * count))
    else { return nil }
    return DER.sequence([
      DER.unsignedInteger(signature.extracting(0..<count)),
      DER.unsignedInteger(signature.extracting(count..<2 * count)),
    ])
  }

  private func isBelowOrder(_ number: Span<UInt8>) -> Bool {
    var isZero = true
    for index in number.indices where number[index] != 0 {
      isZero = false
      break
    }
    guard !isZero, number.count == order.count else { return false }
    for index in number.indices where number[index] != order[index] {
      return number[index] < order[index]
    }
    return false
  }
}
