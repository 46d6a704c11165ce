import CLinux

/// One worker's buffers: pieces of mapped slabs, last in first out, so that the same warm few serve
/// a busy worker and an idle connection needs none.
///
/// Slabs keep buffers out of `malloc`: between OpenSSL's allocations, 32 KiB blocks fragmented the
/// heap to 50 KiB an idle TLS connection; with slabs it is half of that.
@safe package final class BufferPool {
  /// The size of a pooled buffer: two TLS records, and more than a default request head.
  package static let bufferBytes = 32 << 10
  private static let slabBytes = 1 << 20

  /// Room for every piece there is; the first `freeCount` are free.
  private var free: [UnsafeMutableRawPointer] = unsafe []
  /// Pieces that no buffer has.
  package private(set) var freeCount = 0
  /// The fewest free pieces since the last `trim`: those were not needed in all that time.
  private var idleCount = 0

  package init() {}

  /// An empty buffer with memory of the pool's.
  package func take() -> Buffer {
    let buffer = Buffer()
    fill(buffer)
    return buffer
  }

  /// Gives memory to a buffer that has none.
  package func fill(_ buffer: Buffer) {
    if freeCount > 0 {
      freeCount -= 1
      if freeCount < idleCount { idleCount = freeCount }
      unsafe buffer.attach(free[freeCount], capacity: Self.bufferBytes)
      return
    }
    idleCount = 0
    guard let slab = unsafe clinux_map_pages(Self.slabBytes) else {
      // No memory to map: some of its own may still be had, and `malloc` decides.
      _ = unsafe buffer.moveOut(to: Self.bufferBytes)
      return
    }
    // Slabs are never unmapped: a worker's peak is bounded by its connections.
    unsafe free += Array(repeating: slab, count: Self.slabBytes / Self.bufferBytes)
    var offset = Self.slabBytes - Self.bufferBytes
    while offset > 0 {
      unsafe take(back: slab + offset)
      offset -= Self.bufferBytes
    }
    unsafe buffer.attach(slab, capacity: Self.bufferBytes)
  }

  private func take(back piece: UnsafeMutableRawPointer) {
    unsafe free[freeCount] = piece
    freeCount += 1
  }

  /// Takes a buffer's memory back; its contents are forgotten. Nothing where it has none.
  package func give(_ buffer: Buffer) {
    if let piece = unsafe buffer.detach() { unsafe take(back: piece) }
  }

  /// Moves what a buffer holds into memory of its own, of `capacity` bytes: more than it had, or no
  /// more than it needs.
  package func resize(_ buffer: Buffer, to capacity: Int) {
    if let piece = unsafe buffer.moveOut(to: capacity) { unsafe take(back: piece) }
  }

  /// Gives the memory of pieces that were not needed since the last call back to the system; to
  /// be called every few seconds.
  package func trim() {
    for index in 0..<idleCount {
      unsafe clinux_forget_pages(free[index], Self.bufferBytes)
    }
    idleCount = freeCount
  }
}
