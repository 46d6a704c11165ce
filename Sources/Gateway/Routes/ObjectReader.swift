import OAuth
import Wire

/// Reads one object of the file, key by key. The keys that are asked for are the keys that exist:
/// each is said once, with its type, its default and what it is for, and at the end whatever was
/// not asked for is unknown.
struct ObjectReader {
  let setting: Setting
  private let members: [JSONMember]
  private var known: [String] = []
  private var missing: [(name: String, purpose: String)] = []
  private var described = ObjectSchema()

  /// Nil where the value is no object, which is reported.
  init?(_ setting: Setting) {
    guard let members = setting.node.members else {
      setting.refuse("expected an object, found \(setting.found)")
      return nil
    }
    self.setting = setting
    self.members = members
  }

  /// Reads an object to its end.
  static func read<Value>(
    _ setting: Setting, _ body: (inout ObjectReader) -> Value?
  ) -> Value? {
    guard var reader = ObjectReader(setting) else { return nil }
    let value = body(&reader)
    if setting.reading.isDescribing {
      setting.reading.described = reader.described
    } else {
      reader.refuseUnknownAndMissing()
    }
    return value
  }

  /// A key that must be there.
  mutating func required<Value>(_ name: String, _ kind: Kind<Value>, _ purpose: String) -> Value? {
    describe(name, .init(schema: kind.schema, purpose: purpose, isRequired: true))
    guard let value = find(name) else {
      refuseMissing(name, purpose)
      return nil
    }
    return kind.read(value)
  }

  /// A key with a default.
  mutating func optional<Value>(
    _ name: String, _ kind: Kind<Value>, default: Value, _ purpose: String
  ) -> Value {
    describe(
      name, .init(schema: kind.schema, purpose: purpose, standard: kind.written(`default`)))
    guard let value = find(name) else { return `default` }
    return kind.read(value) ?? `default`
  }

  /// A key that may be left out, or null.
  mutating func optional<Value>(
    _ name: String, _ kind: Kind<Value>, _ purpose: String
  ) -> Value? {
    describe(name, .init(schema: kind.schema, purpose: purpose, isNullable: true))
    guard let value = find(name), !value.node.isNull else { return nil }
    return kind.read(value)
  }

  /// An object all of whose keys have defaults: left out, it is read as an empty one.
  mutating func section<Value>(
    _ name: String, _ purpose: String, _ body: (inout ObjectReader) -> Value?
  ) -> Value? {
    let value = ObjectReader.read(find(name) ?? absent(name), body)
    if let object = setting.reading.described {
      describe(name, .init(schema: .object(object), purpose: purpose))
    }
    return value
  }

  /// A key that something else reads.
  mutating func describe(_ name: String, _ schema: Schema, _ purpose: String) {
    describe(name, .init(schema: schema, purpose: purpose))
  }

  /// Says of a key that was asked for that it may also have another kind of value.
  mutating func describe(_ name: String, orElse schema: Schema) {
    if setting.reading.isDescribing { described.allow(schema, for: name) }
  }

  private mutating func describe(_ name: String, _ property: ObjectSchema.Property) {
    guard setting.reading.isDescribing else { return }
    var property = property
    property.schema = property.schema.resolved(setting)
    described.add(name, property)
  }

  /// A key that ROUTES.md names and that is not built yet: only its default is taken.
  mutating func later(_ name: String, default: JSONValue = .null, _ purpose: String) {
    describe(name, .constant(`default` == .bool(false) ? "false" : "null"), purpose)
    later(name, taking: { $0.value == `default` }, purpose)
  }

  /// The same where the default has several spellings.
  mutating func later(_ name: String, taking isDefault: (JSONNode) -> Bool, _ purpose: String) {
    guard let value = find(name), !isDefault(value.node) else { return }
    reportAtName(name, "not supported yet")
  }

  /// The value of a key, noted as known.
  mutating func find(_ name: String) -> Setting? {
    if !known.contains(name) { known.append(name) }
    return member(name).map(setting.member)
  }

  /// Whether the key says something: null doesn't.
  func has(_ name: String) -> Bool { member(name).map { !$0.node.isNull } ?? false }

  /// The text that a key has, if it is text.
  func text(_ name: String) -> UTF8Text? { member(name)?.node.string }

  /// Complains that a key is missing, unless an unknown one turns out to be a misspelling of it.
  mutating func refuseMissing(_ name: String, _ purpose: String) {
    missing.append((name, purpose))
  }

  /// Complains about a key that should not be there.
  func reportAtName(_ name: String, _ message: String) {
    guard let member = member(name) else { return }
    setting.name(of: member).refuse(message)
  }

  private func member(_ name: String) -> JSONMember? {
    let name = UTF8Text(name)
    return members.first { $0.name == name }
  }

  /// What stands for a key that isn't there: an empty object at this one's opening brace.
  private func absent(_ name: String) -> Setting {
    let start = setting.place.range.lowerBound
    let end = min(start + 1, setting.place.range.upperBound)
    let place = ConfigPlace(
      file: setting.place.file, range: start..<end,
      key: Setting.key(setting.place.key, UTF8Text(name)))
    return Setting(
      node: JSONNode(value: .object([]), range: place.range), place: place,
      reading: setting.reading)
  }

  /// Complains about every key that was not asked for, and about those that were and aren't there:
  /// the latter at the object's opening brace, which is all there is.
  private func refuseUnknownAndMissing() {
    let names = Set(known.map { UTF8Text($0) })
    var meant: Set<String> = []
    let free = known.filter { member($0) == nil }
    for member in members where !names.contains(member.name) {
      if let home = Synonyms.home(of: member.name.string, among: known) {
        meant.insert(home)
        setting.name(of: member).refuse("unknown key here; it belongs in \"\(home)\"")
        continue
      }
      let nearest =
        Spelling.nearest(to: member.name.string, among: free)
        ?? Synonyms.meant(by: member.name.string, among: free)
        ?? Spelling.nearest(to: member.name.string, among: known)
      if let nearest { meant.insert(nearest) }
      let keys = nearest == nil ? "; known here: \(known.joined(separator: ", "))" : ""
      setting.name(of: member).refuse("unknown key\(keys)", suggestion: nearest)
    }
    for (name, purpose) in missing where !meant.contains(name) {
      setting.reading.refuse(absent(name).place, "missing; \(purpose)", suggestion: nil)
    }
  }
}
