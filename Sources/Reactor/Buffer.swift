import CLinux
import Glibc

/// Bytes in flight: a piece of memory with a read end and a write end.
///
/// `[start, end)` is what was written and not yet consumed. Spans lent by a buffer are bound to
/// the reference they were taken from; appending to it, or changing its memory, while one is held
/// is the caller's mistake, which the compiler sees where the buffer is a local `let` and the
/// append goes through the same name.
///
/// The memory comes and goes by a `BufferPool`, the object stays: its owner holds it in a `let`,
/// which is read without counting a reference.
@safe package final class Buffer {
  /// How many bytes it can hold in all; 0 without memory.
  @usableFromInline package private(set) var capacity: Int
  @usableFromInline private(set) var base: UnsafeMutableRawPointer
  @usableFromInline var start = 0
  @usableFromInline var end = 0
  /// Set where the memory is this buffer's own and not a slab's.
  private var ownsMemory: Bool

  /// A buffer without memory: it holds nothing and has room for nothing.
  package init() {
    unsafe base = clinux_nowhere()
    capacity = 0
    ownsMemory = false
  }

  /// A buffer with memory of its own, for what does not fit a pooled one.
  package init(capacity: Int) {
    unsafe base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    self.capacity = capacity
    ownsMemory = true
  }

  deinit { if ownsMemory { unsafe base.deallocate() } }

  /// Takes a piece of a slab, which outlives the buffer; not where it has memory.
  func attach(_ piece: UnsafeMutableRawPointer, capacity: Int) {
    precondition(self.capacity == 0 && !ownsMemory)
    unsafe base = piece
    self.capacity = capacity
  }

  /// Moves what is there into memory of its own, of `capacity` bytes.
  ///
  /// - Returns: the piece of a slab that it had.
  func moveOut(to capacity: Int) -> UnsafeMutableRawPointer? {
    let held = count
    precondition(held <= capacity)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    unsafe memory.copyMemory(from: base + start, byteCount: held)
    let piece = unsafe detach()
    unsafe base = memory
    self.capacity = capacity
    ownsMemory = true
    end = held
    return unsafe piece
  }

  /// Forgets its contents and parts with its memory.
  ///
  /// - Returns: the piece of a slab that it had; memory of its own is freed.
  @inline(__always)
  func detach() -> UnsafeMutableRawPointer? {
    let piece = unsafe capacity > 0 && !ownsMemory ? base : nil
    if ownsMemory { unsafe base.deallocate() }
    unsafe base = clinux_nowhere()
    capacity = 0
    ownsMemory = false
    removeAll()
    return unsafe piece
  }

  /// Bytes written and not yet consumed.
  @inlinable package var count: Int { end &- start }

  @inlinable package var isEmpty: Bool { start == end }

  /// Bytes that can be appended before `compact` or a larger buffer is needed.
  @inlinable package var room: Int { capacity &- end }

  /// What was written and not yet consumed.
  @inlinable package var readable: Span<UInt8> {
    @_lifetime(borrow self) get {
      let bytes = unsafe UnsafeBufferPointer(
        start: UnsafePointer((base + start).assumingMemoryBound(to: UInt8.self)),
        count: end &- start)
      return unsafe _overrideLifetime(Span(_unsafeElements: bytes), borrowing: self)
    }
  }

  /// A part of `readable`, counted from its first byte.
  @inlinable
  @_lifetime(borrow self)
  package func slice(_ range: Range<Int>) -> Span<UInt8> {
    precondition(range.lowerBound >= 0 && range.upperBound <= end &- start)
    let bytes = unsafe UnsafeBufferPointer(
      start: UnsafePointer((base + start + range.lowerBound).assumingMemoryBound(to: UInt8.self)),
      count: range.count)
    return unsafe _overrideLifetime(Span(_unsafeElements: bytes), borrowing: self)
  }

  /// Drops `count` bytes from the front.
  @inlinable package func consume(_ count: Int) {
    precondition(count >= 0 && count <= end &- start)
    start &+= count
    if start == end {
      start = 0
      end = 0
    }
  }

  /// Keeps only the first `count` bytes.
  @inlinable package func truncate(to count: Int) {
    precondition(count >= 0 && count <= end &- start)
    end = start &+ count
  }

  /// Takes bytes out of the middle, moving what follows them.
  package func remove(_ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    if range.isEmpty { return }
    unsafe memmove(
      base + start + range.lowerBound, base + start + range.upperBound,
      count - range.upperBound)
    end -= range.count
    if start == end { removeAll() }
  }

  /// Puts another byte in the place of one, counted from the first.
  package func overwrite(_ byte: UInt8, at index: Int) {
    precondition(index >= 0 && index < count)
    unsafe (base + start + index).storeBytes(of: byte, as: UInt8.self)
  }

  /// Has room for so many bytes in all; of a buffer with memory of its own.
  package func grow(to capacity: Int) {
    precondition(ownsMemory && capacity >= self.capacity)
    _ = unsafe moveOut(to: capacity)
  }

  package func removeAll() {
    start = 0
    end = 0
  }

  /// Moves what is readable to the front, so that the room is as large as it can be.
  package func compact() {
    if start == 0 { return }
    unsafe memmove(base, base + start, end - start)
    end -= start
    start = 0
  }

  /// Appends as many of the bytes as there is room for.
  ///
  /// - Returns: how many that were.
  @inlinable @discardableResult
  package func append(_ bytes: Span<UInt8>) -> Int {
    let count = min(bytes.count, room)
    if count > 0 {
      unsafe bytes.withUnsafeBytes { source in
        if let from = source.baseAddress {
          unsafe (base + end).copyMemory(from: from, byteCount: count)
        }
      }
      end &+= count
    }
    return count
  }

  /// Appends a literal; nothing where the room is too small for all of it.
  @inline(__always) @inlinable package func append(_ text: StaticString) {
    let count = text.utf8CodeUnitCount
    guard count <= room else { return }
    unsafe (base + end).copyMemory(from: text.utf8Start, byteCount: count)
    end &+= count
  }

  /// Appends bytes that are kept; as many as there is room for.
  @inlinable package func append(_ bytes: [UInt8]) {
    append(bytes.span)
  }

  @inlinable package func append(byte: UInt8) {
    guard room > 0 else { return }
    unsafe (base + end).storeBytes(of: byte, as: UInt8.self)
    end &+= 1
  }

  /// Appends a literal and a JSON string of the text (RFC 8259 §7), or nothing.
  ///
  /// - Returns: false where a byte of it is none of visible ASCII, or needs an escape, or the room
  ///   is too small.
  package func append(_ name: StaticString, quoting text: Span<UInt8>) -> Bool {
    let nameCount = name.utf8CodeUnitCount
    let count = text.count
    guard nameCount &+ count &+ 2 <= room else { return false }
    return unsafe text.withUnsafeBytes { bytes in
      guard unsafe Self.isPlain(bytes) else { return false }
      var to = unsafe base + end
      unsafe to.copyMemory(from: name.utf8Start, byteCount: nameCount)
      unsafe to += nameCount
      unsafe to.storeBytes(of: UInt8(ascii: "\""), as: UInt8.self)
      unsafe to += 1
      if let from = bytes.baseAddress { unsafe to.copyMemory(from: from, byteCount: count) }
      unsafe (to + count).storeBytes(of: UInt8(ascii: "\""), as: UInt8.self)
      end &+= nameCount &+ count &+ 2
      return true
    }
  }

  /// Whether these bytes are visible ASCII and spaces that mean themselves between quotes: in JSON
  /// (RFC 8259 §7) as well as in a field (RFC 9110 §5.6.4).
  package static func isPlain(_ text: Span<UInt8>) -> Bool {
    unsafe text.withUnsafeBytes { bytes in unsafe isPlain(bytes) }
  }

  /// The same; eight are looked at at once.
  private static func isPlain(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let highs = ones &* 0x80
    var index = 0
    while index &+ 8 <= bytes.count {
      let word = unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      let control = (word &- ones &* 0x20) & ~word
      let quote = word ^ ones &* 0x22
      let backslash = word ^ ones &* 0x5C
      let delete = word ^ ones &* 0x7F
      let found =
        word | control | (quote &- ones) & ~quote | (backslash &- ones) & ~backslash
        | (delete &- ones) & ~delete
      if found & highs != 0 { return false }
      index &+= 8
    }
    while index < bytes.count {
      let byte = unsafe bytes[index]
      guard byte &- 0x20 < 0x5F, byte != 0x22, byte != 0x5C else { return false }
      index &+= 1
    }
    return true
  }

  /// Appends a number in decimal digits; at most 20 bytes.
  package func append(decimal number: UInt64) {
    let count = Self.digitCount(number)
    guard count <= room else { return }
    end &+= count
    storeDigits(number, count: count, before: end)
  }

  /// Appends a number with its last digits behind a point: 1234 with three as `1.234`; at most as
  /// many bytes as `decimals` and 22.
  package func append(_ number: UInt64, decimals: Int) {
    let whole = max(1, Self.digitCount(number) &- decimals)
    guard whole &+ 1 &+ decimals <= room else { return }
    end &+= whole &+ 1 &+ decimals
    let rest = storeDigits(number, count: decimals, before: end)
    unsafe base.storeBytes(
      of: UInt8(ascii: "."), toByteOffset: end &- decimals &- 1, as: UInt8.self)
    storeDigits(rest, count: whole, before: end &- decimals &- 1)
  }

  @inline(__always)
  private static func digitCount(_ number: UInt64) -> Int {
    var count = 1
    var limit: UInt64 = 10
    while number >= limit, count < 20 {
      count &+= 1
      limit &*= 10
    }
    return count
  }

  /// - Returns: what is left of the number without its last `count` digits.
  @discardableResult @inline(__always)
  private func storeDigits(_ number: UInt64, count: Int, before end: Int) -> UInt64 {
    var rest = number
    var index = end
    while index > end &- count {
      index &-= 1
      let higher = rest / 10
      let digit = 48 &+ UInt8(truncatingIfNeeded: rest &- higher &* 10)
      unsafe base.storeBytes(of: digit, toByteOffset: index, as: UInt8.self)
      rest = higher
    }
    return rest
  }

  /// Appends a number in lower-case hexadecimal digits; at most 16 bytes.
  package func append(hexadecimal number: UInt64) {
    let count = max(1, (67 - number.leadingZeroBitCount) / 4)
    guard count <= room else { return }
    end &+= count
    var rest = number
    for index in 1...count {
      let digit = UInt8(truncatingIfNeeded: rest & 15)
      unsafe base.storeBytes(
        of: digit < 10 ? 48 &+ digit : 87 &+ digit, toByteOffset: end &- index, as: UInt8.self)
      rest >>= 4
    }
  }

  /// The room, for a system call to write into; `commit` says how much it wrote.
  var writable: UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(start: base + end, count: capacity - end)
  }

  var readableBytes: UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(start: base + start, count: end - start)
  }

  func commit(_ count: Int) {
    precondition(count >= 0 && count <= room)
    end += count
  }
}
