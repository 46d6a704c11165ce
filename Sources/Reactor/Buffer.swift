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
  @inlinable package func append(_ text: StaticString) {
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

  /// Appends a number in decimal digits; at most 20 bytes.
  package func append(decimal number: UInt64) {
    append(number, base: 10)
  }

  /// Appends a number in lower-case hexadecimal digits; at most 16 bytes.
  package func append(hexadecimal number: UInt64) {
    append(number, base: 16)
  }

  private func append(_ number: UInt64, base radix: UInt64) {
    var count = 1
    var rest = number / radix
    while rest > 0 {
      count += 1
      rest /= radix
    }
    guard count <= room else { return }
    rest = number
    var index = end + count
    end = index
    repeat {
      index -= 1
      let digit = UInt8(truncatingIfNeeded: rest % radix)
      unsafe base.storeBytes(
        of: digit < 10 ? 48 + digit : 87 + digit, toByteOffset: index, as: UInt8.self)
      rest /= radix
    } while rest > 0
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
