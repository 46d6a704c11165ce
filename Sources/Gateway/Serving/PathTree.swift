/// Patterns of paths, arranged so that the most specific one that holds a path is found segment by
/// segment from the left: a literal before a parameter before `*` (ROUTES.md, "Matching").
///
/// What it finds are numbers, given by who fills it in; several patterns of the same form share
/// one place.
struct PathTree {
  /// One segment of a pattern.
  enum Segment: Equatable {
    case literal([UInt8])
    case parameter
    /// The rest of the path, also none of it; the last segment of a pattern.
    case rest
  }

  private struct Node {
    /// By hash, so that a thousand literals cost ten comparisons.
    var literals: [(hash: UInt64, bytes: [UInt8], node: Int)] = []
    var parameter: Int?
    var exact: [Int] = []
    var rest: [Int] = []
  }

  private var nodes = [Node()]

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
  /// - Parameters:
  ///   - ignoringCase: compares ASCII letters without case.
  ///   - accept: whether a pattern with these values counts at all.
  func values(
    for path: Span<UInt8>, ignoringCase: Bool = false, where accept: ([Int]) -> Bool = { _ in true }
  ) -> [Int]? {
    find(path, from: 1, at: 0, ignoringCase, accept)
  }

  /// Depth first; the depth is that of the deepest pattern, not the path's.
  private func find(
    _ path: Span<UInt8>, from start: Int, at index: Int, _ ignoringCase: Bool,
    _ accept: ([Int]) -> Bool
  ) -> [Int]? {
    if start >= path.count {
      // The path is used up; or it ended with a slash.
      if !nodes[index].exact.isEmpty, accept(nodes[index].exact) { return nodes[index].exact }
    } else {
      var end = start
      while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
      if ignoringCase {
        // Literals that differ in case only are several.
        for child in nodes[index].literals
        where Self.equal(child.bytes, path, start..<end, ignoringCase: true) {
          if let found = find(path, from: end + 1, at: child.node, ignoringCase, accept) {
            return found
          }
        }
      } else if let next = literal(path, start..<end, at: index),
        let found = find(path, from: end + 1, at: next, ignoringCase, accept)
      {
        return found
      }
      if end > start, let next = nodes[index].parameter,
        let found = find(path, from: end + 1, at: next, ignoringCase, accept)
      {
        return found
      }
    }
    if !nodes[index].rest.isEmpty, accept(nodes[index].rest) { return nodes[index].rest }
    return nil
  }

  private func literal(_ path: Span<UInt8>, _ range: Range<Int>, at index: Int) -> Int? {
    let literals = nodes[index].literals
    if literals.isEmpty { return nil }
    let hash = Self.hash(path, range)
    var low = 0
    var high = literals.count
    while low < high {
      let middle = (low + high) / 2
      if literals[middle].hash < hash { low = middle + 1 } else { high = middle }
    }
    while low < literals.count, literals[low].hash == hash {
      if Self.equal(literals[low].bytes, path, range, ignoringCase: false) {
        return literals[low].node
      }
      low += 1
    }
    return nil
  }

  private mutating func literalChild(of parent: Int, _ bytes: [UInt8]) -> Int {
    if let known = literal(bytes.span, 0..<bytes.count, at: parent) { return known }
    nodes.append(Node())
    let child = nodes.count - 1
    nodes[parent].literals.append((Self.hash(bytes.span, 0..<bytes.count), bytes, child))
    nodes[parent].literals.sort { $0.hash < $1.hash }
    return child
  }

  /// FNV-1a. Patterns are the operator's, so nobody gains by making them collide.
  private static func hash(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for index in range { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01b3 }
    return hash
  }

  private static func equal(
    _ literal: [UInt8], _ path: Span<UInt8>, _ range: Range<Int>, ignoringCase: Bool
  ) -> Bool {
    guard literal.count == range.count else { return false }
    for offset in 0..<literal.count {
      var one = literal[offset]
      var other = path[range.lowerBound + offset]
      if ignoringCase {
        if one &- 65 < 26 { one |= 32 }
        if other &- 65 < 26 { other |= 32 }
      }
      if one != other { return false }
    }
    return true
  }
}
