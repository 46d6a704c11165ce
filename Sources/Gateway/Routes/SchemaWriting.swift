import OAuth
import Wire

extension RoutesFile {
  /// The JSON Schema of a routes file (draft 2020-12): every key with what it is for, its default
  /// and what it may be.
  package static var schema: [UInt8] {
    let reading = Reading(environment: { _ in nil }, files: NoFiles())
    reading.isDescribing = true
    reading.add(ConfigSource(file: "", bytes: [], secrets: [], base: 0))
    let place = ConfigPlace(file: "", range: 0..<0, key: "")
    let empty = Setting(
      node: JSONNode(value: .object([]), range: 0..<0), place: place, reading: reading)
    _ = ObjectReader.read(empty) { Configuration.read(&$0) }
    var json = JSONBuilder(isIndented: true)
    json.object { json in
      json.member("$schema", "https://json-schema.org/draft/2020-12/schema")
      json.member("title", "Tollgate's routes file")
      // Of Visual Studio Code: no part of JSON Schema, and ignored by others.
      json.member("allowComments", true)
      json.member("allowTrailingCommas", true)
      if let root = reading.described { SchemaWriter.write(root, required: true, to: &json) }
    }
    return json.bytes + [0x0A]
  }

  private struct NoFiles: FileSource {
    func read(_ path: String, bytesMax: Int) throws(FileFault) -> [UInt8] {
      throw FileFault("not read")
    }
  }
}

/// Writes a schema's members.
private enum SchemaWriter {
  /// - Parameter required: whether keys must be there that must be there in the file.
  static func write(
    _ object: ObjectSchema, required: Bool, without: Set<String> = [], to json: inout JSONBuilder
  ) {
    json.member("type", "object")
    json.object("properties") { json in
      for name in object.names where !without.contains(name) {
        guard let property = object.properties[name] else { continue }
        json.object(name) { json in write(property, required, to: &json) }
      }
    }
    let needed = object.names.filter { object.properties[$0]?.isRequired == true }
    if required, !needed.isEmpty {
      json.list("required") { json in for name in needed { json.value(name) } }
    }
    json.member("additionalProperties", false)
  }

  private static func write(
    _ property: ObjectSchema.Property, _ required: Bool, to json: inout JSONBuilder
  ) {
    json.member("description", property.purpose)
    if let standard = property.standard {
      json.name("default")
      json.raw(standard)
    } else if property.isNullable {
      json.name("default")
      json.null()
    }
    guard property.isNullable else { return write(property.schema, required, to: &json) }
    json.list("anyOf") { json in
      json.object { json in write(property.schema, required, to: &json) }
      json.object { json in json.member("type", "null") }
    }
  }

  private static func write(_ schema: Schema, _ required: Bool, to json: inout JSONBuilder) {
    switch schema {
    case .any, .read: break
    case .string: json.member("type", "string")
    case .pattern(let pattern):
      json.member("type", "string")
      json.member("pattern", pattern)
    case .words(let words):
      json.list("enum") { json in for word in words { json.value(word) } }
    case .boolean: json.member("type", "boolean")
    case .integer(let range):
      json.member("type", "integer")
      json.member("minimum", range.lowerBound)
      json.member("maximum", range.upperBound)
    case .number(let range):
      json.member("type", "number")
      json.member("minimum", range.lowerBound)
      json.member("maximum", range.upperBound)
    case .list(let element, let atLeastOne):
      json.list("anyOf") { json in
        json.object { json in
          json.member("type", "array")
          json.object("items") { json in write(element, required, to: &json) }
          if atLeastOne { json.member("minItems", 1) }
        }
        json.object { json in write(element, required, to: &json) }
      }
    case .array(let element):
      json.member("type", "array")
      json.object("items") { json in write(element, required, to: &json) }
    case .map(let entry):
      json.member("type", "object")
      json.object("additionalProperties") { json in write(entry, required, to: &json) }
    case .oneOf(let schemas):
      json.list("anyOf") { json in
        for schema in schemas { json.object { json in write(schema, required, to: &json) } }
      }
    case .constant(let value):
      json.name("const")
      json.raw(value)
    case .object(let object): write(object, required: required, to: &json)
    case .partial(.object(let object), let without):
      write(object, required: false, without: without, to: &json)
    case .partial(let schema, _): write(schema, false, to: &json)
    }
  }
}

extension Schema {
  /// With every object in it read.
  func resolved(_ setting: Setting) -> Schema {
    switch self {
    case .any, .string, .pattern, .words, .boolean, .integer, .number, .constant, .object: self
    case .list(let element, let atLeastOne):
      .list(element.resolved(setting), atLeastOne: atLeastOne)
    case .array(let element): .array(element.resolved(setting))
    case .map(let entry): .map(entry.resolved(setting))
    case .oneOf(let schemas): .oneOf(schemas.map { $0.resolved(setting) })
    case .partial(let schema, let without):
      .partial(schema.resolved(setting), without: without)
    case .read(let read): Self.describe(read, setting)
    }
  }

  private static func describe(_ read: (Setting) -> Void, _ setting: Setting) -> Schema {
    let empty = Setting(
      node: JSONNode(value: .object([]), range: setting.node.range), place: setting.place,
      reading: setting.reading)
    setting.reading.described = nil
    read(empty)
    return setting.reading.described.map { .object($0) } ?? .any
  }
}
