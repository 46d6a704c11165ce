import HTTP
import Reactor
import Wire

/// Where one request's token is: in `Authorization`, or in a cookie or a query's parameter, by its
/// number in the file's `TokenPlaces`.
enum TokenSource: Equatable {
  case header
  case cookie(Int)
  case query(Int)
}

/// Every cookie and every parameter in which some route of the file looks for tokens.
///
/// What stands there is a credential wherever it is sent, so it goes on from no route, public ones
/// included: a browser sends a cookie along whatever path it asks for. The one exception is the
/// place that a `passthrough` route has just taken the caller's token from.
final class TokenPlaces {
  private var cookies: [[UInt8]] = []
  private var parameters: [[UInt8]] = []
  /// Fields that don't go on as they came.
  private(set) var fields = FieldNameSet()

  /// nil where no route looks anywhere but in the header.
  init?(_ places: some Sequence<TokenPlace>) {
    for place in places {
      switch place {
      case .header: break
      case .cookie(let name):
        if !cookies.contains(name.bytes) { cookies.append(name.bytes) }
        fields.insert(.cookie)
        fields.insert(.referer)
      case .query(let name):
        if !parameters.contains(name.bytes) { parameters.append(name.bytes) }
        fields.insert(.referer)
      }
    }
    if cookies.isEmpty, parameters.isEmpty { return nil }
  }

  func source(_ place: TokenPlace) -> TokenSource? {
    switch place {
    case .header: .header
    case .cookie(let name): cookies.firstIndex(of: name.bytes).map { .cookie($0) }
    case .query(let name): parameters.firstIndex(of: name.bytes).map { .query($0) }
    }
  }

  /// The values at every occurrence of a cookie or parameter, as they stand in the head.
  func forEachValue(
    _ source: TokenSource, in request: Request, _ body: (Range<Int>) throws(Refusal) -> Void
  ) throws(Refusal) {
    let head = request.connection.head
    let received = request.connection.received
    func look(_ form: NamedPairs.Form, _ range: Range<Int>, _ name: [UInt8]) throws(Refusal) {
      var pairs = NamedPairs(form, in: range)
      while let pair = pairs.nextPair(in: received.readable) {
        if PercentEncoding.matches(received.slice(pair.name), name) { try body(pair.value) }
      }
    }
    switch source {
    case .header: break
    case .cookie(let number):
      for line in head.fields where line.known == .cookie {
        try look(.cookie, line.value, cookies[number])
      }
    case .query(let number):
      if let query = head.query { try look(.query, query, parameters[number]) }
    }
  }

  /// Writes the query, with its `?`, less the parameters that bear tokens.
  func writeQuery(
    _ query: Range<Int>, keeping kept: TokenSource?, _ received: Buffer, _ out: Buffer
  ) {
    var keptNumber: Int?
    if case .query(let number) = kept { keptNumber = number }
    var separator: StaticString = "?"
    var pairs = NamedPairs(.query, in: query)
    while let pair = pairs.nextPair(in: received.readable) {
      if isOne(of: parameters, received.slice(pair.name), but: keptNumber) { continue }
      out.append(separator)
      out.append(received.slice(pair.whole))
      separator = "&"
    }
  }

  /// Writes one of `fields`, or what of it goes on; never more bytes than it has.
  func writeField(
    _ line: FieldLine, of request: Request, keeping kept: TokenSource?, _ received: Buffer,
    _ out: Buffer
  ) {
    var keptNumber: Int?
    if case .cookie(let number) = kept { keptNumber = number }
    let goesOn: Bool =
      if line.known == .cookie {
        !hasToken(line, but: keptNumber, received)
      } else {
        // Referer: the URL of the page before, which may have had a token in its query too.
        parameters.isEmpty && request.tokenSource == .header
      }
    if goesOn {
      out.append(received.slice(line.name.lowerBound..<line.value.upperBound))
      out.append("\r\n")
    }
    if goesOn || line.known != .cookie { return }
    var isFirst = true
    var pairs = NamedPairs(.cookie, in: line.value)
    while let pair = pairs.nextPair(in: received.readable) {
      if isOne(of: cookies, received.slice(pair.name), but: keptNumber) { continue }
      var whole = pair.whole
      if isFirst {
        while !whole.isEmpty, ByteClass.isBlank(received.readable[whole.lowerBound]) {
          whole = (whole.lowerBound + 1)..<whole.upperBound
        }
        // Nothing yet but separators.
        if whole.isEmpty { continue }
        out.append(received.slice(line.name.lowerBound..<line.value.lowerBound))
        isFirst = false
      } else {
        out.append(";")
      }
      out.append(received.slice(whole))
    }
    if !isFirst { out.append("\r\n") }
  }

  private func hasToken(_ line: FieldLine, but kept: Int?, _ received: Buffer) -> Bool {
    var pairs = NamedPairs(.cookie, in: line.value)
    while let pair = pairs.nextPair(in: received.readable) {
      if isOne(of: cookies, received.slice(pair.name), but: kept) { return true }
    }
    return false
  }

  private func isOne(of names: [[UInt8]], _ name: Span<UInt8>, but kept: Int?) -> Bool {
    for (number, candidate) in names.enumerated() where number != kept {
      if PercentEncoding.matches(name, candidate) { return true }
    }
    return false
  }
}
