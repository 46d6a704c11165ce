import Wire

/// What a key's value may be, and how it is read. Reading reports whatever is wrong with the value
/// and then answers nil.
struct Kind<Value> {
  /// For editors.
  let schema: Schema
  let read: (Setting) -> Value?
  /// A value as JSON, for those who look for a default; nil where it is not said.
  let written: (Value) -> String?

  init(
    _ schema: Schema = .any, written: @escaping (Value) -> String? = { _ in nil },
    read: @escaping (Setting) -> Value?
  ) {
    self.schema = schema
    self.written = written
    self.read = read
  }
}

extension Kind where Value == UTF8Text {
  /// Text that says something.
  static var text: Kind {
    Kind(.string, written: { Words.json($0) }) { setting in
      guard let text = setting.node.string else {
        return setting.refused("expected text, found \(setting.found)")
      }
      guard !text.isEmpty else { return setting.refused("expected text, found an empty string") }
      return text
    }
  }

  /// Text that may be empty.
  static var anyText: Kind {
    Kind(.string, written: { Words.json($0) }) { setting in
      setting.node.string ?? setting.refused("expected text, found \(setting.found)")
    }
  }
}

extension Kind where Value == Bool {
  static var bool: Kind {
    Kind(.boolean, written: { "\($0)" }) { setting in
      setting.node.bool ?? setting.refused("expected true or false, found \(setting.found)")
    }
  }
}

extension Kind where Value == Int {
  /// A whole number.
  static func integer(_ range: ClosedRange<Int>) -> Kind {
    Kind(.integer(range), written: { "\($0)" }) { setting in
      guard let number = setting.node.number else {
        return setting.refused("expected a whole number, found \(setting.found)")
      }
      guard let integer = number.integer, let value = Int(exactly: integer), range.contains(value)
      else {
        return setting.refused(
          "expected a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      return value
    }
  }
}

extension Kind where Value == Double {
  /// A part of a whole.
  static func fraction(_ range: ClosedRange<Double>) -> Kind {
    Kind(.number(range), written: { "\($0)" }) { setting in
      guard let number = setting.node.number else {
        return setting.refused("expected a number, found \(setting.found)")
      }
      guard let value = number.double, range.contains(value) else {
        return setting.refused(
          "expected a number from \(range.lowerBound) to \(range.upperBound)")
      }
      return value
    }
  }
}

extension Kind {
  /// One of several words. Those in `later` are named by ROUTES.md and not built yet.
  static func choice(_ words: [(String, Value)], later: [String] = []) -> Kind {
    Kind(
      .words(words.map(\.0)),
      written: { value in
        words.first { "\($0.1)" == "\(value)" }.map { Words.json(UTF8Text($0.0)) }
      }
    ) { setting in
      let names = words.map(\.0)
      let expected = "expected \(Words.anyOf(names))"
      guard let text = setting.node.string else {
        return setting.refused("\(expected), found \(setting.found)")
      }
      if let word = words.first(where: { UTF8Text($0.0) == text }) { return word.1 }
      if later.contains(where: { UTF8Text($0) == text }) {
        return setting.refused("\"\(text)\" is not supported yet")
      }
      return setting.refused(
        expected, suggestion: Spelling.nearest(to: text.string, among: names + later))
    }
  }

  /// One of an enum's words.
  static func choice(later: [String] = []) -> Kind
  where Value: CaseIterable & RawRepresentable<String> {
    .choice(Value.allCases.map { ($0.rawValue, $0) }, later: later)
  }

  /// A list; one text alone is a list of one.
  static func list<Element>(_ element: Kind<Element>, atLeastOne: Bool = false) -> Kind
  where Value == [Element] {
    Kind(
      .list(element.schema, atLeastOne: atLeastOne),
      written: { complete($0.map(element.written)).map { "[\($0.joined(separator: ", "))]" } }
    ) { setting in
      guard let nodes = setting.node.elements else {
        guard setting.node.string != nil else {
          return setting.refused("expected a list, found \(setting.found)")
        }
        return element.read(setting).map { [$0] }
      }
      if atLeastOne, nodes.isEmpty { return setting.refused("expected at least one") }
      return complete(nodes.indices.map { element.read(setting.element($0, nodes[$0])) })
    }
  }

  /// An object with keys of its own.
  static func object(_ body: @escaping (inout ObjectReader) -> Value?) -> Kind {
    Kind(.read { _ = ObjectReader.read($0, body) }) { setting in
      ObjectReader.read(setting, body)
    }
  }

  /// An object whose names are the operator's. An entry that can't be read is nil, so that those
  /// after it keep their places.
  ///
  /// - Parameter schema: of the entries, where `body` reads no object.
  static func slots<Entry>(
    of schema: Schema? = nil, _ body: @escaping (_ name: Setting, _ value: Setting) -> Entry?
  ) -> Kind where Value == [Entry?] {
    Kind(.map(schema ?? .read { _ = body($0.nameless, $0) })) { setting in
      guard let members = setting.node.members else {
        return setting.refused("expected an object, found \(setting.found)")
      }
      return members.map { member in
        let name = setting.name(of: member)
        guard !member.name.isEmpty else { return name.refused("expected a name, found none") }
        return body(name, setting.member(member))
      }
    }
  }

  /// The same, nil as a whole where any entry is.
  static func entries<Entry>(
    of schema: Schema? = nil, _ body: @escaping (_ name: Setting, _ value: Setting) -> Entry?
  ) -> Kind where Value == [Entry] {
    let slots = Kind<[Entry?]>.slots(of: schema, body)
    return Kind(slots.schema) { setting in slots.read(setting).flatMap(complete) }
  }
}

/// The elements, where all of them are there.
func complete<Element>(_ elements: [Element?]) -> [Element]? {
  elements.contains { $0 == nil } ? nil : elements.compactMap(\.self)
}

/// Words for messages.
enum Words {
  /// Text as JSON.
  static func json(_ text: UTF8Text) -> String {
    var bytes: [UInt8] = []
    JSONWriter.appendString(text, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// `"a"`, `"a" or "b"`, `"a", "b" or "c"`.
  static func anyOf(_ words: [String]) -> String {
    let quoted = words.map { "\"\($0)\"" }
    guard quoted.count > 1, let last = quoted.last else { return quoted.joined() }
    return "\(quoted.dropLast().joined(separator: ", ")) or \(last)"
  }
}
