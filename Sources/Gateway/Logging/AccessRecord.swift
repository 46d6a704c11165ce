import HTTP
import Wire

/// What is noted of a request while it is served, for its one line in the access log.
struct AccessRecord {
  enum Authentication: Int, CaseIterable {
    case none, verified, cached

    var word: StaticString {
      switch self {
      case .none: "none"
      case .verified: "verified"
      case .cached: "cached"
      }
    }
  }

  /// How a request came by the token for its service.
  enum Exchange: Int, CaseIterable {
    case none, hit, miss, joined
    /// Had from what another gateway put into the shared cache.
    case shared
    /// A hit that had the token issued anew behind it.
    case refreshed
    case denied, failed, clientCredentials

    var word: StaticString {
      switch self {
      case .none: "none"
      case .hit: "hit"
      case .miss: "miss"
      case .joined: "joined"
      case .refreshed: "refreshed"
      case .shared: "shared"
      case .denied: "denied"
      case .failed: "failed"
      case .clientCredentials: "client-credentials"
      }
    }
  }

  enum Aborted { case client, upstream }

  var startedNs: Int64 = 0
  /// The turn of the loop in which it began: in a later one it has waited meanwhile.
  var startedTurn: UInt64 = 0
  var bytesReadBefore: UInt64 = 0
  var bytesWrittenBefore: UInt64 = 0
  var status = 0
  var reason: Refusal.Reason?
  var route: Route?
  var caller: KnownToken?
  /// Who called, as JSON text, where the service is given a token of the gateway's own.
  var clientIDJSON: [UInt8] = []
  var authentication = Authentication.none
  var exchange = Exchange.none
  var exchangeError: [UInt8] = []
  /// Whether the service has refused a token that was kept for it.
  var tokenWasRefused = false
  var audienceJSON: [UInt8] = []
  var upstreamJSON: [UInt8] = []
  var upstreamStatus = 0
  var attempts = 0
  /// Bytes that came through a tunnel from the caller.
  var tunnelBytesIn: UInt64 = 0
  var aborted: Aborted?
  /// When the token's verification began, and when it was first waited for another; 0: not at all.
  var authBeganNs: Int64 = 0
  var exchangeBeganNs: Int64 = 0
  var authNs: Int64 = 0
  var exchangeNs: Int64 = 0
  var connectNs: Int64 = 0
  var firstByteNs: Int64 = 0
}
