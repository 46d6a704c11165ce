import COpenSSL
import Synchronization

/// The keys that seal TLS session tickets: one set for the process, so that a session begun at one
/// worker resumes at any other.
///
/// Two are known: `current` seals and opens, `previous` opens only. They rotate hourly, so a ticket
/// lives at most two hours and a stolen key opens no older traffic. Keys come from OpenSSL's random
/// generator; without random bytes there are no tickets, never a zero key. Nothing copies a key's
/// bytes, and they are wiped when it goes.
package final class TicketKeys: Sendable {
  /// Sixteen bytes of name, 32 for the cipher, 32 for the MAC, in memory of OpenSSL's.
  ///
  /// `@unchecked Sendable` holds: nothing writes the bytes after `init`.
  @safe private final class Key: @unchecked Sendable {
    private static let count = 80

    private let bytes: UnsafeMutableRawPointer

    init?() {
      guard let bytes = unsafe CRYPTO_malloc(Self.count, #file, #line) else { return nil }
      unsafe self.bytes = bytes
      guard
        unsafe RAND_bytes(bytes.assumingMemoryBound(to: UInt8.self), CInt(Self.count)) == 1
      else {
        ERR_clear_error()
        return nil
      }
    }

    deinit { unsafe CRYPTO_clear_free(bytes, Self.count, #file, #line) }

    var name: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: bytes, count: 16) }

    var cipherKey: UnsafePointer<UInt8> {
      unsafe UnsafePointer((bytes + 16).assumingMemoryBound(to: UInt8.self))
    }

    var macKey: UnsafeMutableRawBufferPointer {
      unsafe UnsafeMutableRawBufferPointer(start: bytes + 48, count: 32)
    }
  }

  private struct State {
    var current: Key?
    var previous: Key?
    var rotateAtMs = Int64.min / 2
  }

  /// A key seals for so long, and opens for twice as long.
  static let rotationMs: Int64 = 3_600_000
  /// What a ticket says it can be used for, counted from the full handshake that began the session.
  package static let lifetimeMs = 2 * rotationMs

  private let state = Mutex(State())
  private let clock: @Sendable () -> Int64

  /// - Parameter clock: monotonic milliseconds.
  package init(clock: @escaping @Sendable () -> Int64 = { Clock.monotonicNs() / 1_000_000 }) {
    self.clock = clock
  }

  /// The time of the clock that tickets are dated by.
  var nowMs: Int64 { clock() }

  /// OpenSSL's ticket callback (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)): prepares the cipher and
  /// the MAC for a new ticket, or for one that came back.
  ///
  /// - Returns: 1 when both are ready, 0 for a ticket of no key known (a full handshake follows),
  ///   -1 when OpenSSL failed.
  func prepare(
    name: UnsafeMutablePointer<UInt8>, iv: UnsafeMutablePointer<UInt8>, cipher: OpaquePointer,
    mac: OpaquePointer, isSealing: Bool
  ) -> CInt {
    let nowMs = clock()
    return state.withLock { state in
      if nowMs >= state.rotateAtMs { Self.rotate(&state, nowMs: nowMs) }
      if isSealing {
        guard let key = state.current, unsafe RAND_bytes(iv, 16) == 1 else { return -1 }
        unsafe UnsafeMutableRawBufferPointer(start: name, count: 16).copyMemory(from: key.name)
        return unsafe Self.start(key, iv: iv, cipher: cipher, mac: mac, isSealing: true)
      }
      let sent = unsafe UnsafeRawBufferPointer(start: name, count: 16)
      for key in [state.current, state.previous] {
        guard let key, unsafe key.name.elementsEqual(sent) else { continue }
        return unsafe Self.start(key, iv: iv, cipher: cipher, mac: mac, isSealing: false)
      }
      return 0
    }
  }

  private static func rotate(_ state: inout State, nowMs: Int64) {
    // A key that nobody sealed with for an hour is older than it may become.
    state.previous = nowMs - state.rotateAtMs < rotationMs ? state.current : nil
    state.current = Key()
    state.rotateAtMs = nowMs + rotationMs
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
  private static func setMac(_ mac: OpaquePointer, key: UnsafeMutableRawBufferPointer) -> CInt {
    var digest = Array("SHA256".utf8CString)
    let keyName = Array("key".utf8CString)
    let digestName = Array("digest".utf8CString)
    return unsafe digest.withUnsafeMutableBufferPointer { digest in
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
