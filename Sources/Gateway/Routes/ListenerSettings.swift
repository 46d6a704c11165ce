package import OAuth
package import Wire

/// One entry of `listeners`.
package struct ListenerSettings: Sendable {
  /// For the log; the address where the file gives no name.
  package let name: String
  package let address: ListenerAddress
  /// Who may connect to a unix socket: the mode of its file.
  package let socketMode: UInt32
  /// nil: clear text.
  package let tls: TLSTermination?
  /// Whether a connection begins with what the proxy in front says of it (PROXY protocol).
  package let takesProxyHeader: Bool
  /// Of a unix socket: whether who connects counts as a trusted proxy.
  package let isTrusted: Bool
  package let place: ConfigPlace

  package struct TLSTermination: Sendable {
    /// Picked by SNI from the names in each certificate; the first is the default; never empty.
    package let certificates: [CertificateReference]
    package let minVersion: TLSVersion
    /// nil: nobody is asked for a certificate.
    package let clients: ClientCertificates?
  }

  /// Certificates that callers show.
  package struct ClientCertificates: Sendable {
    /// Whether a caller without one is turned away.
    package let isRequired: Bool
    /// To whom they must chain.
    package let authority: FileReference
  }
}

package enum TLSVersion: String, CaseIterable, Sendable {
  case v1_2 = "1.2"
  case v1_3 = "1.3"
}

/// A certificate chain and its key: files that are still to be loaded and to be found to match.
package struct CertificateReference: Sendable {
  package let chain: FileReference
  package let key: FileReference
}

/// Where a listener is.
package enum ListenerAddress: Sendable, CustomStringConvertible {
  case network(ListenAddress)
  /// The file of a unix socket.
  case unix(FileReference)
  /// Sockets that systemd passes under this name.
  case systemd(String, ConfigPlace)

  package var place: ConfigPlace {
    switch self {
    case .network(let address): address.place
    case .unix(let file): file.place
    case .systemd(_, let place): place
    }
  }

  package var description: String {
    switch self {
    case .network(let address): address.description
    case .unix(let file): "unix:\(file.path)"
    case .systemd(let name, _): "systemd:\(name)"
    }
  }
}

/// Where to listen for TCP.
package struct ListenAddress: Sendable, CustomStringConvertible {
  /// An address to bind, or a name (`localhost`) to resolve first.
  package let host: HostName
  /// 0: the kernel picks one.
  package let port: UInt16
  package let place: ConfigPlace

  package var description: String {
    host.address?.isV6 == true ? "[\(host.text)]:\(port)" : "\(host.text):\(port)"
  }
}
