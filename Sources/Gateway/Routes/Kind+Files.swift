import OAuth
import Wire

extension Kind where Value == FileReference {
  /// A path, relative to the file that names it.
  static var file: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      guard !text.bytes.contains(0) else { return setting.refused("expected a path") }
      let path = FilePath.resolve(text.string, namedIn: setting.place.file)
      return FileReference(path: path, place: setting.place)
    }
  }
}

extension Kind where Value == FileReference {
  /// The path of a file that must be there: its content is read when all else is right.
  static var inputFile: Kind {
    Kind(Kind.file.schema) { setting in
      guard let file = Kind.file.read(setting) else { return nil }
      setting.reading.note(file)
      return file
    }
  }
}

extension Kind where Value == FileReference {
  /// Such a file with the certificates of those who are believed.
  static var authorities: Kind {
    Kind(Kind.file.schema) { setting in
      guard let file = Kind.inputFile.read(setting) else { return nil }
      setting.reading.note(.authorities(file))
      return file
    }
  }
}

extension Kind where Value == Secret {
  /// `{"env": "NAME"}`, `{"file": "path"}` or, with a warning, the secret itself.
  static var secret: Kind {
    Kind(.oneOf([.read { _ = elsewhere($0) }, .string])) { setting in
      if let literal = setting.node.string {
        guard !literal.isEmpty else { return setting.refused("the secret is empty") }
        setting.reading.warn(
          setting.place,
          "a secret in the file itself; {\"env\": \"NAME\"} or {\"file\": \"path\"} keeps it out")
        return Secret(literal.bytes, origin: .literal)
      }
      guard setting.node.members != nil else {
        return setting.refused(
          "expected {\"env\": \"NAME\"} or {\"file\": \"path\"}, found \(setting.found)")
      }
      return elsewhere(setting)
    }
  }

  private static func elsewhere(_ setting: Setting) -> Secret? {
    ObjectReader.read(setting) { object in
      let name = object.optional("env", .text, "the environment variable that holds it")
      let file = object.optional("file", .file, "the file that holds it")
      switch (name, file) {
      case (let name?, nil): return Secret.read(name: name.string, setting)
      case (nil, let file?): return Secret.read(file, setting.reading)
      case (_?, _?): return setting.refused("expected \"env\" or \"file\", not both")
      case (nil, nil):
        if object.has("env") || object.has("file") { return nil }
        return setting.refused("expected {\"env\": \"NAME\"} or {\"file\": \"path\"}")
      }
    }
  }
}

extension Secret {
  /// A secret is a password or a key's text; a file longer than this is another file.
  private static let fileBytesMax = 64 << 10

  /// What stands for a secret that was not asked for: nobody may use it.
  private static let untaken = Array("‹not read›".utf8)

  fileprivate static func read(name: String, _ setting: Setting) -> Secret? {
    guard setting.reading.takesSecrets else {
      return Secret(untaken, origin: .environment(name: name))
    }
    guard let value = setting.reading.environment(name) else {
      return setting.refused("the environment variable \"\(name)\" is not set")
    }
    guard !value.isEmpty else {
      return setting.refused("the environment variable \"\(name)\" is empty")
    }
    return Secret(Array(value.utf8), origin: .environment(name: name))
  }

  fileprivate static func read(_ file: FileReference, _ reading: Reading) -> Secret? {
    guard reading.takesSecrets else { return Secret(untaken, origin: .file(file)) }
    do {
      var bytes = try reading.files.read(file.path, bytesMax: fileBytesMax)
      // One trailing newline is the editor's, not the secret's.
      if bytes.last == 0x0A {
        bytes.removeLast()
        if bytes.last == 0x0D { bytes.removeLast() }
      }
      guard !bytes.isEmpty else {
        reading.refuse(file.place, "the file \(file.path) is empty", suggestion: nil)
        return nil
      }
      return Secret(bytes, origin: .file(file))
    } catch {
      reading.refuse(file.place, "cannot read \(file.path): \(error)", suggestion: nil)
      return nil
    }
  }
}

extension Kind where Value == ClaimName {
  /// A top-level member's name or, beginning with `/`, a JSON Pointer.
  static var claim: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      return ClaimName(text)
        ?? setting.refused("not a JSON Pointer: \"~\" is written \"~0\" and \"/\" \"~1\"")
    }
  }
}
