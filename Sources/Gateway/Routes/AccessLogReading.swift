import OAuth
import Wire

extension AccessLogSettings {
  static func read(_ object: inout ObjectReader) -> AccessLogSettings? {
    let output = object.optional(
      "path", .logOutput, default: Output.standardOutput, "a file, or \"-\"")
    let claims = object.optional(
      "claims", .list(.loggedClaim), default: standardClaims, "of the caller's token")
    let format = object.optional(
      "format", .logFormat(claims), default: Format.json, "how a line is written")
    let fields = object.optional(
      "fields", .list(.logField, atLeastOne: true), "those of a line; null: all")
    if object.has("fields"), !format.hasFields {
      object.reportAtName("fields", "this \"format\" says itself what a line has; leave it out")
    }
    let sample = object.optional("sample", .sample, "the part of the lines that is written")
    return AccessLogSettings(
      output: output, format: format, fields: Set(fields ?? AccessLogField.allCases),
      claims: claims, sample: sample)
  }

  private static let standardClaims = [
    LoggedClaim(claim: ClaimName(member: "client_id"), isHashed: false),
    LoggedClaim(claim: ClaimName(member: "sub"), isHashed: true),
  ]
}

extension AccessLogSettings.Format {
  /// Whether `fields` chooses what a line has.
  fileprivate var hasFields: Bool {
    switch self {
    case .json, .logfmt, .otel, .ecs: true
    case .combined, .template: false
    }
  }
}

extension Kind where Value == AccessLogField {
  fileprivate static var logField: Kind { .choice(AccessLogField.allCases.map { ($0.name, $0) }) }
}

extension Kind where Value == AccessLogSettings.Format {
  /// - Parameter claims: those that a template may name beside the fields.
  fileprivate static func logFormat(_ claims: [LoggedClaim]) -> Kind {
    Kind(
      .oneOf([.words(["json", "logfmt", "combined", "otel", "ecs"]), .pattern("\\{")]),
      written: { $0 == .json ? "\"json\"" : nil }
    ) { setting in
      guard let text = setting.node.string, text.bytes.contains(UInt8(ascii: "{")) else {
        return Kind.choice([
          ("json", .json), ("logfmt", .logfmt), ("combined", .combined), ("otel", .otel),
          ("ecs", .ecs),
        ]).read(setting)
      }
      return template(text.bytes, claims, setting).map { .template($0) }
    }
  }

  private static func template(
    _ text: [UInt8], _ claims: [LoggedClaim], _ setting: Setting
  ) -> [AccessLogSettings.TemplatePart]? {
    var parts: [AccessLogSettings.TemplatePart] = []
    var plain: [UInt8] = []
    var rest = text[...]
    while let byte = rest.popFirst() {
      if byte == rest.first, byte == UInt8(ascii: "{") || byte == UInt8(ascii: "}") {
        plain.append(byte)
        rest.removeFirst()
        continue
      }
      guard byte != UInt8(ascii: "}") else {
        return setting.refused("a \"}\" without a \"{\"; a brace itself is written twice")
      }
      guard byte == UInt8(ascii: "{") else {
        if byte < 0x20 || byte == 0x7F {
          return setting.refused("a line of the log holds no control characters")
        }
        plain.append(byte)
        continue
      }
      guard let end = rest.firstIndex(of: UInt8(ascii: "}")) else {
        return setting.refused("a \"{\" without a \"}\"; a brace itself is written twice")
      }
      let name = Array(rest[..<end])
      rest = rest[(end + 1)...]
      if !plain.isEmpty { parts.append(.text(plain)) }
      plain = []
      let word = String(decoding: name, as: UTF8.self)
      if let field = AccessLogField(name: word), field != .claims {
        parts.append(.field(field))
      } else if claims.contains(where: { $0.claim.text.bytes == name }) {
        parts.append(.claim(name))
      } else {
        let known =
          AccessLogField.allCases.filter { $0 != .claims }.map(\.name)
          + claims.map(\.claim.text.string)
        return setting.refused(
          "there is no field of the name in one of the braces",
          suggestion: Spelling.nearest(to: word, among: known))
      }
    }
    if !plain.isEmpty { parts.append(.text(plain)) }
    return parts
  }
}

extension Kind where Value == AccessLogSettings.Sample {
  fileprivate static var sample: Kind {
    Kind(.map(.number(0...1))) { setting in
      let entries = Kind<[(Int, Bool, Double)]>.entries { name, value in
        let text = Array((name.node.string ?? "").bytes)
        let rate = Kind<Double>.fraction(0...1).read(value)
        guard text.count == 3, (UInt8(ascii: "1")...UInt8(ascii: "5")).contains(text[0]) else {
          return name.refused("expected a class of statuses (\"2xx\") or a status (\"404\")")
        }
        if text[1...] == Array("xx".utf8)[...] {
          return rate.map { (Int(text[0] - UInt8(ascii: "0")), true, $0) }
        }
        guard let status = Int(String(decoding: text, as: UTF8.self)) else {
          return name.refused("expected a class of statuses (\"2xx\") or a status (\"404\")")
        }
        return rate.map { (status, false, $0) }
      }
      guard let list = entries.read(setting) else { return nil }
      var sample = AccessLogSettings.Sample()
      for (number, isClass, rate) in list {
        if isClass { sample.classes[number] = rate } else { sample.statuses[number] = rate }
      }
      return sample
    }
  }
}

extension Kind where Value == AccessLogSettings.Output {
  fileprivate static var logOutput: Kind {
    Kind(.string, written: { $0 == .standardOutput ? "\"-\"" : nil }) { setting in
      if setting.node.string == "-" { return .standardOutput }
      return Kind<FileReference>.file.read(setting).map { .file($0) }
    }
  }
}

extension Kind where Value == LoggedClaim {
  fileprivate static var loggedClaim: Kind {
    Kind(
      .oneOf([.string, .read { _ = hashed($0) }]),
      written: { logged in
        let name = Words.json(logged.claim.text)
        return logged.isHashed ? "{\"hash\": \(name)}" : name
      }
    ) { setting in
      if setting.node.members == nil {
        return Kind<ClaimName>.claim.read(setting).map { LoggedClaim(claim: $0, isHashed: false) }
      }
      return hashed(setting)
    }
  }

  private static func hashed(_ setting: Setting) -> LoggedClaim? {
    ObjectReader.read(setting) { object in
      object.required("hash", .claim, "the claim whose digest is logged").map {
        LoggedClaim(claim: $0, isHashed: true)
      }
    }
  }
}
