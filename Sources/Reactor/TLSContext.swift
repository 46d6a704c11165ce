import COpenSSL
import Glibc

/// A listener's certificates, ready for handshakes of all workers.
///
/// The first certificate is the default; the server name that a client sends picks another. All
/// contexts have the same options and ask for the same client certificates, so `SSL_set_SSL_CTX`,
/// which carries little but the certificate, loses nothing. OpenSSL's own session cache is off:
/// tickets resume.
///
/// `@unchecked Sendable` holds: nothing is written after `init`, and OpenSSL counts the references
/// of an `SSL_CTX` atomically.
@safe package final class TLSServerContext: @unchecked Sendable {
  /// A chain and its key, both PEM.
  package struct Identity {
    package let chain: [UInt8]
    package let key: [UInt8]

    package init(chain: [UInt8], key: [UInt8]) {
      self.chain = chain
      self.key = key
    }
  }

  package enum MinimumVersion: Sendable {
    case tls12, tls13
  }

  /// Which of the identities is wrong, and how.
  package struct Failure: Error {
    package let index: Int
    package let fault: TLSConfigurationFault
  }

  private var contexts: [OpaquePointer] = unsafe []
  private var contextIDs: [[UInt8]] = []
  /// The names of each certificate, lower case: "api.example.com", "*.example.com".
  private var names: [[String]] = []
  /// The end of each leaf certificate's validity, in seconds since 1970.
  package private(set) var notAfter: [Int64] = []
  let tickets: TicketKeys
  private let minimum: MinimumVersion
  private let clients: ClientCertificatePolicy?

  /// - Parameters:
  ///   - identities: at least one; the first is the default.
  ///   - clients: nil where no client is asked for a certificate.
  package init(
    identities: [Identity], minimum: MinimumVersion, tickets: TicketKeys,
    clients: ClientCertificatePolicy? = nil
  ) throws(Failure) {
    self.tickets = tickets
    self.minimum = minimum
    self.clients = clients
    for (index, identity) in identities.enumerated() {
      do throws(TLSConfigurationFault) {
        try add(identity, minimum: minimum)
      } catch {
        throw Failure(index: index, fault: error)
      }
    }
  }

  deinit {
    unsafe contexts.forEach { unsafe SSL_CTX_free($0) }
  }

  /// A new server session over `raw`.
  func makeSession() -> OpaquePointer? {
    unsafe contexts.first.flatMap { unsafe SSL_new($0) }
  }

  /// Whether clients are asked for certificates.
  var asksClients: Bool { clients != nil }

  /// Whether who got in by one got in by the other: the same versions, the same certificates asked
  /// of clients.
  package func admitsAlike(_ other: TLSServerContext) -> Bool {
    minimum == other.minimum && clients?.described == other.clients?.described
  }

  /// Whether names decide about certificates at all.
  package var hasSeveral: Bool { names.count > 1 }

  /// What callers are shown.
  package var certificates: [(names: [String], notAfter: Int64)] {
    zip(names, notAfter).map { ($0, $1) }
  }

  /// Which certificate a client that sends this name gets: its index, or nil when none has it.
  ///
  /// - Parameter host: lower case, without port or trailing dot.
  package func certificateIndex(for host: String) -> Int? {
    if let exact = names.firstIndex(where: { $0.contains(host) }) { return exact }
    guard let dot = host.firstIndex(of: "."), dot != host.startIndex else { return nil }
    let wildcard = "*" + host[dot...]
    return names.firstIndex { $0.contains(wildcard) }
  }

  /// Which certificate `session` was given.
  func certificateIndex(of session: OpaquePointer) -> Int {
    let used = unsafe SSL_get_SSL_CTX(session)
    return unsafe contexts.firstIndex { unsafe $0 == used } ?? 0
  }

  private func add(
    _ identity: Identity, minimum: MinimumVersion
  ) throws(TLSConfigurationFault) {
    TLSErrorQueue.clear()
    guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
      throw .refused(TLSErrorQueue.takeReason())
    }
    unsafe contexts.append(context)
    try unsafe TLSSettings.apply(to: context, minimum: minimum)
    _ = unsafe SSL_CTX_set_options(
      context,
      tollgate_SSL_OP_NO_ANTI_REPLAY | tollgate_SSL_OP_CIPHER_SERVER_PREFERENCE
        | tollgate_SSL_OP_PRIORITIZE_CHACHA)
    _ = unsafe SSL_CTX_set_max_early_data(context, 0)
    if let clients { try unsafe clients.apply(to: context) }
    let contextID = TLSResumption.contextID([
      [minimum == .tls13 ? 3 : 2], clients?.described ?? [], identity.chain,
    ])
    guard !contextID.isEmpty,
      unsafe SSL_CTX_set_session_id_context(context, contextID, UInt32(contextID.count)) == 1
    else { throw .refused(TLSErrorQueue.takeReason()) }
    contextIDs.append(contextID)

    let leaf = try unsafe PEM.useChain(identity.chain, in: context)
    names.append(leaf.names)
    notAfter.append(leaf.notAfter)
    try unsafe PEM.useKey(identity.key, in: context)

    let this = unsafe Unmanaged.passUnretained(self).toOpaque()
    _ = unsafe SSL_CTX_set_ex_data(context, 0, this)
    // Before anything is resumed: a ticket of one certificate must not resume under another's name.
    unsafe SSL_CTX_set_client_hello_cb(
      context,
      { session, _, argument in
        guard let session = unsafe session, let argument = unsafe argument else {
          return SSL_CLIENT_HELLO_ERROR
        }
        let isPicked = unsafe TLSServerContext.from(argument).pickCertificate(for: session)
        return isPicked ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR
      }, this)
    unsafe SSL_CTX_set_alpn_select_cb(
      context,
      { _, chosen, chosenCount, offered, offeredCount, _ in
        unsafe TLSServerContext.pickProtocol(
          from: UnsafeBufferPointer(start: offered, count: Int(offeredCount)), chosen, chosenCount)
      }, nil)
    _ = unsafe tollgate_SSL_CTX_set_tlsext_ticket_key_evp_cb(context) {
      session, name, iv, cipher, mac, isSealing in
      guard let session = unsafe session, let name = unsafe name, let iv = unsafe iv,
        let cipher = unsafe cipher, let mac = unsafe mac,
        let argument = unsafe SSL_CTX_get_ex_data(SSL_get_SSL_CTX(session), 0)
      else { return -1 }
      return unsafe TLSServerContext.from(argument).tickets.prepare(
        name: name, iv: iv, cipher: cipher, mac: mac, isSealing: isSealing == 1)
    }
    unsafe TLSResumption.date(context, by: this)
  }

  // The contexts that hold this pointer are freed in `deinit`; a session that outlives this object
  // is kept from it by the `TLSSession`, which holds the object.
  static func from(_ pointer: UnsafeMutableRawPointer) -> TLSServerContext {
    unsafe Unmanaged.fromOpaque(pointer).takeUnretainedValue()
  }

  /// Gives the session the certificate of the name it asks for. A session is of one name, too: it
  /// does not resume under another (RFC 6066 §3).
  ///
  /// - Returns: false when OpenSSL failed, and then the handshake must.
  private func pickCertificate(for session: OpaquePointer) -> Bool {
    var extensionBytes: UnsafePointer<UInt8>?
    var count = 0
    guard
      unsafe SSL_client_hello_get0_ext(
        session, UInt32(TLSEXT_TYPE_server_name), &extensionBytes, &count) == 1
    else { return true }
    let sent = unsafe [UInt8](UnsafeBufferPointer(start: extensionBytes, count: count))
    guard let name = Self.hostName(in: sent) else { return true }
    let index = certificateIndex(for: name) ?? 0
    if index > 0 {
      if unsafe SSL_set_SSL_CTX(session, contexts[index]) == nil { return false }
      // Not carried along.
      unsafe SSL_set_verify(session, SSL_CTX_get_verify_mode(contexts[index]), nil)
    }
    let contextID = TLSResumption.contextID([contextIDs[index], Array(name.utf8)])
    return unsafe !contextID.isEmpty
      && SSL_set_session_id_context(session, contextID, UInt32(contextID.count)) == 1
  }

  /// The host name of a server_name extension (RFC 6066 §3): a list with one entry of type 0.
  /// Anything else has no name here, and OpenSSL refuses what is malformed.
  private static func hostName(in bytes: [UInt8]) -> String? {
    guard bytes.count > 5, Int(bytes[0]) << 8 | Int(bytes[1]) == bytes.count - 2, bytes[2] == 0,
      Int(bytes[3]) << 8 | Int(bytes[4]) == bytes.count - 5
    else { return nil }
    var name = bytes[5...]
    if name.last == UInt8(ascii: ".") { name.removeLast() }
    guard name.count <= TLSEXT_MAXLEN_host_name, name.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    else { return nil }
    return String(decoding: name, as: UTF8.self).lowercased()
  }

  /// RFC 7301 §3.2: a client that offers protocols and none of ours gets an alert.
  private static func pickProtocol(
    from offered: UnsafeBufferPointer<UInt8>,
    _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ chosenCount: UnsafeMutablePointer<UInt8>?
  ) -> CInt {
    for name in ["http/1.1", "http/1.0"] {
      var index = 0
      while index < offered.count {
        let count = unsafe Int(offered[index])
        guard index + 1 + count <= offered.count else { break }
        if unsafe offered[(index + 1)..<(index + 1 + count)].elementsEqual(name.utf8) {
          unsafe chosen?.pointee = offered.baseAddress?.advanced(by: index + 1)
          unsafe chosenCount?.pointee = UInt8(count)
          return SSL_TLSEXT_ERR_OK
        }
        index += 1 + count
      }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
  }
}

