import CLinux

/// One worker's buffers: pieces of mapped slabs, last in first out, so that the same warm few serve
/// a busy worker and an idle connection needs none.
///
/// Slabs keep buffers out of `malloc`: between OpenSSL's allocations, 32 KiB blocks fragmented the
/// heap to 50 KiB an idle TLS connection; with slabs it is half of that.
package final class BufferPool {
  /// The size of a pooled buffer: two TLS records, and more than a default request head.
  package static let bufferBytes = 32 << 10
  private static let slabBytes = 1 << 20

  /// Stands for no buffer: it holds nothing and has room for nothing.
  package let none = Buffer(capacity: 0)

  private var free: [Buffer] = []
  /// The fewest free buffers since the last `trim`: those were not needed in all that time.
  private var idleCount = 0

  package init() {}

  /// Takes an empty buffer.
  package func take() -> Buffer {
    if let buffer = free.popLast() {
      if free.count < idleCount { idleCount = free.count }
      return buffer
    }
    idleCount = 0
    guard let slab = unsafe clinux_map_pages(Self.slabBytes) else {
      // No memory to map: one of its own may still be had, and `malloc` decides.
      return Buffer(capacity: Self.bufferBytes)
    }
    // Slabs are never unmapped: a worker's peak is bounded by its connections.
    var offset = Self.slabBytes - Self.bufferBytes
    while offset > 0 {
      unsafe free.append(Buffer(slab: slab + offset, capacity: Self.bufferBytes))
      offset -= Self.bufferBytes
    }
    return unsafe Buffer(slab: slab, capacity: Self.bufferBytes)
  }

  /// Gives a buffer back; its contents are forgotten.
  package func give(_ buffer: Buffer) {
    guard buffer.isPooled else { return }
    buffer.removeAll()
    free.append(buffer)
  }

  /// Replaces a buffer by a larger one that begins with its readable bytes.
  package func grown(_ buffer: Buffer, toAtLeast capacity: Int) -> Buffer {
    let larger = Buffer(capacity: capacity)
    let from = buffer
    larger.append(from.readable)
    give(buffer)
    return larger
  }

  /// Gives the memory of buffers that were not needed since the last call back to the system; to
  /// be called every few seconds.
  package func trim() {
    for buffer in free.prefix(idleCount) {
      unsafe clinux_forget_pages(buffer.base, buffer.capacity)
    }
    idleCount = free.count
  }
}
