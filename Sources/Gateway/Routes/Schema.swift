/// What a value of a routes file may be, for editors: the part of JSON Schema that is needed.
///
/// Each `Kind` has one beside what reads it, and objects get theirs from the very calls that read
/// their keys, so the two can't say different things.
indirect enum Schema {
  case any
  case string
  /// Text of that form (ECMA-262, as JSON Schema has it).
  case pattern(String)
  /// One of several texts.
  case words([String])
  case boolean
  case integer(ClosedRange<Int>)
  case number(ClosedRange<Double>)
  /// A list; one value alone is a list of one.
  case list(Schema, atLeastOne: Bool)
  /// A list and nothing else.
  case array(Schema)
  /// An object whose names are the operator's.
  case map(Schema)
  case oneOf([Schema])
  /// The one value that is taken so far, as JSON.
  case constant(String)
  /// An object, described by reading an empty one.
  case read((Setting) -> Void)
  /// The same, once it was read.
  case object(ObjectSchema)
  /// An object of which every key may be left out, and these must be.
  case partial(Schema, without: Set<String>)
}

/// The keys of one object, in the order in which they are asked for.
struct ObjectSchema {
  struct Property {
    var schema: Schema
    let purpose: String
    var isRequired = false
    /// Whether null stands for its absence.
    var isNullable = false
    /// As JSON.
    var standard: String?
  }

  private(set) var names: [String] = []
  private(set) var properties: [String: Property] = [:]

  mutating func add(_ name: String, _ property: Property) {
    if properties[name] == nil { names.append(name) }
    properties[name] = property
  }

  /// Says that a key may also have a value of another kind.
  mutating func allow(_ schema: Schema, for name: String) {
    guard let property = properties[name] else { return }
    properties[name]?.schema = .oneOf([schema, property.schema])
  }
}
