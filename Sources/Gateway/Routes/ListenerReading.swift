import OAuth
import Reactor
import Wire

// What `listeners` says: where to listen, with which certificates, whom to believe.

extension Kind where Value == ListenerSettings {
  static var listener: Kind {
    .object { object in
      let name = object.optional("name", .text, "for match.listeners and the log")
      let address = object.required(
        "address", .listenerAddress, "where to listen, such as \"0.0.0.0:8443\"")
      let mode = object.optional("mode", .fileMode, "of a unix socket's file")
      let tls = object.optional("tls", .termination, "without it: clear text")
      object.later("http2", default: .bool(false), "HTTP/2")
      let takesProxyHeader = object.optional(
        "proxyProtocol", .bool, default: false, "HAProxy's PROXY protocol, required then")
      let isTrusted = object.optional(
        "trusted", .bool, default: false, "who connects to a unix socket is a trusted proxy")
      guard let address else { return nil }
      if case .unix = address {
        if takesProxyHeader, !isTrusted {
          object.reportAtName(
            "proxyProtocol", "on a unix socket only with \"trusted\": true: who else may send it?")
        }
      } else {
        if isTrusted { object.reportAtName("trusted", Self.unixOnly) }
        if mode != nil { object.reportAtName("mode", Self.unixOnly) }
      }
      return ListenerSettings(
        name: name?.string ?? address.description, address: address,
        socketMode: mode ?? Self.standardMode, tls: tls, takesProxyHeader: takesProxyHeader,
        isTrusted: isTrusted, place: object.setting.place)
    }
  }

  private static var unixOnly: String { "only of a \"unix:\" address" }
  /// Its owner and its group connect.
  private static var standardMode: UInt32 { 0o660 }
}

extension Kind where Value == ListenerAddress {
  /// `host:port`, `[v6]:port`, `unix:/path` or `systemd:NAME`.
  fileprivate static var listenerAddress: Kind {
    Kind(.string) { setting in
      if let text = setting.node.string {
        if text.hasPrefix("unix:") { return unix(Array(text.bytes.dropFirst(5)), setting) }
        if text.hasPrefix("systemd:") { return systemd(Array(text.bytes.dropFirst(8)), setting) }
      }
      return Kind<ListenAddress>.listenAddress.read(setting).map { .network($0) }
    }
  }

  private static func unix(_ path: [UInt8], _ setting: Setting) -> ListenerAddress? {
    guard !path.isEmpty, !path.contains(0), path.first != UInt8(ascii: "@") else {
      return setting.refused("expected a path behind \"unix:\"")
    }
    let resolved = FilePath.resolve(
      String(decoding: path, as: UTF8.self), namedIn: setting.place.file)
    guard resolved.utf8.count <= SocketFile.pathBytesMax else {
      return setting.refused(
        "a unix socket's path has at most \(SocketFile.pathBytesMax) bytes, this one "
          + "\(resolved.utf8.count)")
    }
    return .unix(FileReference(path: resolved, place: setting.place))
  }

  private static func systemd(_ name: [UInt8], _ setting: Setting) -> ListenerAddress? {
    // What FileDescriptorName= takes (systemd.socket(5)).
    let isName =
      (1...255).contains(name.count)
      && name.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: ":") }
    guard isName else {
      return setting.refused("expected a socket's FileDescriptorName= behind \"systemd:\"")
    }
    return .systemd(String(decoding: name, as: UTF8.self), setting.place)
  }
}

extension Kind where Value == UInt32 {
  /// A file's permissions, in octal digits as `chmod` takes them.
  fileprivate static var fileMode: Kind {
    Kind(.string) { setting in
      let expected = "expected a file's mode such as \"0660\""
      guard let text = setting.node.string else {
        let digits = setting.node.integer.map { "\($0)" } ?? ""
        return setting.refused(
          "\(expected), found \(setting.found)",
          suggestion: digits.count == 3 && UInt32(digits, radix: 8) != nil ? "0\(digits)" : nil)
      }
      guard (3...4).contains(text.bytes.count), let mode = UInt32(text.string, radix: 8),
        mode <= 0o777
      else { return setting.refused(expected) }
      return mode
    }
  }
}

extension Kind where Value == ListenerSettings.TLSTermination {
  fileprivate static var termination: Kind {
    .object { object in
      let certificates = object.required(
        "certificates", .list(.certificate, atLeastOne: true),
        "certificate chains and their keys; the first is the default")
      let minVersion = object.optional(
        "minVersion", .choice(), default: TLSVersion.v1_2, "the oldest version taken")
      let clients = ListenerSettings.ClientCertificates.read(&object)
      return certificates.map {
        ListenerSettings.TLSTermination(
          certificates: $0, minVersion: minVersion, clients: clients)
      }
    }
  }
}

extension ListenerSettings.ClientCertificates {
  private enum Wanted: String, CaseIterable {
    case nobodys = "none"
    case request, require
  }

  fileprivate static func read(_ object: inout ObjectReader) -> Self? {
    let wanted = object.optional(
      "clientAuth", .choice(), default: Wanted.nobodys, "whether callers show certificates")
    let authority = object.optional("clientCA", .authorities, "who signs callers' certificates")
    switch wanted {
    case .nobodys:
      if let authority {
        object.setting.reading.warn(
          authority.place, "callers are not asked for certificates: \"clientAuth\" is \"none\"")
      }
      return nil
    case .request, .require:
      if !object.has("clientCA") {
        object.refuseMissing("clientCA", "the PEM file of those who sign callers' certificates")
      }
      return authority.map { Self(isRequired: wanted == .require, authority: $0) }
    }
  }
}

extension Kind where Value == CertificateReference {
  fileprivate static var certificate: Kind {
    .object { object in
      let chain = object.required("chain", .inputFile, "the certificate chain's PEM file")
      let key = object.required("key", .inputFile, "the private key's PEM file")
      guard let chain, let key else { return nil }
      let pair = CertificateReference(chain: chain, key: key)
      object.setting.reading.note(.identity(pair))
      return pair
    }
  }
}
