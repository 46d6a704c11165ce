import Crypto
import OAuth
import Reactor
import Wire

/// Certificates, keys and authorities that a routes file names, for a look into them where the rest
/// of that file is wrong: `TLSMaterial` loads those of a file that is right.
enum Papers {
  case identity(CertificateReference)
  case authorities(FileReference)
  case key(FileReference)

  /// Complains of what can't be used, and warns of what soon can't.
  func look(into reading: Reading) {
    func read(_ file: FileReference) -> [UInt8]? {
      // What can't be read is told of already.
      try? reading.files.read(file.path, bytesMax: Self.fileBytesMax)
    }
    func refuse(_ file: FileReference, _ text: String) {
      reading.refuse(file.place, "\(file.path) \(text)", suggestion: nil)
    }
    switch self {
    case .identity(let pair):
      guard let chain = read(pair.chain), let key = read(pair.key) else { return }
      do throws(TLSConfigurationFault) {
        let context = try TLSClientContext(
          authorities: nil, identity: .init(chain: chain, key: key))
        if let end = context.notAfter,
          let warning = CertificateEnd.warning(of: end, in: pair.chain.path)
        {
          reading.warn(pair.chain.place, warning)
        }
      } catch {
        switch error {
        case .keyUnreadable, .keyMismatch: refuse(pair.key, error.text)
        case .chainUnreadable, .authoritiesUnreadable, .refused: refuse(pair.chain, error.text)
        }
      }
    case .authorities(let file):
      guard let bytes = read(file) else { return }
      do throws(TLSConfigurationFault) {
        _ = try TLSClientContext(authorities: bytes)
      } catch {
        refuse(file, error.text)
      }
    case .key(let file):
      guard let bytes = read(file) else { return }
      do throws(CryptoFault) {
        _ = try PrivateKey(pem: bytes.span)
      } catch {
        reading.refuse(file.place, "\(file.path): \(error)", suggestion: nil)
      }
    }
  }

  private static let fileBytesMax = 1 << 20
}

extension Reading {
  /// Complains of those of the files named that can't be read or used, of which nobody would get to
  /// know before all else is right.
  func refuseUnusableFiles() {
    for file in namedFiles {
      do throws(FileFault) {
        _ = try files.read(file.path, bytesMax: 1 << 20)
      } catch {
        refuse(file.place, "can't read \(file.path): \(error)", suggestion: nil)
      }
    }
    for paper in papers { paper.look(into: self) }
  }
}

/// When certificates end.
enum CertificateEnd {
  /// One that ends sooner is told of.
  private static let soonSeconds: Int64 = 14 * 24 * 3_600

  /// - Parameter end: in seconds since 1970.
  /// - Returns: nil while there is time.
  static func warning(of end: Int64, in path: String) -> String? {
    let leftSeconds = end - Clock.wallMs() / 1_000
    if leftSeconds >= soonSeconds { return nil }
    if leftSeconds <= 0 { return "the certificate in \(path) has expired" }
    return "the certificate in \(path) expires in \(Numbers.span(ms: leftSeconds * 1_000))"
  }
}
