import Crypto

/// A map of digests that holds so many bytes and no more, and forgets what is used least (SIEVE).
///
/// Entries stand in a queue, the newest at its head. A use only sets a mark, which is why a hit
/// costs a look-up and a store, and moves nothing. To make room a hand goes from the tail towards
/// the head, takes marks away and stops at the first entry without one, and next time goes on from
/// there: so what was used since the hand passed stays, and a burst of tokens that are seen once
/// pushes out itself and not what everybody uses.
///
/// An entry that has ended is not given out; it goes when it is met, or by `removeEnded`.
struct SieveMap<Value: Sendable>: Sendable {
  private struct Slot {
    var key: SHA256Digest
    /// Nil in a slot that is free.
    var value: Value?
    var endsAtMs: Int64
    var byteCost: Int
    var isMarked = false
    /// Towards the head, that is newer; in a free slot the next free one.
    var newer: Int32
    /// Towards the tail, that is older.
    var older: Int32
  }

  /// What a slot, its key and its place in the index take, besides what the value costs.
  static var slotByteCost: Int { 128 }
  private static var none: Int32 { -1 }

  private let byteCostMax: Int
  private(set) var byteCost = 0
  private var index: [SHA256Digest: Int32] = [:]
  private var slots: [Slot] = []
  private var head = Self.none
  private var tail = Self.none
  private var hand = Self.none
  private var free = Self.none

  init(byteCostMax: Int) { self.byteCostMax = byteCostMax }

  var count: Int { index.count }

  /// The value, unless it has ended.
  mutating func find(_ key: SHA256Digest, nowMs: Int64) -> Value? {
    guard let at = index[key] else { return nil }
    guard slots[Int(at)].endsAtMs > nowMs else {
      remove(at)
      return nil
    }
    slots[Int(at)].isMarked = true
    return slots[Int(at)].value
  }

  /// The value, ended or not; it does not count as used.
  func peek(_ key: SHA256Digest) -> Value? { index[key].flatMap { slots[Int($0)].value } }

  func forEach(_ body: (Value, _ endsAtMs: Int64) -> Void) {
    for slot in slots {
      if let value = slot.value { body(value, slot.endsAtMs) }
    }
  }

  /// Puts a value in, in the place of what had the key. One that is dearer than a quarter of all is
  /// not kept, nor is one that has ended.
  mutating func insert(
    _ key: SHA256Digest, _ value: Value, byteCost valueCost: Int, endsAtMs: Int64, nowMs: Int64
  ) {
    remove(key)
    let cost = max(0, valueCost) + Self.slotByteCost
    guard endsAtMs > nowMs, cost <= byteCostMax / 4 else { return }
    while byteCost + cost > byteCostMax, evictOne() {}
    let slot = Slot(
      key: key, value: value, endsAtMs: endsAtMs, byteCost: cost, newer: Self.none, older: head)
    let at: Int32
    if free != Self.none {
      at = free
      free = slots[Int(at)].newer
      slots[Int(at)] = slot
    } else {
      at = Int32(slots.count)
      slots.append(slot)
    }
    if head != Self.none { slots[Int(head)].newer = at }
    head = at
    if tail == Self.none { tail = at }
    index[key] = at
    byteCost += cost
  }

  mutating func remove(_ key: SHA256Digest) {
    if let at = index[key] { remove(at) }
  }

  /// Frees what has ended.
  mutating func removeEnded(nowMs: Int64) {
    for at in slots.indices where slots[at].value != nil && slots[at].endsAtMs <= nowMs {
      remove(Int32(at))
    }
  }

  /// False when there is nothing left.
  private mutating func evictOne() -> Bool {
    if hand == Self.none { hand = tail }
    // At most once round to clear the marks and once more to find one without.
    while hand != Self.none, slots[Int(hand)].isMarked {
      slots[Int(hand)].isMarked = false
      hand = slots[Int(hand)].newer
      if hand == Self.none { hand = tail }
    }
    guard hand != Self.none else { return false }
    remove(hand)  // moves the hand on
    return true
  }

  private mutating func remove(_ at: Int32) {
    let slot = slots[Int(at)]
    if hand == at { hand = slot.newer }
    if slot.newer != Self.none {
      slots[Int(slot.newer)].older = slot.older
    } else {
      head = slot.older
    }
    if slot.older != Self.none {
      slots[Int(slot.older)].newer = slot.newer
    } else {
      tail = slot.newer
    }
    index[slot.key] = nil
    byteCost -= slot.byteCost
    slots[Int(at)].value = nil
    slots[Int(at)].isMarked = false
    slots[Int(at)].newer = free
    free = at
  }
}
