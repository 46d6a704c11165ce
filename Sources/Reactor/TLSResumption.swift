import COpenSSL

/// Which TLS sessions may be resumed where, and for how long. Only tickets resume: there is no
/// session cache (`TLSSettings`).
enum TLSResumption {
  /// What a server's session must have in common with where it is resumed, in one digest: the
  /// certificate and the settings that were agreed on with it. Whoever adds a setting that decides
  /// who gets in (which client certificates are asked for, and whose) adds it here.
  ///
  /// - Parameter parts: each with its length in front, so that no two lists read the same.
  static func contextID(_ parts: [[UInt8]]) -> [UInt8] {
    var described: [UInt8] = []
    for part in parts {
      described += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: part.count >> $0) }
      described += part
    }
    var digest = [UInt8](repeating: 0, count: 32)
    // Without a digest (no memory) it stays all zeros, which is as good a name for one set of
    // settings as any: but not for two, so it is refused.
    guard unsafe EVP_Digest(described, described.count, &digest, nil, EVP_sha256(), nil) == 1
    else {
      TLSErrorQueue.clear()
      return []
    }
    return digest
  }

  /// Dates each ticket by the full handshake that began its session, and ends a chain of renewals
  /// when that is `TicketKeys.lifetimeMs` ago.
  ///
  /// Under TLS 1.3 a client uses a ticket once (RFC 8446 §C.4) and gets a new one each time, which
  /// OpenSSL dates by the time of the renewal: whoever comes back often enough would never again
  /// prove anything, nor the server its key.
  static func date(
    _ context: OpaquePointer, by server: UnsafeMutableRawPointer
  ) {
    _ = unsafe SSL_CTX_set_session_ticket_cb(
      context,
      { connection, argument in
        guard let connection = unsafe connection, let argument = unsafe argument,
          let session = unsafe SSL_get_session(connection)
        else { return 0 }
        let nowMs = unsafe TLSServerContext.from(argument).tickets.nowMs
        let begunMs = unsafe TLSResumption.beginning(of: session) ?? nowMs
        let leftMs = max(1_000, TicketKeys.lifetimeMs - (nowMs - begunMs))
        _ = unsafe SSL_SESSION_set_timeout(session, CLong(leftMs / 1_000))
        return unsafe TLSResumption.setBeginning(of: session, begunMs) ? 1 : 0
      },
      { connection, session, _, _, status, argument in
        // Without a ticket, or with one that can't be opened: a full handshake, and a new ticket.
        guard status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW,
          let connection = unsafe connection, let session = unsafe session,
          let argument = unsafe argument, let begunMs = unsafe TLSResumption.beginning(of: session)
        else { return SSL_TICKET_RETURN_IGNORE_RENEW }
        let nowMs = unsafe TLSServerContext.from(argument).tickets.nowMs
        let leftMs = TicketKeys.lifetimeMs - (nowMs - begunMs)
        guard leftMs > 0, nowMs >= begunMs else { return SSL_TICKET_RETURN_IGNORE_RENEW }
        let isRenewed = unsafe SSL_version(connection) == TLS1_3_VERSION
        return isRenewed ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE
      }, server)
  }

  private static func beginning(of session: OpaquePointer) -> Int64? {
    var bytes: UnsafeMutableRawPointer?
    var count = 0
    guard unsafe SSL_SESSION_get0_ticket_appdata(session, &bytes, &count) == 1,
      let bytes = unsafe bytes, count == MemoryLayout<Int64>.size
    else { return nil }
    return unsafe bytes.loadUnaligned(as: Int64.self)
  }

  private static func setBeginning(of session: OpaquePointer, _ begunMs: Int64) -> Bool {
    var begunMs = begunMs
    return unsafe SSL_SESSION_set1_ticket_appdata(session, &begunMs, MemoryLayout<Int64>.size) == 1
  }
}
