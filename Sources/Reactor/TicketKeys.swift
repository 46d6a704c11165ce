import COpenSSL
import Synchronization

/// The keys that seal TLS session tickets: one set for the process, so that a session begun at one
/// worker resumes at any other.
///
/// Two are known: `current` seals and opens, `previous` opens only. They rotate hourly, so a ticket
/// lives at most two hours and a stolen key opens no older traffic. Keys come from OpenSSL's random
/// generator; without random bytes there are no tickets, never a zero key.
package final class TicketKeys: Sendable {
  private struct Key {
    var name = [UInt8](repeating: 0, count: 16)
    var cipherKey = [UInt8](repeating: 0, count: 32)
    var macKey = [UInt8](repeating: 0, count: 32)

    init?() {
      guard unsafe RAND_bytes(&name, 16) == 1, unsafe RAND_bytes(&cipherKey, 32) == 1,
        unsafe RAND_bytes(&macKey, 32) == 1
      else {
        ERR_clear_error()
        return nil
      }
    }

    mutating func wipe() {
      unsafe cipherKey.withUnsafeMutableBytes { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
      unsafe macKey.withUnsafeMutableBytes { unsafe OPENSSL_cleanse($0.baseAddress, $0.count) }
    }
  }

  private struct State {
    var current: Key?
    var previous: Key?
    var rotateAtMs: Int64
  }

  private static let lifeMs: Int64 = 3_600_000

  private let state = Mutex(State(current: nil, previous: nil, rotateAtMs: .min))

  package init() {}

  /// OpenSSL's ticket callback (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)): prepares the cipher and
  /// the MAC for a new ticket, or for one that came back.
  ///
  /// - Returns: 1 when both are ready, 0 for a ticket of no key known (a full handshake follows),
  ///   -1 when OpenSSL failed.
  func prepare(
    name: UnsafeMutablePointer<UInt8>, iv: UnsafeMutablePointer<UInt8>, cipher: OpaquePointer,
    mac: OpaquePointer, isSealing: Bool
  ) -> CInt {
    let nowMs = Clock.monotonicNs() / 1_000_000
    return state.withLock { state in
      if nowMs >= state.rotateAtMs { Self.rotate(&state, nowMs: nowMs) }
      if isSealing {
        guard let key = state.current, unsafe RAND_bytes(iv, 16) == 1 else { return -1 }
        for (index, byte) in key.name.enumerated() { unsafe name[index] = byte }
        return unsafe Self.start(key, iv: iv, cipher: cipher, mac: mac, isSealing: true)
      }
      let sent = unsafe [UInt8](UnsafeBufferPointer(start: name, count: 16))
      guard
        let key = [state.current, state.previous].compactMap({ $0 }).first(where: {
          $0.name == sent
        })
      else { return 0 }
      // Never 2 (renew): a ticket's first lifetime is its last.
      return unsafe Self.start(key, iv: iv, cipher: cipher, mac: mac, isSealing: false)
    }
  }

  private static func rotate(_ state: inout State, nowMs: Int64) {
    state.previous?.wipe()
    state.previous = nowMs - state.rotateAtMs.clamped < lifeMs ? state.current : nil
    state.current = Key()
    state.rotateAtMs = nowMs + lifeMs
  }

  private static func start(
    _ key: Key, iv: UnsafePointer<UInt8>, cipher: OpaquePointer, mac: OpaquePointer,
    isSealing: Bool
  ) -> CInt {
    let algorithm = unsafe EVP_aes_256_cbc()
    let hasCipher =
      unsafe isSealing
      ? EVP_EncryptInit_ex(cipher, algorithm, nil, key.cipherKey, iv)
      : EVP_DecryptInit_ex(cipher, algorithm, nil, key.cipherKey, iv)
    return unsafe hasCipher == 1 && setMac(mac, key: key.macKey) == 1 ? 1 : -1
  }

  /// The parameters keep pointers to their names too: a literal handed to their makers would be
  /// gone before they are read.
  private static func setMac(_ mac: OpaquePointer, key: [UInt8]) -> CInt {
    var key = key
    var digest = Array("SHA256".utf8CString)
    let keyName = Array("key".utf8CString)
    let digestName = Array("digest".utf8CString)
    return unsafe key.withUnsafeMutableBytes { key in
      unsafe digest.withUnsafeMutableBufferPointer { digest in
        unsafe keyName.withUnsafeBufferPointer { keyName in
          unsafe digestName.withUnsafeBufferPointer { digestName in
            let parameters = unsafe [
              OSSL_PARAM_construct_octet_string(keyName.baseAddress, key.baseAddress, key.count),
              OSSL_PARAM_construct_utf8_string(digestName.baseAddress, digest.baseAddress, 0),
              OSSL_PARAM_construct_end(),
            ]
            return unsafe EVP_MAC_CTX_set_params(mac, parameters)
          }
        }
      }
    }
  }
}

extension Int64 {
  /// Keeps a difference with `Int64.min` from overflowing.
  fileprivate var clamped: Int64 { Swift.max(self, Int64.min / 2) }
}
