/// Deadlines in the order in which they end: a binary heap of plain values.
///
/// Setting a later deadline never touches the heap. A waiter has at most one live entry; when that
/// one ends, the waiter's deadline of that moment says whether it is due or goes back in.
struct DeadlineQueue {
  struct Entry {
    let atMs: Int64
    let token: UInt64
  }

  private var entries: [Entry] = []

  var count: Int { entries.count }
  var firstMs: Int64? { entries.first?.atMs }

  mutating func insert(_ entry: Entry) {
    entries.append(entry)
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      if entries[parent].atMs <= entry.atMs { break }
      entries[child] = entries[parent]
      child = parent
    }
    entries[child] = entry
  }

  /// Takes the first entry that ends at or before `nowMs`.
  mutating func takeDue(nowMs: Int64) -> Entry? {
    guard let first = entries.first, first.atMs <= nowMs, let last = entries.popLast() else {
      return nil
    }
    if !entries.isEmpty { sink(last) }
    return first
  }

  /// Puts `entry` at the top and lets it sink to its place.
  private mutating func sink(_ entry: Entry) {
    var parent = 0
    while true {
      var child = 2 * parent + 1
      if child >= entries.count { break }
      if child + 1 < entries.count, entries[child + 1].atMs < entries[child].atMs { child += 1 }
      if entries[child].atMs >= entry.atMs { break }
      entries[parent] = entries[child]
      parent = child
    }
    entries[parent] = entry
  }
}
