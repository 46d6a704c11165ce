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
  private(set) var exchanges: [TLSClientContext?] = []
  private(set) var sharedCache: TLSClientContext?
  private(set) var problems: [PlacedProblem] = []
  private(set) var warnings: [PlacedProblem] = []

  /// What connections to an upstream's servers are made with.
  struct Client {
    let context: TLSClientContext?
    /// Of all files that went into it.
    let digest: [UInt8]
  }

  /// What was read since it was last emptied.
  private var filesRead: [UInt8] = []

  private var filesDigest: [UInt8] { (try? Digester().digest(filesRead).bytes) ?? filesRead }

  /// Every file that was read, or could not be.
  private(set) var paths: Set<String> = []

  /// A certificate that ends sooner is told of.
  private static let soonSeconds: Int64 = 14 * 24 * 3_600

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
      let isNeeded = upstream.servers.contains { $0.origin.isSecure }
      material.filesRead = []
      let context = isNeeded ? material.client(upstream.tls.ca) : nil
      material.upstreams.append(Client(context: context, digest: material.filesDigest))
    }
    material.issuers = configuration.issuers.map { material.client($0.ca) }
    material.exchanges = configuration.exchanges.map { material.client($0.ca) }
    if let cache = configuration.sharedCache, cache.url.isSecure {
      material.sharedCache = material.client(cache.ca)
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
      noteEnds(of: context, settings.certificates)
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

  private mutating func noteEnds(
    of context: TLSServerContext, _ references: [CertificateReference]
  ) {
    let now = Clock.wallMs() / 1_000
    for (reference, end) in zip(references, context.notAfter) where end - now < Self.soonSeconds {
      let days = (end - now) / 86_400
      warnings.append(
        PlacedProblem(
          place: reference.chain.place,
          text: end <= now
            ? "the certificate in \(reference.chain.path) has expired"
            : "the certificate in \(reference.chain.path) expires in \(days) days"))
    }
  }

  private mutating func client(_ authorities: FileReference?) -> TLSClientContext? {
    var bytes: [UInt8]?
    if let authorities {
      guard let found = read(authorities) else { return nil }
      bytes = found
    }
    do throws(TLSConfigurationFault) {
      return try TLSClientContext(authorities: bytes)
    } catch {
      if let authorities { add(authorities, error) }
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
