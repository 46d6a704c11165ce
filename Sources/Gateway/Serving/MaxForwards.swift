import HTTP
import Reactor
import Wire

/// `Max-Forwards` (RFC 9110 §7.6.2): each gateway on the way of an OPTIONS request counts it down,
/// and the one that finds it used up is the one that answers. (TRACE, the other method that has it,
/// is refused; on any other it is passed on like every field.)
enum MaxForwards {
  /// What becomes of an admitted request: the route's action, or an answer here and now.
  static func action(of route: Route, for request: Request) throws(Refusal) -> Route.Action {
    guard case .forward = route.action, try left(of: request) == 0 else { return route.action }
    let allow = (name: UTF8Text("Allow"), value: UTF8Text(route.allowed))
    return .respond(FixedResponse(status: 204, headers: [allow], body: []))
  }

  /// How often the request may still be forwarded; nil where nothing is said that counts.
  ///
  /// - Throws: where it is no number, or there are several: each hop would count another one.
  static func left(of request: Request) throws(Refusal) -> UInt64? {
    guard case .options = request.connection.head.method else { return nil }
    let head = request.connection.head
    guard head.names.contains(.maxForwards) else { return nil }
    let received = request.connection.received
    var found: UInt64?
    for line in head.fields where line.known == .maxForwards && !line.hasUnderscore {
      guard found == nil, let number = Decimal.parse(received.slice(line.value)) else {
        throw Refusal(.malformedRequest, "Max-Forwards is not one number.")
      }
      found = number
    }
    return found
  }
}
