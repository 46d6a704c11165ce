import Wire

/// The names that other keys may refer to, in the file's order.
struct Names {
  /// What one of them is called: "issuer".
  let noun: String
  private let names: [UTF8Text?]
  private let indexes: [UTF8Text: Int]

  /// - Parameter names: nil for what has no name.
  init(_ noun: String, _ names: [UTF8Text?]) {
    self.noun = noun
    self.names = names
    let named = names.enumerated().compactMap { index, name in name.map { ($0, index) } }
    indexes = Dictionary(named) { first, _ in first }
  }

  /// The names of an object's members.
  init(_ noun: String, membersOf setting: Setting?) {
    self.init(noun, setting?.node.members?.map(\.name) ?? [])
  }

  var count: Int { names.count }

  /// Those at some indexes in a sentence.
  func list(of indexes: [Int]) -> String {
    Words.anyOf(indexes.compactMap { names[$0]?.string })
  }

  func index(of name: UTF8Text) -> Int? { indexes[name] }

  /// The index of the name that a setting holds; an unknown one is reported.
  func index(of setting: Setting) -> Int? {
    guard let name = Kind<UTF8Text>.text.read(setting) else { return nil }
    return index(of: name)
      ?? setting.refused(
        "there is no \(noun) of this name",
        suggestion: Spelling.nearest(
          to: name.string, among: names.lazy.compactMap(\.self).map(\.string)))
  }

  /// A name of the file in place of itself.
  var kind: Kind<Int> {
    Kind(.string) { index(of: $0) }
  }
}
