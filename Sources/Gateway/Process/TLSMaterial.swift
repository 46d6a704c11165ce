import Crypto
package import OAuth
import Reactor
import Wire

/// The certificates, keys and authorities that a configuration names, loaded; with every problem
/// found, each at its place in the routes file.
struct TLSMaterial {
  private(set) var listeners: [TLSServerContext?] = []
  private(set) var upstreams: [Client] = []
  private(set) var issuers: [TLSClientContext?] = []
  private(set) var exchanges: [Client] = []
  private(set) var sharedCache: Client?
  /// Of the collector of spans, with the system's authorities.
  private(set) var tracing: TLSClientContext?
  /// By exchange: what a client that shows itself by `private_key_jwt` signs with.
  private(set) var assertions: [ClientAssertion?] = []
  private(set) var problems: [PlacedProblem] = []
  private(set) var warnings: [PlacedProblem] = []

  /// What connections to servers are made with.
  struct Client {
    let context: TLSClientContext?
    /// Of all files that went into it.
    let digest: [UInt8]
  }

  /// What was read since it was last emptied.
  private var filesRead: [UInt8] = []

  /// Most upstreams name no file: none is digested for them.
  private var filesDigest: [UInt8] {
    filesRead.isEmpty ? [] : (try? Digester().digest(filesRead).bytes) ?? filesRead
  }

  /// Every file that was read, or could not be.
  private(set) var paths: Set<String> = []

  private static let fileBytesMax = 1 << 20

  /// - Parameter tickets: the process's own, so that sessions outlive a reload.
  static func load(
    _ configuration: Configuration, tickets: TicketKeys = TicketKeys()
  ) -> TLSMaterial {
    var material = TLSMaterial()
    for listener in configuration.listeners {
      material.listeners.append(
        listener.tls.flatMap { material.server($0, tickets: tickets) })
    }
    for upstream in configuration.upstreams {
      let isNeeded = upstream.servers.contains { $0.target.isSecure }
      material.filesRead = []
      let context =
        isNeeded ? material.client(upstream.tls.ca, upstream.tls.identity) : nil
      material.upstreams.append(Client(context: context, digest: material.filesDigest))
    }
    material.issuers = configuration.issuers.map { material.client($0.ca) }
    for exchange in configuration.exchanges {
      material.filesRead = []
      let context: TLSClientContext? =
        switch exchange.client.method {
        case .certificate(let chain, let key):
          material.client(exchange.ca, CertificateReference(chain: chain, key: key))
        case .basic, .post, .privateKey, .none: material.client(exchange.ca)
        }
      material.assertions.append(material.assertion(of: exchange.client))
      material.exchanges.append(Client(context: context, digest: material.filesDigest))
    }
    if let cache = configuration.sharedCache, cache.url.isSecure {
      material.filesRead = []
      let context = material.client(cache.ca)
      material.sharedCache = Client(context: context, digest: material.filesDigest)
    }
    if let tracing = configuration.tracing, tracing.endpoint.origin.isSecure {
      material.tracing = material.client(nil)
    }
    return material
  }

  private mutating func server(
    _ settings: ListenerSettings.TLSTermination, tickets: TicketKeys
  ) -> TLSServerContext? {
    var identities: [TLSServerContext.Identity] = []
    for reference in settings.certificates {
      let chain = read(reference.chain)
      let key = read(reference.key)
      if let chain, let key { identities.append(.init(chain: chain, key: key)) }
    }
    var clients: ClientCertificatePolicy?
    if let asked = settings.clients {
      clients = read(asked.authority).map {
        ClientCertificatePolicy(isRequired: asked.isRequired, authorities: $0)
      }
      // Never without it: the listener would ask for nothing.
      if clients == nil { return nil }
    }
    guard identities.count == settings.certificates.count else { return nil }
    do throws(TLSServerContext.Failure) {
      let context = try TLSServerContext(
        identities: identities, minimum: settings.minVersion == .v1_3 ? .tls13 : .tls12,
        tickets: tickets, clients: clients)
      for (reference, end) in zip(settings.certificates, context.notAfter) {
        noteEnd(end, of: reference.chain)
      }
      return context
    } catch {
      let reference = settings.certificates[error.index]
      switch error.fault {
      case .keyUnreadable, .keyMismatch: add(reference.key, error.fault)
      case .authoritiesUnreadable:
        add(settings.clients?.authority ?? reference.chain, error.fault)
      case .chainUnreadable, .refused: add(reference.chain, error.fault)
      }
      return nil
    }
  }

