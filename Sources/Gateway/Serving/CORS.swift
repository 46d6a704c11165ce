import HTTP
import Reactor
import Wire

/// Which pages of other origins may read a route's answers: the gateway's part of the CORS protocol
/// (Fetch §3.2).
///
/// Every answer says that it depends on `Origin`, so that no cache gives one page's answer to
/// another. A page that may not read it learns nothing more: the browser keeps it from the answer.
final class CORS {
  /// What one origin is told.
  final class Grant {
    /// Whole lines with their CRLFs: of any answer, and of a preflight's.
    let answerFields: [UInt8]
    let preflightFields: [UInt8]

    fileprivate init(_ answer: [String], preflight: [String] = []) {
      func lines(_ list: [String]) -> [UInt8] {
        list.flatMap { Array("\($0)\r\n".utf8) } + "Vary: Origin\r\n".utf8
      }
      answerFields = lines(answer)
      preflightFields = lines(preflight)
    }
  }

  private let origins: [(origin: [UInt8], grant: Grant)]
  /// Of origins that are not listed.
  private let others: Grant

  /// - Parameter methods: those of the route, joined by ", ".
  init(_ settings: CORSSettings.Own, methods: String) {
    func list(_ names: [UTF8Text]) -> String { names.map(\.string).joined(separator: ", ") }
    let allowed = settings.methods.map(list) ?? methods
    // Fetch §3.2.5: `*` does not stand for Authorization.
    let headers =
      settings.headers.contains("*")
      ? list(settings.headers.filter { $0 != "*" } + ["*", "Authorization"])
      : list(settings.headers)
    func grant(_ origin: String) -> Grant {
      var common = ["Access-Control-Allow-Origin: \(origin)"]
      if settings.allowsCredentials { common.append("Access-Control-Allow-Credentials: true") }
      var answer = common
      if !settings.exposedHeaders.isEmpty {
        answer.append("Access-Control-Expose-Headers: \(list(settings.exposedHeaders))")
      }
      var preflight = common + ["Access-Control-Allow-Methods: \(allowed)"]
      if !headers.isEmpty { preflight.append("Access-Control-Allow-Headers: \(headers)") }
      preflight.append("Access-Control-Max-Age: \(settings.maxAgeSeconds)")
      return Grant(answer, preflight: preflight)
    }
    origins = settings.origins.map { ($0.bytes, grant($0.string)) }
    others = settings.allowsAny ? grant("*") : Grant([])
  }

  /// What a request's answer says.
  func grant(for request: Request) -> Grant {
    guard let range = request.origin else { return others }
    return listed(request.connection.received, range) ?? others
  }

  /// Whether a page of this origin, named in the file, made the request.
  func lists(_ received: Buffer, _ origin: Range<Int>) -> Bool {
    listed(received, origin) != nil
  }

  private func listed(_ received: Buffer, _ range: Range<Int>) -> Grant? {
    let sent = received.slice(range)
    for (origin, grant) in origins where origin.count == sent.count {
      if origin.indices.allSatisfy({ ByteClass.lowercased(sent[$0]) == origin[$0] }) {
        return grant
      }
    }
    return nil
  }
}

extension Request {
  /// The value of the one `Origin`; nil without one, and with several.
  var origin: Range<Int>? {
    let head = connection.head
    guard head.names.contains(.origin) else { return nil }
    var found: Range<Int>?
    for line in head.fields where line.known == .origin && !line.hasUnderscore {
      if found != nil { return nil }
      found = line.value
    }
    return found
  }

  /// The method that a preflight asks for (Fetch §3.2.2); nil where this is none. One with content
  /// is none: no browser sends such, and what a service does with content is for a token to allow.
  var preflightedMethod: Range<Int>? {
    let framing = connection.head.framing
    guard method == .options, framing == .none || framing == .length(0), origin != nil,
      let line = connection.head.first(.accessControlRequestMethod), !line.value.isEmpty
    else { return nil }
    return line.value
  }
}
