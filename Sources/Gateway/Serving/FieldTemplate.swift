import HTTP
import OAuth
import Reactor
import Wire

/// A claim that something is made of, by its number among all of the file's.
final class FieldClaim {
  let name: ClaimName
  let index: Int

  private init(_ name: ClaimName, index: Int) {
    self.name = name
    self.index = index
  }

  /// Those of one routes file: who names the same claim shares its number.
  struct Table {
    private var known: [ClaimName: FieldClaim] = [:]

    mutating func claim(_ name: ClaimName) -> FieldClaim {
      if let same = known[name] { return same }
      let made = FieldClaim(name, index: known.count)
      known[name] = made
      return made
    }
  }
}

/// What a token's claims say in fields, each worked out when it is first wanted.
struct ClaimFields {
  private enum Value {
    case unasked
    case absent
    case text([UInt8])
  }

  private var values: [Value] = []

  /// The claim's value; nil where there is none, or it is no text, number, true or false.
  mutating func value(of claim: FieldClaim, in token: VerifiedToken) -> [UInt8]? {
    while values.count <= claim.index { values.append(.unasked) }
    switch values[claim.index] {
    case .absent: return nil
    case .text(let text): return text
    case .unasked: break
    }
    guard let text = claim.name.value(in: token.claims)?.claimText else {
      values[claim.index] = .absent
      return nil
    }
    let encoded = FieldEncoding.encode(text)
    values[claim.index] = .text(encoded)
    return encoded
  }
}

extension JSONNode {
  /// What a claim of one value says, for a field or the log; nil for what is not one value.
  var claimText: [UInt8]? {
    switch value {
    case .string(let text): text.bytes
    case .number(let number): number.text.bytes
    case .bool(let flag): Array((flag ? "true" : "false").utf8)
    case .null, .array, .object: nil
    }
  }
}

/// How a value that somebody else decides about stands in a field.
enum FieldEncoding {
  /// What is not visible ASCII is percent-encoded, and so is `%` itself, so that a value means one
  /// thing.
  static func encode(_ value: [UInt8]) -> [UInt8] {
    if value.allSatisfy(isPlain) { return value }
    var encoded: [UInt8] = []
    encoded.reserveCapacity(value.count + 16)
    for byte in value {
      if isPlain(byte) {
        encoded.append(byte)
      } else {
        PercentEncoding.appendEscape(of: byte, to: &encoded)
      }
    }
    return encoded
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    byte &- 0x21 < 0x7F - 0x21 && byte != UInt8(ascii: "%")
  }
}

/// A template as one worker fills it in.
struct FieldTemplate {
  private enum Part {
    case text([UInt8])
    case claim(FieldClaim)
    case path(segment: Int)
    case requestID
    case requestHost
    case tlsSubject
  }

  private let parts: [Part]

  init(_ template: Template, _ claims: inout FieldClaim.Table) {
    var parts: [Part] = []
    for part in template.parts {
      switch part {
      case .text(let text): parts.append(.text(text))
      case .claim(let name): parts.append(.claim(claims.claim(name)))
      case .path(let segment): parts.append(.path(segment: segment))
      case .requestID: parts.append(.requestID)
      case .requestHost: parts.append(.requestHost)
      case .tlsSubject: parts.append(.tlsSubject)
      }
    }
    self.parts = parts
  }

  /// What it says of a request; nil where a part of it says nothing.
  ///
  /// - Parameter isURL: whether it is a part of a URL, whose delimiters no value may be.
  func filled(for request: Request, isURL: Bool = false) -> [UInt8]? {
    var text: [UInt8] = []
    for part in parts {
      switch part {
      case .text(let plain): text += plain
      case .claim(let claim):
        guard let value = request.record.caller?.field(claim) else { return nil }
        text += isURL ? Self.withoutDelimiters(value) : value
      case .path(let segment):
        // As it stands in the path that was matched, its escapes included.
        guard let value = Self.segment(segment, of: request.path.merged) else { return nil }
        text += value
      case .requestID: text += request.id
      case .requestHost:
        if request.host.isEmpty { return nil }
        text +=
          request.host.contains(UInt8(ascii: ":"))
          ? [UInt8(ascii: "[")] + request.host + [UInt8(ascii: "]")] : request.host
      case .tlsSubject:
        // What a proxy has shown says nothing about whoever is behind it.
        guard !request.peer.isTrusted,
          let subject = request.tlsSubject,
          !subject.isEmpty
        else { return nil }
        let value = FieldEncoding.encode(subject)
        text += isURL ? Self.withoutDelimiters(value) : value
      }
    }
    return text
  }

  /// A value for a field, whose only `%` are those of escapes, for a URL.
  private static func withoutDelimiters(_ value: [UInt8]) -> [UInt8] {
    var escaped: [UInt8] = []
    for byte in value {
      if ByteClass.isUnreserved(byte) || byte == UInt8(ascii: "%") {
        escaped.append(byte)
      } else {
        PercentEncoding.appendEscape(of: byte, to: &escaped)
      }
    }
    return escaped
  }

  /// A segment of a path without empty ones, counted from 0.
  private static func segment(_ number: Int, of path: [UInt8]) -> ArraySlice<UInt8>? {
    var start = 1
    for _ in 0..<number {
      guard let slash = path[min(start, path.count)...].firstIndex(of: UInt8(ascii: "/")) else {
        return nil
      }
      start = slash + 1
    }
    guard start < path.count else { return nil }
    let rest = path[start...]
    return rest[..<(rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex)]
  }
}
