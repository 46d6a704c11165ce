import TestSupport
import Wire

/// One field line.
struct Field: Equatable, CustomStringConvertible {
  var name: String
  var value: [UInt8]

  init(_ name: String, _ value: [UInt8]) {
    self.name = name
    self.value = value
  }

  init(_ name: String, _ value: String) { self.init(name, Array(value.utf8)) }

  var description: String { "\(name): \(value.text)" }
  var line: [UInt8] { Array("\(name): ".utf8) + value + [13, 10] }
}

/// How a message's content goes over the wire.
enum Framing: Equatable {
  case none
  case length
  case chunked
  /// Answers only.
  case untilClose
}

/// A request as a caller may send it, and what of it goes on.
struct RandomRequest {
  var bytes: [UInt8] = []
  /// The path's beginning: which route it is for.
  var prefix: String
  var method: String
  var minorVersion: Int
  /// The path in its one spelling, and the query.
  var target: String
  var authority: String
  var kept: [Field] = []
  var framing: Framing
  var content: [UInt8]

  /// - Parameters:
  ///   - keepsEmpty: whether the route keeps empty segments.
  ///   - authorization: the field that the caller sends, if any.
  init(_ random: inout SplitMix64, prefix: String, keepsEmpty: Bool, authorization: Field?) {
    self.prefix = prefix
    method = random.pick(["GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "x-y"])
    minorVersion = random.once(in: 8) ? 0 : 1
    authority = random.pick(["api.example.com", "API.example.com:80", "a.", "[::1]:8", "10.0.0.1"])
    let pieces = ["a", "b-c", "caf%c3%a9", "x.y", "%7Eu", ".", "", "%5B1%5d", "a=b,c:d@e!"]
    let segments = (0..<random.number(in: 0...4)).map { _ in random.pick(pieces) }
    let path = prefix + segments.map { "/" + $0 }.joined()
    let query = random.pick(["", "", "?", "?a=b&c", "?x=%2F..//;y", "??"])
    target = ""
    framing = random.pick([.none, .length, minorVersion == 0 ? .length : .chunked])
    content = framing == .none ? [] : random.content()

    var fields = random.fields(
      kept: [
        "X-A", "x-b", "ACCEPT", "User-Agent", "Cookie", "Cookie", "X_Odd", "X-Odd", "Origin",
        "Content-Type", "Referer", "X-Real-IP", "Range", "x-requested", "Authorization-Info",
      ],
      dropped: [
        "Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Evil",
        "X_Forwarded_For", "X-Request-Id", "x_request_id", "Keep-Alive", "Proxy-Connection",
        "proxy_connection", "Proxy-Authorization", "TE", "Trailer", "Upgrade", "HTTP2-Settings",
      ], also: ["Host", "Authorization", "Content-Length", "X-Nowhere"])
    if minorVersion == 0 { fields.insert((Field("Connection", "keep-alive"), false), at: 0) }
    if let authorization {
      fields.insert((authorization, false), at: random.number(in: 0...fields.count))
    }
    fields.insert((Field("Host", authority), false), at: random.number(in: 0...fields.count))
    switch framing {
    case .none, .untilClose: break
    case .length:
      let length = Field(random.recased("Content-Length"), String(content.count))
      fields.insert((length, false), at: random.number(in: 0...fields.count))
    case .chunked:
      let coding = Field("Transfer-Encoding", random.recased("chunked"))
      fields.insert((coding, false), at: random.number(in: 0...fields.count))
    }
    kept = fields.filter(\.isKept).map(\.field)
    let isAbsolute = random.once(in: 5)
    bytes = Array(
      "\(method) \(isAbsolute ? "http://\(authority)" : "")\(path)\(query) HTTP/1.\(minorVersion)\r\n"
        .utf8)
    for (field, _) in fields { bytes += random.spaced(field) }
    bytes += [13, 10]
    bytes += framing == .chunked ? random.chunked(content) : content
    target = Self.normalised(path, keepsEmpty: keepsEmpty) + query
  }

  private static func normalised(_ path: String, keepsEmpty: Bool) -> String {
    var normal = NormalisedPath()
    try? PathNormaliser.normalise(Array(path.utf8).span, into: &normal)
    return (keepsEmpty ? normal.unmerged ?? normal.merged : normal.merged).text
  }
}

/// An answer as a server may give it, and what of it goes on.
struct RandomAnswer {
  var bytes: [UInt8] = []
  var status: Int
  var interim: [Field]?
  var kept: [Field]
  var framing: Framing
  var content: [UInt8]

  init(_ random: inout SplitMix64, toHead: Bool) {
    status = random.pick([200, 200, 201, 204, 304, 404, 418, 500, 599])
    let hasContent = !toHead && status != 204 && status != 304
    framing = hasContent ? random.pick([.length, .length, .chunked, .untilClose]) : .none
    content = hasContent ? random.content() : []
    let keptNames = [
      "Server", "Set-Cookie", "set-cookie", "ETag", "X-A", "Content-Type", "Vary", "X_Odd", "Date",
      "Cache-Control", "WWW-Authenticate", "X-Forwarded-For", "Authorization",
    ]
    let droppedNames = [
      "Keep-Alive", "Proxy-Authenticate", "Trailer", "Upgrade", "Proxy-Connection", "TE",
    ]
    if random.once(in: 5) {
      let fields = random.fields(kept: keptNames, dropped: droppedNames, also: ["X-Nowhere"])
      interim = fields.filter(\.isKept).map(\.field)
      bytes = Array("HTTP/1.1 103 Early Hints\r\n".utf8)
      for (field, _) in fields { bytes += random.spaced(field) }
      bytes += [13, 10]
    }
    let fields = random.fields(
      kept: keptNames, dropped: droppedNames, also: ["Content-Length", "X-Nowhere"])
    kept = fields.filter(\.isKept).map(\.field)
    bytes += Array("HTTP/1.1 \(status)\(random.pick(["", " ", " Fine", " a  b"]))\r\n".utf8)
    for (field, _) in fields { bytes += random.spaced(field) }
    switch framing {
    case .none, .untilClose: break
    case .length: bytes += random.spaced(Field("content-length", String(content.count)))
    case .chunked: bytes += random.spaced(Field("Transfer-encoding", "chunked"))
    }
    bytes += [13, 10]
    bytes += framing == .chunked ? random.chunked(content) : content
  }
}

extension SplitMix64 {
  /// Fields in any order, some twice, and whether each goes on: `Connection` names some away.
  fileprivate mutating func fields(
    kept: [String], dropped: [String], also: [String]
  ) -> [(field: Field, isKept: Bool)] {
    var nominated: Set<String> = []
    var fields: [(field: Field, isKept: Bool)] = []
    for _ in 0..<number(in: 0...8) {
      let isKept = once(in: 2)
      fields.append((Field(recased(pick(isKept ? kept : dropped)), value()), isKept))
    }
    for _ in 0..<(once(in: 3) ? number(in: 1...2) : 0) {
      let names = (0..<number(in: 0...3)).map { _ in pick(kept + also) }
      nominated.formUnion(names.map { $0.lowercased() })
      let list = names.map { recased($0) }.joined(separator: pick([",", ", ", " ,\t", ",,"]))
      fields.append((Field(recased("Connection"), list), false))
    }
    fields.shuffle(using: &self)
    return fields.map { field, isKept in
      (field, isKept && !nominated.contains(field.name.lowercased()))
    }
  }

  fileprivate mutating func recased(_ name: String) -> String {
    switch number(in: 0...3) {
    case 0: name.lowercased()
    case 1: name.uppercased()
    default: name
    }
  }

  /// Visible bytes, blanks inside, and what is not ASCII.
  private mutating func value() -> [UInt8] {
    let visible: [UInt8] = Array(0x21...0x7E) + [0x80, 0xC3, 0xFF]
    var value = (0..<number(in: 0...12)).map { _ in once(in: 6) ? pick([9, 32]) : pick(visible) }
    while let last = value.last, last == 9 || last == 32 { value.removeLast() }
    return Array(value.drop { $0 == 9 || $0 == 32 })
  }

  /// A field as someone may write it: blanks around the value.
  fileprivate mutating func spaced(_ field: Field) -> [UInt8] {
    Array("\(field.name):\(pick(["", " ", "\t ", "  "]))".utf8) + field.value
      + Array(pick(["\r\n", " \r\n", "\t\r\n"]).utf8)
  }

  fileprivate mutating func content() -> [UInt8] {
    let size = once(in: 12) ? 70_000 : number(in: 0...600)
    return (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
  }

  fileprivate mutating func chunked(_ content: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = content[...]
    while !rest.isEmpty {
      let piece = rest.prefix(number(in: 1...max(200, content.count / 3)))
      let size = String(piece.count, radix: 16, uppercase: once(in: 2))
      bytes += Array("\(size)\(once(in: 4) ? ";a=b" : "")\r\n".utf8) + piece + [13, 10]
      rest = rest.dropFirst(piece.count)
    }
    return bytes + Array("0\r\n\r\n".utf8)
  }
}