/// How the gateway speaks TLS to a server: whom it trusts, and who it says it is where it is asked.
///
/// `@unchecked Sendable` holds: nothing is written after `init`, and OpenSSL counts references of
/// an `SSL_CTX` atomically.
@safe package final class TLSClientContext: @unchecked Sendable {
  package typealias Identity = TLSServerContext.Identity

  private let context: OpaquePointer
  /// The end of its own certificate's validity, in seconds since 1970.
  package private(set) var notAfter: Int64?

  /// - Parameters:
  ///   - authorities: PEM certificates to trust; nil for the system's.
  ///   - identity: its own certificate chain and key, shown to a server that asks for one.
  package init(
    authorities: [UInt8]?, identity: Identity? = nil
  ) throws(TLSConfigurationFault) {
    TLSErrorQueue.clear()
    guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
      throw .refused(TLSErrorQueue.takeReason())
    }
    unsafe self.context = context
    try unsafe TLSSettings.apply(to: context, minimum: .tls12)
    unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    if let authorities {
      try unsafe PEM.trust(authorities, in: context)
    } else {
      _ = unsafe SSL_CTX_set_default_verify_paths(context)
      TLSErrorQueue.clear()
    }
    if let identity {
      notAfter = try unsafe PEM.useChain(identity.chain, in: context).notAfter
      try unsafe PEM.useKey(identity.key, in: context)
    }
  }

  deinit { unsafe SSL_CTX_free(context) }

  /// A new client session that accepts only a certificate for `name`, a host name or IP literal.
  func makeSession(name: String) -> OpaquePointer? {
    // OpenSSL takes an empty name for none to check, one with a dot in front for all names below
    // it, and reads none behind a NUL.
    guard !name.isEmpty, !name.hasPrefix("."), !name.utf8.contains(0),
      let session = unsafe SSL_new(context)
    else {
      TLSErrorQueue.clear()
      return nil
    }
    let isLiteral = SocketAddress(literal: name, port: 0) != nil
    let parameters = unsafe SSL_get0_param(session)
    let isSet: Bool
    if isLiteral {
      isSet = unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1
    } else {
      // Partial wildcards ("f*.example.com") match nothing (RFC 6125 §6.4.3).
      unsafe SSL_set_hostflags(session, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
      isSet =
        unsafe SSL_set1_host(session, name) == 1
        && tollgate_SSL_set_tlsext_host_name(session, name) == 1
    }
    guard isSet else {
      unsafe SSL_free(session)
      TLSErrorQueue.clear()
      return nil
    }
    return unsafe session
  }
}

