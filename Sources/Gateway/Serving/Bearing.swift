import HTTP
import OAuth
import Reactor
import Wire

/// What goes on to the service in `Authorization`. Only the exchanger makes one, and only from an
/// admitted identity.
struct Bearing: ~Copyable {
  fileprivate enum Kind {
    /// Nothing: the field is removed.
    case nothing
    /// A token obtained for the service.
    case token(HeldToken)
    /// The caller's own, as it stands in the head.
    case callers(Range<Int>)
  }

  fileprivate let kind: Kind
  /// Who called, beside a token of the gateway's own; no name: nothing is said.
  fileprivate let callerName: [UInt8]
  fileprivate let callerValue: [UInt8]

  fileprivate init(kind: Kind, callerName: [UInt8] = [], callerValue: [UInt8] = []) {
    self.kind = kind
    self.callerName = callerName
    self.callerValue = callerValue
  }

  /// How many bytes the token has, and what goes with it.
  var byteCount: Int {
    let caller = callerName.count + callerValue.count
    return switch kind {
    case .nothing: caller
    case .token(let held): held.token.count + caller
    case .callers(let range): range.count + caller
    }
  }

  /// When the token was issued to us, of one that was kept; else `Int64.max`.
  var keptAtMs: Int64 {
    if case .token(let held) = kind { return held.keptAtMs }
    return .max
  }

  /// What stands for `admitted`'s bearing where none is had: the same fields, and a name in the
  /// place of a token.
  static func likeness(
    of admitted: borrowing AdmittedIdentity, named name: [UInt8], for request: Request
  ) -> Bearing {
    let token = HeldToken(token: name, keptAtMs: .max)
    switch admitted.onward {
    case .nothing: return Bearing(kind: .nothing)
    case .passthrough where request.tokenSource != .header: return Bearing(kind: .nothing)
    case .passthrough, .exchange: return Bearing(kind: .token(token))
    case .ownToken(let own, let caller):
      return Bearing(kind: .token(token), own: own, of: caller)
    }
  }

  /// A token of the gateway's own, and who called.
  fileprivate init(kind: Kind, own: Route.OwnToken, of caller: Caller?) {
    guard let value = caller?.token.clientID.field, !value.isEmpty, let name = own.callerHeader
    else {
      self.init(kind: kind)
      return
    }
    self.init(kind: kind, callerName: name, callerValue: value)
  }

  /// Writes the field, where there is one, and who called. `received` holds the request's head.
  func writeAuthorization(from received: Buffer, to out: Buffer) {
    if !callerName.isEmpty {
      out.append(callerName)
      out.append(": ")
      out.append(callerValue)
      out.append("\r\n")
    }
    switch kind {
    case .nothing: break
    case .token(let held):
      out.append("Authorization: Bearer ")
      out.append(held.token)
      out.append("\r\n")
    case .callers(let range):
      out.append("Authorization: Bearer ")
      out.append(received.slice(range))
      out.append("\r\n")
    }
  }
}

/// Obtains what goes on, for callers that were admitted.
final class Exchanger {
  let exchange: TokenExchanges

  init(_ exchange: TokenExchanges) { self.exchange = exchange }

  /// Forgets a token that the service has refused: the next request has it anew.
  func forget(_ bearing: borrowing Bearing, of admitted: borrowing AdmittedIdentity) {
    guard case .token(let held) = bearing.kind else { return }
    switch admitted.onward {
    case .exchange(let caller, let target):
      exchange.forget(held, of: .caller(caller), target: target)
    case .ownToken(let own, _): exchange.forget(held, of: .gateway, target: own.target)
    case .nothing, .passthrough: break
    }
  }

  /// What goes on for `admitted`: exchanged, the gateway's own, the caller's, or nothing.
  func bearing(
    of admitted: borrowing AdmittedIdentity, for request: Request
  ) async throws(Refusal) -> Bearing {
    switch admitted.onward {
    case .nothing: return Bearing(kind: .nothing)
    // A token of another place goes on in that place: `TokenPlaces` leaves it there.
    case .passthrough where request.tokenSource != .header: return Bearing(kind: .nothing)
    case .passthrough(let caller): return Bearing(kind: .callers(caller.tokenRange))
    case .exchange(let caller, let target):
      return Bearing(
        kind: .token(try await exchange.token(for: .caller(caller), target: target, request)))
    case .ownToken(let own, let caller):
      let client = caller?.token.clientID
      request.record.clientIDJSON = client?.json ?? []
      let token = try await exchange.token(for: .gateway, target: own.target, request)
      return Bearing(kind: .token(token), own: own, of: caller)
    }
  }
}
