import COpenSSL
import Glibc

/// Why certificates, keys or authorities can't be used, for the operator. Never holds key bytes.
package enum TLSConfigurationFault: Error, Equatable, Sendable {
  /// The chain is no certificate in PEM.
  case chainUnreadable(String)
  /// The key is none in PEM, or it is encrypted.
  case keyUnreadable(String)
  /// The key is not that of the chain's first certificate.
  case keyMismatch
  /// The certificate authorities are none in PEM.
  case authoritiesUnreadable(String)
  /// OpenSSL refused a setting.
  case refused(String)

  /// A sentence for the operator.
  package var text: String {
    switch self {
    case .chainUnreadable(let reason): "holds no certificate chain in PEM (\(reason))"
    case .keyUnreadable(let reason): "holds no private key in PEM without a password (\(reason))"
    case .keyMismatch: "is not the private key of the chain's first certificate"
    case .authoritiesUnreadable(let reason): "holds no certificates in PEM (\(reason))"
    case .refused(let reason): "OpenSSL refused it (\(reason))"
    }
  }
}

/// The thread's queue of OpenSSL errors. It belongs to the thread and not to a connection: it is
/// emptied before each call and after each failure, with no `await` between, or one peer's fault
/// would be read as another's.
enum TLSErrorQueue {
  static func clear() {
    // Asking costs a tenth of clearing, and there is hardly ever anything.
    if ERR_peek_last_error() != 0 { ERR_clear_error() }
  }

  /// The first error's reason in OpenSSL's words; the queue is empty afterwards.
  static func takeReason() -> String {
    let code = ERR_get_error()
    defer { ERR_clear_error() }
    guard code != 0, let text = unsafe ERR_reason_error_string(code) else { return "unknown" }
    return unsafe String(cString: text)
  }
}
