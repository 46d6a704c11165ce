/// What someone who wrote this probably meant.
package enum Spelling {
  /// The nearest of the candidates, where it is near enough to be no accident.
  package static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
    let written = Array(word.lowercased().utf8)
    guard !written.isEmpty, written.count <= 64 else { return nil }
    var best: (word: String, distance: Int)?
    for candidate in candidates {
      let known = Array(candidate.lowercased().utf8)
      // Two of three letters right, and never a word all of whose letters could be others.
      let distanceMax = max(1, max(written.count, known.count) / 3)
      guard known.count <= 64, abs(known.count - written.count) <= distanceMax else { continue }
      let distance = distance(written, known)
      guard distance <= distanceMax, distance < max(written.count, known.count) else { continue }
      if distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.word
  }

  /// Damerau and Levenshtein's: letters added, left out, changed, or two neighbours exchanged.
  static func distance(_ one: [UInt8], _ other: [UInt8]) -> Int {
    var beforeLast = [Int](repeating: 0, count: other.count + 1)
    var last = Array(0...other.count)
    for row in 0..<one.count {
      var current = [row + 1]
      for column in 0..<other.count {
        var cost = min(
          last[column + 1] + 1, current[column] + 1,
          last[column] + (one[row] == other[column] ? 0 : 1))
        if row > 0, column > 0, one[row] == other[column - 1], one[row - 1] == other[column] {
          cost = min(cost, beforeLast[column - 1] + 1)
        }
        current.append(cost)
      }
      (beforeLast, last) = (last, current)
    }
    return last[other.count]
  }
}
