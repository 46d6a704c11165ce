import Wire

/// Patterns of paths, to make a `PathTree` of.
///
/// What a pattern stands for are numbers, given by who fills it in; several patterns of the same
/// form share one place.
struct PathPatterns {
  /// One segment of a pattern.
  enum Segment: Equatable {
    case literal([UInt8])
    case parameter
    /// The rest of the path, also none of it; the last segment of a pattern.
    case rest
  }

  fileprivate struct Node {
    var literals: [(bytes: [UInt8], node: Int)] = []
    /// By the literal's bytes, its place in `literals`.
    var index: [[UInt8]: Int] = [:]
    var parameter: Int?
    var exact: [Int] = []
    var rest: [Int] = []
  }

  fileprivate var nodes = [Node()]
  let ignoresCase: Bool

  /// - Parameter ignoringCase: ASCII letters are compared without case.
  init(ignoringCase: Bool = false) { ignoresCase = ignoringCase }

  /// Adds a pattern that stands for `value`.
  mutating func insert(_ pattern: [Segment], value: Int) {
    var node = 0
    for segment in pattern {
      switch segment {
      case .literal(let bytes):
        node = child(of: node, ignoresCase ? bytes.map(ByteClass.lowercased) : bytes)
      case .parameter:
        if let next = nodes[node].parameter {
          node = next
        } else {
          nodes.append(Node())
          nodes[node].parameter = nodes.count - 1
          node = nodes.count - 1
        }
      case .rest:
        nodes[node].rest.append(value)
        return
      }
    }
    nodes[node].exact.append(value)
  }

  private mutating func child(of parent: Int, _ bytes: [UInt8]) -> Int {
    if let known = nodes[parent].index[bytes] { return nodes[parent].literals[known].node }
    nodes.append(Node())
    nodes[parent].index[bytes] = nodes[parent].literals.count
    nodes[parent].literals.append((bytes, nodes.count - 1))
    return nodes.count - 1
  }
}

/// Patterns of paths, arranged so that the most specific one that holds a path is found segment by
/// segment from the left: a literal before a parameter before `*` (ROUTES.md, "Matching").
///
/// Ten thousand patterns should cost what ten do. A literal among many is found by its hash; and
/// because what is left then is waiting for memory, all that one pattern has lies side by side. A
/// node is a record of words:
///
///     bytes of its label · the label, four to a word · literals below · how many slots those
///     have · the parameter below · how many exact values · how many of the rest · those values
///
/// One literal below is its record's place, several are a place in `slots`; 0 says none, for there
/// the root is.
final class PathTree {
  private let words: [UInt32]
  /// Open addressing, at most half of it taken: a label's hash, and its record's place.
  private let slots: [UInt64]
  private let ignoresCase: Bool

  /// What follows a label.
  private enum Offset {
    static let literals = 0
    static let slotCount = 1
    static let parameter = 2
    static let exactCount = 3
    static let restCount = 4
    static let values = 5
  }

  init(_ patterns: PathPatterns) {
    ignoresCase = patterns.ignoresCase
    var maker = Maker()
    _ = maker.add(0, label: [], of: patterns)
    words = maker.words
    slots = maker.slots
  }

  /// Where the values of the most specific pattern stand that holds `path`, which begins with "/".
  ///
  /// An exact pattern also holds its path with a slash more; `/orders/*` also holds `/orders`.
  ///
  /// - Parameter accept: whether a pattern with these values counts at all.
  func find(_ path: Span<UInt8>, where accept: (Range<Int>) -> Bool) -> Range<Int>? {
    find(path, from: 1, at: 0, accept)
  }

  /// The value that stands at a place.
  subscript(place: Int) -> Int { Int(words[place]) }

