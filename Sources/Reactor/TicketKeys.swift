import COpenSSL
import Glibc
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
    fileprivate static let count = 80

    private let bytes: UnsafeMutableRawPointer

    /// Takes over what another process sealed with.
    init?(_ source: UnsafeRawBufferPointer) {
      guard let bytes = unsafe CRYPTO_malloc(Self.count, #file, #line) else { return nil }
      unsafe self.bytes = bytes
      unsafe UnsafeMutableRawBufferPointer(start: bytes, count: Self.count)
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source.prefix(Self.count)))
    }

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

    /// All of it, for the process that takes over.
    func copy(to target: UnsafeMutableRawBufferPointer) {
      unsafe target.copyMemory(from: UnsafeRawBufferPointer(start: bytes, count: Self.count))
    }

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

  // The process that takes over from this one seals and opens with the same keys, so that callers
  // resume. They go through a channel that only the two have, from OpenSSL's memory into OpenSSL's
  // memory: the time of the next rotation, which keys there are, the keys.

  private static let recordCount = 16 + 2 * Key.count

  /// Sends the keys.
  package func send(over channel: HandoverChannel) throws(SystemError) {
    try unsafe Self.withRecord { record throws(SystemError) in
      state.withLock { state in
        unsafe record.storeBytes(of: state.rotateAtMs, as: Int64.self)
        for (index, key) in [state.current, state.previous].enumerated() {
          guard let key else { continue }
          unsafe record.storeBytes(of: 1, toByteOffset: 8 + index, as: UInt8.self)
          let start = 16 + index * Key.count
          unsafe key.copy(
            to: UnsafeMutableRawBufferPointer(rebasing: record[start..<start + Key.count]))
        }
      }
      try unsafe channel.send(UnsafeRawBufferPointer(record))
    }
  }

  /// Takes the keys of the process that this one takes over from.
  package func receive(over channel: HandoverChannel) throws(SystemError) {
    try unsafe Self.withRecord { record throws(SystemError) in
      try unsafe channel.receive(into: record)
      let keys = [0, 1].map { index in
        let start = 16 + index * Key.count
        return unsafe record[8 + index] == 0
          ? nil : Key(UnsafeRawBufferPointer(rebasing: record[start..<start + Key.count]))
      }
      state.withLock { state in
        unsafe state.rotateAtMs = record.load(as: Int64.self)
        (state.current, state.previous) = (keys[0], keys[1])
      }
    }
  }

  private static func withRecord(
    _ body: (UnsafeMutableRawBufferPointer) throws(SystemError) -> Void
  ) throws(SystemError) {
    guard let memory = unsafe CRYPTO_zalloc(recordCount, #file, #line) else {
      throw SystemError(call: "malloc", code: ENOMEM)
    }
    defer { unsafe CRYPTO_clear_free(memory, recordCount, #file, #line) }
    try unsafe body(UnsafeMutableRawBufferPointer(start: memory, count: recordCount))
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
