/// Patterns of paths, arranged so that the most specific one that holds a path is found segment by
/// segment from the left: a literal before a parameter before `*` (ROUTES.md, "Matching").
///
/// What it finds are numbers, given by who fills it in; several patterns of the same form share
/// one place. A literal is found by its hash, so ten thousand beside each other cost what ten do.
struct PathTree {
  /// One segment of a pattern.
  enum Segment: Equatable {
    case literal([UInt8])
    case parameter
    /// The rest of the path, also none of it; the last segment of a pattern.
    case rest
  }

  private struct Literal {
    let hash: UInt64
    let bytes: [UInt8]
    let node: Int
  }

  private struct Node {
    var literals: [Literal] = []
    /// Open addressing over `literals`, at most half of it taken; -1 where there is none. Its size
    /// is a power of two.
    var slots: [Int32] = []
    var parameter: Int?
    var exact: [Int] = []
    var rest: [Int] = []
  }

  private var nodes = [Node()]
  private let ignoresCase: Bool

  /// - Parameter ignoringCase: compares ASCII letters without case.
  init(ignoringCase: Bool = false) { ignoresCase = ignoringCase }

  var isEmpty: Bool { nodes.count == 1 && nodes[0].exact.isEmpty && nodes[0].rest.isEmpty }

  /// Adds a pattern that stands for `value`.
  mutating func insert(_ pattern: [Segment], value: Int) {
    var node = 0
    for segment in pattern {
      switch segment {
      case .literal(let bytes): node = literalChild(of: node, bytes)
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

  /// The values of the most specific pattern that holds `path`, which begins with "/".
  ///
  /// An exact pattern also holds its path with a slash more; `/orders/*` also holds `/orders`.
  ///
  /// - Parameter accept: whether a pattern with these values counts at all.
  func values(for path: Span<UInt8>, where accept: ([Int]) -> Bool = { _ in true }) -> [Int]? {
    find(path, from: 1, at: 0, accept)
  }

  /// Depth first; the depth is that of the deepest pattern, not the path's.
  private func find(
    _ path: Span<UInt8>, from start: Int, at index: Int, _ accept: ([Int]) -> Bool
  ) -> [Int]? {
    if start >= path.count {
      // The path is used up; or it ended with a slash.
      if !nodes[index].exact.isEmpty, accept(nodes[index].exact) { return nodes[index].exact }
    } else {
      var end = start
      while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
      if let next = literal(path, start..<end, at: index),
        let found = find(path, from: end + 1, at: next, accept)
      {
        return found
      }
      if end > start, let next = nodes[index].parameter,
        let found = find(path, from: end + 1, at: next, accept)
      {
        return found
      }
    }
    if !nodes[index].rest.isEmpty, accept(nodes[index].rest) { return nodes[index].rest }
    return nil
  }

  private func literal(_ path: Span<UInt8>, _ range: Range<Int>, at index: Int) -> Int? {
    if nodes[index].slots.isEmpty { return nil }
    let hash = hash(path, range)
    let mask = nodes[index].slots.count &- 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while true {
      let number = Int(nodes[index].slots[slot])
      if number < 0 { return nil }
      if nodes[index].literals[number].hash == hash,
        equal(nodes[index].literals[number].bytes, path, range)
      {
        return nodes[index].literals[number].node
      }
      slot = (slot &+ 1) & mask
    }
  }

  private mutating func literalChild(of parent: Int, _ bytes: [UInt8]) -> Int {
    if let known = literal(bytes.span, 0..<bytes.count, at: parent) { return known }
    nodes.append(Node())
    let child = nodes.count - 1
    nodes[parent].literals.append(
      Literal(hash: hash(bytes.span, 0..<bytes.count), bytes: bytes, node: child))
    let count = nodes[parent].literals.count
    if 2 * count > nodes[parent].slots.count {
      nodes[parent].slots = [Int32](repeating: -1, count: max(4, 2 * nodes[parent].slots.count))
      for number in 0..<count { place(number, at: parent) }
    } else {
      place(count - 1, at: parent)
    }
    return child
  }

  private mutating func place(_ number: Int, at parent: Int) {
    let mask = nodes[parent].slots.count - 1
    var slot = Int(truncatingIfNeeded: nodes[parent].literals[number].hash) & mask
    while nodes[parent].slots[slot] >= 0 { slot = (slot + 1) & mask }
    nodes[parent].slots[slot] = Int32(truncatingIfNeeded: number)
  }

  /// FNV-1a, its upper half folded in. Patterns are the operator's, so nobody gains by making them
  /// collide.
  private func hash(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for index in range { hash = (hash ^ UInt64(folded(bytes[index]))) &* 0x100_0000_01b3 }
    return hash ^ hash &>> 32
  }

  private func folded(_ byte: UInt8) -> UInt8 {
    ignoresCase && byte &- 65 < 26 ? byte | 32 : byte
  }

  private func equal(_ literal: [UInt8], _ path: Span<UInt8>, _ range: Range<Int>) -> Bool {
    guard literal.count == range.count else { return false }
    for offset in 0..<literal.count
    where folded(literal[offset]) != folded(path[range.lowerBound + offset]) {
      return false
    }
    return true
  }
}
