import COpenSSL
package import Crypto

/// That a listener asks its callers for certificates, and whose it takes.
package struct ClientCertificatePolicy: Sendable {
  /// Whether a caller without a certificate is turned away.
  package let isRequired: Bool
  /// In PEM: a caller's certificate must chain to one of these.
  package let authorities: [UInt8]

  package init(isRequired: Bool, authorities: [UInt8]) {
    self.isRequired = isRequired
    self.authorities = authorities
  }

  /// What a session must have in common with where it is resumed: there is no resumption here, and
  /// a session that began elsewhere is not taken for one of this listener's.
  var described: [UInt8] { [isRequired ? 2 : 1] + "\(authorities.count) ".utf8 + authorities }

  /// Names of authorities that are sent, so that a caller with several certificates knows which
  /// one is wanted. A message holds 64 KiB of them; with more of them than this, none are sent.
  private static let namesMax = 100

  /// Makes a server's context ask. OpenSSL checks the certificate's purpose too: one that names
  /// purposes must name client authentication (RFC 5280 §4.2.1.12).
  ///
  /// Nothing is resumed here: a resumed session would have a certificate that nobody has shown on
  /// this connection, checked by what the authorities were then.
  func apply(to context: OpaquePointer) throws(TLSConfigurationFault) {
    try unsafe PEM.trust(authorities, in: context)
    unsafe SSL_CTX_set_verify(
      context, SSL_VERIFY_PEER | (isRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nil)
    // Whatever the file holds is trusted for itself: an authority below a root that is not in it,
    // or one client's own certificate.
    _ = unsafe X509_VERIFY_PARAM_set_flags(
      SSL_CTX_get0_param(context), UInt(X509_V_FLAG_PARTIAL_CHAIN))
    _ = unsafe SSL_CTX_set_options(context, tollgate_SSL_OP_NO_TICKET)
    _ = unsafe SSL_CTX_set_num_tickets(context, 0)
    try unsafe sendNames(in: context)
  }

  private func sendNames(in context: OpaquePointer) throws(TLSConfigurationFault) {
    let certificates = try unsafe PEM.certificates(in: authorities)
    defer { unsafe certificates.forEach { unsafe X509_free($0) } }
    guard unsafe certificates.count <= Self.namesMax else { return }
    unsafe certificates.forEach { _ = unsafe SSL_CTX_add_client_CA(context, $0) }
  }
}

/// A certificate that a caller has proved to be its own, and that its listener takes.
package final class ClientCertificate: Sendable {
  /// SHA-256 of the whole certificate, as tokens name it (RFC 8705 §3.1).
  package let thumbprint: SHA256Digest
  /// Its subject for people to read, in the manner of RFC 4514: one line of visible ASCII, every
  /// other byte escaped; a long one is cut.
  package let subject: [UInt8]

  private static let subjectBytesMax = 512

  /// Of a session whose handshake is done; nil where the caller showed none.
  init?(of session: OpaquePointer) {
    guard unsafe SSL_get_verify_result(session) == Int(X509_V_OK),
      let certificate = unsafe SSL_get0_peer_certificate(session)
    else { return nil }
    var digest = [UInt8](repeating: 0, count: SHA256Digest.byteCount)
    var count: UInt32 = 0
    guard unsafe X509_digest(certificate, EVP_sha256(), &digest, &count) == 1, count == 32,
      let thumbprint = SHA256Digest(digest.span)
    else {
      TLSErrorQueue.clear()
      return nil
    }
    self.thumbprint = thumbprint
    subject = unsafe Self.subject(of: certificate)
  }

  private static func subject(of certificate: OpaquePointer) -> [UInt8] {
    guard let bio = unsafe BIO_new(BIO_s_mem()) else {
      TLSErrorQueue.clear()
      return []
    }
    defer {
      unsafe BIO_free(bio)
      TLSErrorQueue.clear()
    }
    _ = unsafe X509_NAME_print_ex(
      bio, X509_get_subject_name(certificate), 0, tollgate_XN_FLAG_RFC2253)
    var text: UnsafeMutablePointer<CChar>?
    let count = unsafe tollgate_BIO_get_mem_data(bio, &text)
    guard let text = unsafe text, count > 0 else { return [] }
    return unsafe UnsafeBufferPointer(start: text, count: min(count, subjectBytesMax))
      .map { UInt8(bitPattern: $0) }
  }
}