/// The settings that both sides share.
private enum TLSSettings {
  /// Forward secrecy and AEAD only. AES-128 first, as browsers do: the same strength in practice
  /// for a tenth less work; the client's hardware decides about ChaCha20 (PRIORITIZE_CHACHA).
  private static let ciphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    + "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
  private static let ciphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

  static func apply(
    to context: OpaquePointer, minimum: TLSServerContext.MinimumVersion
  ) throws(TLSConfigurationFault) {
    let version = minimum == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION
    guard unsafe tollgate_SSL_CTX_set_min_proto_version(context, version) == 1,
      unsafe SSL_CTX_set_cipher_list(context, ciphers12) == 1,
      unsafe SSL_CTX_set_ciphersuites(context, ciphers13) == 1,
      unsafe tollgate_SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1
    else { throw .refused(TLSErrorQueue.takeReason()) }
    _ = unsafe SSL_CTX_set_options(
      context, tollgate_SSL_OP_NO_RENEGOTIATION | tollgate_SSL_OP_NO_COMPRESSION)
    _ = unsafe tollgate_SSL_CTX_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
    // Swift's pointers end with their closure, so a repeated write may come from elsewhere.
    _ = unsafe tollgate_SSL_CTX_set_mode(
      context,
      Int(SSL_MODE_ENABLE_PARTIAL_WRITE) | Int(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER)
        | Int(SSL_MODE_RELEASE_BUFFERS))
    // One `read` for a flight of records instead of two for each.
    _ = unsafe tollgate_SSL_CTX_set_read_ahead(context, 1)
    unsafe TLSSession.watchSteps(of: context)
  }
}

