import OAuth
package import Wire

/// A text of the routes file with parts that each request fills in: `{claim:NAME}`,
/// `{path:NAME}`, `{request:id}`, `{request:host}`, `{tls:subject}`; `{{` is a brace.
///
/// It is taken apart when the file is loaded. Where a part says nothing (a claim that the token
/// lacks), the whole text says nothing.
package struct Template: Hashable, Sendable {
  package enum Part: Hashable, Sendable {
    case text([UInt8])
    case claim(ClaimName)
    /// A segment of the path, counted from 0.
    case path(segment: Int)
    case requestID
    /// The host that was asked for, without its port.
    case requestHost
    /// The subject of the caller's certificate.
    case tlsSubject
  }

  package let parts: [Part]

  /// Its bytes, where no request changes them.
  package var constant: [UInt8]? {
    switch parts.count {
    case 0: return []
    case 1: if case .text(let bytes) = parts[0] { return bytes }
    default: break
    }
    return nil
  }
}

/// What a route's templates may refer to.
struct TemplateContext {
  /// nil where something is wrong with it.
  let path: PathPattern?
  /// Whether its requests bear no token.
  let isPublic: Bool
  /// The route's key, for messages: `routes[2]`.
  let route: String
}

extension Template {
  private enum Fault: Error {
    case unclosed
    case unknown(String)
    case pointer(String)
    case noToken(String)
    case noSegment(String, of: [String])
  }

  /// Reads a text, which a field's value or a URL is; reports what is wrong with it.
  static func read(_ setting: Setting, _ context: TemplateContext) -> Template? {
    guard let text = Kind<UTF8Text>.anyText.read(setting) else { return nil }
    do throws(Fault) {
      return try Template(text.bytes, context)
    } catch {
      switch error {
      case .unclosed:
        return setting.refused("a brace is never closed; a literal one is written \"{{\"")
      case .unknown(let name):
        return setting.refused(
          "there is no {\(name)}; \"{{\" is a literal brace. Known: {claim:NAME}, {path:NAME}, "
            + "{request:id}, {request:host}, {tls:subject}",
          suggestion: meant(by: name, context).flatMap { $0 == name ? nil : "{\($0)}" })
      case .pointer(let name):
        return setting.refused(
          "{claim:\(name)} is not a JSON Pointer: \"~\" is written \"~0\" and \"/\" \"~1\"")
      case .noToken(let name):
        return setting.refused(
          "\(context.route) is public: no token has been verified, so there is no {\(name)}")
      case .noSegment(let name, let names):
        return setting.refused(
          "match.path has no {\(name)}",
          suggestion: Spelling.nearest(to: name, among: names).map { "{path:\($0)}" })
      }
    }
  }

  /// A word without a kind is a part of the path where that has one so named, else a claim.
  private static func meant(by name: String, _ context: TemplateContext) -> String? {
    guard let colon = name.firstIndex(of: ":") else {
      let isPart = context.path?.segments.contains(.parameter(name)) == true
      if isPart { return "path:\(name)" }
      if let nearest = Spelling.nearest(to: name, among: known) { return nearest }
      if let request = known.first(where: { $0.hasSuffix(":\(name)") }) { return request }
      guard FieldText.isToken(UTF8Text(name)), !context.isPublic else { return nil }
      // `claim.sub`, as other languages of templates have it.
      for front in ["claim.", "claims."] where name.hasPrefix(front) && name.count > front.count {
        return "claim:\(name.dropFirst(front.count))"
      }
      return "claim:\(name)"
    }
    let kind = Spelling.nearest(to: String(name[..<colon]), among: ["claim", "path"])
    return kind.map { $0 + name[colon...] } ?? Spelling.nearest(to: name, among: known)
  }

  private static let known = ["request:id", "request:host", "tls:subject"]

  private init(_ text: [UInt8], _ context: TemplateContext) throws(Fault) {
    var parts: [Part] = []
    var plain: [UInt8] = []
    var index = 0
    let open = UInt8(ascii: "{")
    while index < text.count {
      let byte = text[index]
      index += 1
      guard byte == open else {
        plain.append(byte)
        continue
      }
      if index < text.count, text[index] == open {
        plain.append(open)
        index += 1
        continue
      }
      guard let end = text[index...].firstIndex(of: UInt8(ascii: "}")) else { throw .unclosed }
      if !plain.isEmpty { parts.append(.text(plain)) }
      plain = []
      parts.append(try Self.part(Array(text[index..<end]), context))
      index = end + 1
    }
    if !plain.isEmpty { parts.append(.text(plain)) }
    self.parts = parts
  }

  private static func part(
    _ bytes: [UInt8], _ context: TemplateContext
  ) throws(Fault) -> Part {
    let name = String(decoding: bytes, as: UTF8.self)
    switch name {
    case "request:id": return .requestID
    case "request:host": return .requestHost
    case "tls:subject": return .tlsSubject
    default: break
    }
    if bytes.starts(with: "claim:".utf8), bytes.count > 6 {
      if context.isPublic { throw .noToken(name) }
      let text = UTF8Text(Array(bytes[6...]))
      guard let claim = ClaimName(text) else { throw .pointer(text.string) }
      return .claim(claim)
    }
    if bytes.starts(with: "path:".utf8), bytes.count > 5 {
      // A path that could not be read is its own mistake.
      guard let path = context.path else { return .path(segment: 0) }
      let wanted = String(decoding: bytes[5...], as: UTF8.self)
      if let segment = path.segments.firstIndex(of: .parameter(wanted)) {
        return .path(segment: segment)
      }
      let names = path.segments.compactMap { segment -> String? in
        if case .parameter(let name) = segment { name } else { nil }
      }
      throw .noSegment(wanted, of: names)
    }
    throw .unknown(name)
  }
}