  private mutating func noteEnd(_ end: Int64, of certificate: FileReference) {
    guard let warning = CertificateEnd.warning(of: end, in: certificate.path) else { return }
    warnings.append(PlacedProblem(place: certificate.place, text: warning))
  }

  /// - Parameter identity: the gateway's own certificate, for servers that ask for one.
  private mutating func client(
    _ authorities: FileReference?, _ reference: CertificateReference? = nil
  ) -> TLSClientContext? {
    let bytes = authorities.map { read($0) }
    let chain = reference.map { read($0.chain) }
    let key = reference.map { read($0.key) }
    // What could not be read was told already.
    if case .some(nil) = bytes { return nil }
    var identity: TLSClientContext.Identity?
    if let chain, let key {
      guard let chain, let key else { return nil }
      identity = .init(chain: chain, key: key)
    }
    do throws(TLSConfigurationFault) {
      let context = try TLSClientContext(authorities: bytes ?? nil, identity: identity)
      if let reference, let end = context.notAfter { noteEnd(end, of: reference.chain) }
      return context
    } catch {
      let file: FileReference? =
        switch error {
        case .keyUnreadable, .keyMismatch: reference?.key
        case .chainUnreadable: reference?.chain
        case .authoritiesUnreadable, .refused: authorities ?? reference?.chain
        }
      if let file { add(file, error) }
      return nil
    }
  }

  private mutating func assertion(of client: ClientAuthentication) -> ClientAssertion? {
    guard case .privateKey(let settings) = client.method else { return nil }
    let key = read(settings.key)
    let pem = settings.certificate.map { read($0) }
    guard let key else { return nil }
    if case .some(nil) = pem { return nil }
    // Which of the files, or the algorithm, each complaint is about.
    var culprit = settings.key
    do throws(CryptoFault) {
      let signingKey = try PrivateKey(pem: key.span)
      var certificate: LeafCertificate?
      if let file = settings.certificate, let pem, let pem {
        culprit = file
        certificate = try LeafCertificate(pem: pem.span, of: signingKey)
      }
      if let algorithm = settings.algorithm,
        !signingKey.numbers.algorithms.contains(algorithm.value)
      {
        let fitting = signingKey.numbers.algorithms.map(\.name).joined(separator: ", ")
        problems.append(
          PlacedProblem(
            place: algorithm.place,
            text: "the key in \(settings.key.path) can't sign by it; it can by \(fitting)"))
        return nil
      }
      return try ClientAssertion(
        clientID: client.id, key: signingKey, certificate: certificate, settings)
    } catch {
      problems.append(
        PlacedProblem(place: culprit.place, text: "\(culprit.path): \(error)"))
      return nil
    }
  }

  private mutating func read(_ file: FileReference) -> [UInt8]? {
    paths.insert(file.path)
    do throws(SystemError) {
      let bytes = try Files.read(file.path, bytesMax: Self.fileBytesMax)
      filesRead += bytes
      return bytes
    } catch {
      problems.append(
        PlacedProblem(
          place: file.place, text: "can't read \(file.path): \(SystemError.text(of: error.code))"))
      return nil
    }
  }

  private mutating func add(_ file: FileReference, _ fault: TLSConfigurationFault) {
    problems.append(PlacedProblem(place: file.place, text: "\(file.path) \(fault.text)"))
  }
}

/// What is wrong with a thing that the routes file names, found after the file was read.
package struct PlacedProblem: Sendable {
  package let place: ConfigPlace
  package let text: String
}
