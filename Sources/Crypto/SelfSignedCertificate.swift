import COpenSSL

/// A certificate that vouches for itself: what the demo listens with, and tests.
package enum SelfSignedCertificate {
  /// In PEM, valid from an hour before `now` (seconds since 1970) for `days` days. `hosts` are
  /// names (`localhost`, `*.example`), `addresses` are IP addresses in their usual text.
  package static func makePEM(
    key: PrivateKey, hosts: [String], addresses: [String], now: Int, days: Int
  ) throws(CryptoFault) -> [UInt8] {
    let names = hosts.map { "DNS:" + $0 } + addresses.map { "IP:" + $0 }
    // OpenSSL parses this text, and a comma or a line end in it would be one more extension.
    let isPlain = names.joined().utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
        UInt8(ascii: "*"), UInt8(ascii: ":"):
        true
      default: false
      }
    }
    guard isPlain, !names.isEmpty else { throw .nameRefused }
    // RFC 5280 §4.1.2.2: positive, not zero, at most 20 bytes.
    let serial = [0x40] + (try RandomBytes.make(count: 15))
    return try ErrorQueue.clean { () throws(CryptoFault) in
      guard let certificate = unsafe X509_new() else { throw .callFailed("X509_new") }
      defer { unsafe X509_free(certificate) }
      try unsafe fill(certificate, key, serial: serial, now: now, days: days)
      for (extensionID, value) in [
        (NID_subject_alt_name, names.joined(separator: ",")),
        (NID_basic_constraints, "critical,CA:FALSE"),
        (NID_key_usage, "critical,digitalSignature"),
        (NID_ext_key_usage, "serverAuth"),
      ] {
        try unsafe add(extensionID, value, to: certificate)
      }
      let digest: OpaquePointer? =
        if case .ed25519 = key.numbers { nil } else { unsafe EVP_sha256() }
      guard unsafe X509_sign(certificate, key.handle.pointer, digest) > 0 else {
        throw .callFailed("X509_sign")
      }
      return try unsafe withMemoryBIO { memory in
        unsafe PEM_write_bio_X509(memory, certificate) == 1
      }
    }
  }

  @unsafe private static func fill(
    _ certificate: OpaquePointer, _ key: PrivateKey, serial: [UInt8], now: Int, days: Int
  ) throws(CryptoFault) {
    let number = unsafe serial.withUnsafeBufferPointer { buffer in
      unsafe BN_bin2bn(buffer.baseAddress, CInt(buffer.count), nil)
    }
    defer { unsafe BN_free(number) }
    let name = unsafe X509_get_subject_name(certificate)
    let commonName = Array("Tollgate self-signed".utf8)
    let end = now.addingReportingOverflow(days.multipliedReportingOverflow(by: 86_400).partialValue)
    guard !end.overflow,
      unsafe X509_set_version(certificate, 2) == 1,  // counted from 0: version 3
      unsafe BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil,
      unsafe ASN1_TIME_set(X509_getm_notBefore(certificate), now - 3_600) != nil,
      unsafe ASN1_TIME_set(X509_getm_notAfter(certificate), end.partialValue) != nil,
      unsafe X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_UTF8, commonName, CInt(commonName.count), -1, 0) == 1,
      unsafe X509_set_issuer_name(certificate, name) == 1,
      unsafe X509_set_pubkey(certificate, key.handle.pointer) == 1
    else { throw .callFailed("X509_set") }
  }

  @unsafe private static func add(
    _ extensionID: CInt, _ value: String, to certificate: OpaquePointer
  ) throws(CryptoFault) {
    guard let addition = unsafe X509V3_EXT_conf_nid(nil, nil, extensionID, value) else {
      throw .callFailed("X509V3_EXT_conf_nid")
    }
    defer { unsafe X509_EXTENSION_free(addition) }
    guard unsafe X509_add_ext(certificate, addition, -1) == 1 else {
      throw .callFailed("X509_add_ext")
    }
  }
}