/// PEM files into OpenSSL's contexts.
enum PEM {
  struct Leaf {
    let names: [String]
    let notAfter: Int64
  }

  static func useChain(
    _ bytes: [UInt8], in context: OpaquePointer
  ) throws(TLSConfigurationFault) -> Leaf {
    guard let bio = unsafe BIO_new_mem_buf(bytes, CInt(clamping: bytes.count)) else {
      throw .chainUnreadable(TLSErrorQueue.takeReason())
    }
    defer { unsafe BIO_free(bio) }
    guard let leaf = unsafe PEM_read_bio_X509_AUX(bio, nil, noPassword, nil) else {
      throw .chainUnreadable(TLSErrorQueue.takeReason())
    }
    defer { unsafe X509_free(leaf) }
    guard unsafe SSL_CTX_use_certificate(context, leaf) == 1 else {
      throw .chainUnreadable(TLSErrorQueue.takeReason())
    }
    while let next = unsafe PEM_read_bio_X509(bio, nil, noPassword, nil) {
      guard unsafe tollgate_SSL_CTX_add0_chain_cert(context, next) == 1 else {
        unsafe X509_free(next)
        throw .chainUnreadable(TLSErrorQueue.takeReason())
      }
    }
    try endOfFile { .chainUnreadable($0) }
    return unsafe Leaf(names: names(of: leaf), notAfter: notAfter(of: leaf))
  }

  static func useKey(
    _ bytes: [UInt8], in context: OpaquePointer
  ) throws(TLSConfigurationFault) {
    guard let bio = unsafe BIO_new_mem_buf(bytes, CInt(clamping: bytes.count)) else {
      throw .keyUnreadable(TLSErrorQueue.takeReason())
    }
    defer { unsafe BIO_free(bio) }
    guard let key = unsafe PEM_read_bio_PrivateKey(bio, nil, noPassword, nil) else {
      throw .keyUnreadable(TLSErrorQueue.takeReason())
    }
    defer { unsafe EVP_PKEY_free(key) }
    guard unsafe SSL_CTX_use_PrivateKey(context, key) == 1,
      unsafe SSL_CTX_check_private_key(context) == 1
    else {
      TLSErrorQueue.clear()
      throw .keyMismatch
    }
  }