  /// Depth first; the depth is that of the deepest pattern, not the path's.
  private func find(
    _ path: Span<UInt8>, from start: Int, at record: Int, _ accept: (Range<Int>) -> Bool
  ) -> Range<Int>? {
    let node = record &+ 1 &+ (Int(words[record]) &+ 3) / 4
    let exactStart = node &+ Offset.values
    let restStart = exactStart &+ Int(words[node &+ Offset.exactCount])
    if start >= path.count {
      // The path is used up; or it ended with a slash.
      let exact = exactStart..<restStart
      if !exact.isEmpty, accept(exact) { return exact }
    } else {
      var end = start
      var hash = Self.hashStart
      while end < path.count, path[end] != UInt8(ascii: "/") {
        hash = Self.mixed(hash, folded(path[end]))
        end &+= 1
      }
      if let next = literal(path, start..<end, Self.short(hash), below: node),
        let found = find(path, from: end + 1, at: next, accept)
      {
        return found
      }
      let parameter = Int(words[node &+ Offset.parameter])
      if end > start, parameter > 0,
        let found = find(path, from: end + 1, at: parameter, accept)
      {
        return found
      }
    }
    let rest = restStart..<(restStart &+ Int(words[node &+ Offset.restCount]))
    return !rest.isEmpty && accept(rest) ? rest : nil
  }

  private func literal(
    _ path: Span<UInt8>, _ range: Range<Int>, _ hash: UInt32, below node: Int
  ) -> Int? {
    let first = Int(words[node &+ Offset.literals])
    let count = Int(words[node &+ Offset.slotCount])
    if count == 0 {
      return first > 0 && isLabel(of: first, path, range) ? first : nil
    }
    var place = Int(hash) & (count &- 1)
    while true {
      let slot = slots[first &+ place]
      if slot == 0 { return nil }
      let record = Int(truncatingIfNeeded: slot & 0xFFFF_FFFF)
      if UInt32(truncatingIfNeeded: slot &>> 32) == hash, isLabel(of: record, path, range) {
        return record
      }
      place = (place &+ 1) & (count &- 1)
    }
  }

  private func isLabel(of record: Int, _ path: Span<UInt8>, _ range: Range<Int>) -> Bool {
    guard Int(words[record]) == range.count else { return false }
    var word: UInt32 = 0
    for offset in 0..<range.count {
      word = offset & 3 == 0 ? words[record &+ 1 &+ offset / 4] : word &>> 8
      let byte = UInt8(truncatingIfNeeded: word)
      if byte != folded(path[range.lowerBound &+ offset]) { return false }
    }
    return true
  }

  private func folded(_ byte: UInt8) -> UInt8 {
    ignoresCase && byte &- 65 < 26 ? byte | 32 : byte
  }

  /// FNV-1a. Patterns are the operator's, so nobody gains by making them collide.
  private static let hashStart: UInt64 = 0xcbf2_9ce4_8422_2325

  private static func mixed(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
    (hash ^ UInt64(byte)) &* 0x100_0000_01b3
  }

  private static func short(_ hash: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: hash ^ hash &>> 32)
  }

  /// Makes a tree's words, once.
  private struct Maker {
    var words: [UInt32] = []
    var slots: [UInt64] = []

    /// Adds a node's record and, behind it, those of all below; gives its place.
    mutating func add(_ number: Int, label: [UInt8], of patterns: PathPatterns) -> Int {
      let source = patterns.nodes[number]
      let record = words.count
      words.append(UInt32(label.count))
      for start in stride(from: 0, to: label.count, by: 4) {
        let bytes = label[start..<min(start + 4, label.count)]
        words.append(bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) })
      }
      let node = words.count
      words += [0, 0, 0, UInt32(source.exact.count), UInt32(source.rest.count)]
      words += (source.exact + source.rest).map { UInt32($0) }
      if source.literals.count == 1 {
        let below = add(source.literals[0].node, label: source.literals[0].bytes, of: patterns)
        words[node + Offset.literals] = UInt32(below)
      } else if source.literals.count > 1 {
        var count = 4
        while count < 2 * source.literals.count { count *= 2 }
        let first = slots.count
        words[node + Offset.literals] = UInt32(first)
        words[node + Offset.slotCount] = UInt32(count)
        slots += [UInt64](repeating: 0, count: count)
        for (bytes, child) in source.literals {
          let hash = PathTree.short(bytes.reduce(PathTree.hashStart, PathTree.mixed))
          let below = add(child, label: bytes, of: patterns)
          var place = Int(hash) & (count - 1)
          while slots[first + place] != 0 { place = (place + 1) & (count - 1) }
          slots[first + place] = UInt64(hash) << 32 | UInt64(below)
        }
      }
      if let parameter = source.parameter {
        let below = add(parameter, label: [], of: patterns)
        words[node + Offset.parameter] = UInt32(below)
      }
      return record
    }
  }
}