  static func trust(
    _ bytes: [UInt8], in context: OpaquePointer
  ) throws(TLSConfigurationFault) {
    let certificates = try unsafe certificates(in: bytes)
    defer { unsafe certificates.forEach { unsafe X509_free($0) } }
    guard let store = unsafe X509_STORE_new() else {
      throw .authoritiesUnreadable(TLSErrorQueue.takeReason())
    }
    defer { unsafe X509_STORE_free(store) }
    guard unsafe certificates.allSatisfy({ unsafe X509_STORE_add_cert(store, $0) == 1 }) else {
      throw .authoritiesUnreadable(TLSErrorQueue.takeReason())
    }
    _ = unsafe tollgate_SSL_CTX_set1_verify_cert_store(context, store)
  }

  /// The certificates of a file, at least one; the caller frees them.
  static func certificates(in bytes: [UInt8]) throws(TLSConfigurationFault) -> [OpaquePointer] {
    guard let bio = unsafe BIO_new_mem_buf(bytes, CInt(clamping: bytes.count)) else {
      throw .authoritiesUnreadable(TLSErrorQueue.takeReason())
    }
    defer { unsafe BIO_free(bio) }
    var certificates: [OpaquePointer] = unsafe []
    while let certificate = unsafe PEM_read_bio_X509(bio, nil, noPassword, nil) {
      unsafe certificates.append(certificate)
    }
    do throws(TLSConfigurationFault) {
      try endOfFile { .authoritiesUnreadable($0) }
      if unsafe certificates.isEmpty { throw .authoritiesUnreadable("no certificate") }
    } catch {
      unsafe certificates.forEach { unsafe X509_free($0) }
      throw error
    }
    return unsafe certificates
  }

  /// Reading on at the end leaves "no start line" in the queue; any other error is one.
  private static func endOfFile(
    _ fault: (String) -> TLSConfigurationFault
  ) throws(TLSConfigurationFault) {
    let code = ERR_peek_last_error()
    if code != 0, tollgate_ERR_GET_REASON(code) != PEM_R_NO_START_LINE {
      throw fault(TLSErrorQueue.takeReason())
    }
    TLSErrorQueue.clear()
  }

  /// The DNS names, lower case; the common name where there are none (as old certificates have it).
  private static func names(of certificate: OpaquePointer) -> [String] {
    var names: [String] = []
    if let list = unsafe tollgate_X509_get_subject_alternative_names(certificate) {
      defer { unsafe tollgate_GENERAL_NAMES_free(list) }
      for index in 0..<(unsafe tollgate_GENERAL_NAME_num(list)) {
        guard let name = unsafe tollgate_GENERAL_NAME_value(list, index),
          unsafe tollgate_GENERAL_NAME_kind(name) == GEN_DNS
        else { continue }
        var count: CInt = 0
        guard let bytes = unsafe tollgate_GENERAL_NAME_bytes(name, &count), count > 0 else {
          continue
        }
        let text = unsafe String(
          decoding: UnsafeBufferPointer(start: bytes, count: Int(count)), as: UTF8.self)
        if !text.utf8.contains(0) { names.append(text.lowercased()) }
      }
      return names
    }
    var text = [CChar](repeating: 0, count: 256)
    let count = unsafe X509_NAME_get_text_by_NID(
      X509_get_subject_name(certificate), NID_commonName, &text, 256)
    let bytes = text.prefix(Int(max(0, count))).map { UInt8(bitPattern: $0) }
    if !bytes.isEmpty, !bytes.contains(0) {
      names.append(String(decoding: bytes, as: UTF8.self).lowercased())
    }
    return names
  }

  private static func notAfter(of certificate: OpaquePointer) -> Int64 {
    var time = unsafe tm()
    guard unsafe ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) == 1 else { return .max }
    return Int64(unsafe timegm(&time))
  }
}

/// Never asks a terminal for a password.
private func noPassword(
  _: UnsafeMutablePointer<CChar>?, _: CInt, _: CInt, _: UnsafeMutableRawPointer?
) -> CInt { -1 }
