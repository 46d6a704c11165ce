import TestSupport
import Testing
import Wire

@testable import Reactor

extension Buffer {
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    let readable = readable
    for index in 0..<readable.count { bytes.append(readable[index]) }
    return bytes
  }

  convenience init(_ text: String, capacity: Int) {
    self.init(capacity: capacity)
    append(Array(text.utf8))
  }
}

struct BufferTests {
  @Test func `appends what there is room for and says how much`() {
    let buffer = Buffer(capacity: 4)
    #expect(buffer.append([1, 2, 3].span) == 3)
    #expect(buffer.append([4, 5].span) == 1)
    #expect(buffer.append([6].span) == 0)
    #expect(buffer.bytes == [1, 2, 3, 4])
    #expect((buffer.count, buffer.room, buffer.isEmpty) == (4, 0, false))
  }

  @Test func `appends a literal or a number whole or not at all`() {
    let buffer = Buffer("ab", capacity: 5)
    buffer.append("cdef")
    #expect(buffer.bytes.text == "ab")
    buffer.append(decimal: 1_234)
    #expect(buffer.bytes.text == "ab")
    buffer.append(decimal: 12)
    buffer.append(byte: UInt8(ascii: "!"))
    buffer.append(byte: UInt8(ascii: "?"))
    #expect(buffer.bytes.text == "ab12!")
  }

  @Test(arguments: [
    0, 1, 9, 10, 15, 16, 99, 100, 255, 999, 1_000, 65_535, 9_999_999_999_999_999_999,
    10_000_000_000_000_000_000, UInt64.max - 1, .max,
  ])
  func `writes numbers`(_ number: UInt64) {
    let buffer = Buffer("<", capacity: 40)
    buffer.append(decimal: number)
    buffer.append(" ")
    buffer.append(hexadecimal: number)
    #expect(buffer.bytes.text == "<\(number) \(String(number, radix: 16))")
  }

  @Test(arguments: [
    (0, 3, "0.000"), (7, 3, "0.007"), (999, 3, "0.999"), (1_000, 3, "1.000"),
    (12_345, 3, "12.345"), (1, 6, "0.000001"), (61_000_002, 6, "61.000002"),
    (UInt64.max, 3, "18446744073709551.615"),
  ])
  func `writes the last digits behind a point`(_ number: UInt64, _ decimals: Int, _ text: String) {
    let buffer = Buffer(capacity: text.utf8.count)
    buffer.append(number, decimals: decimals)
    #expect(buffer.bytes.text == text)
    let small = Buffer(capacity: text.utf8.count - 1)
    small.append(number, decimals: decimals)
    #expect(small.isEmpty)
  }

  @Test func `quotes what needs no escape and leaves all else alone`() {
    for count in 0..<20 {
      for index in 0..<max(1, count) {
        for byte in UInt8.min ... .max {
          var text = [UInt8](repeating: UInt8(ascii: "a"), count: count)
          if !text.isEmpty { text[index] = byte }
          let isPlain = text.allSatisfy { (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }
          let buffer = Buffer(capacity: 2 + count + 2)
          let isAppended = buffer.append("n:", quoting: text.span)
          #expect(isAppended == isPlain)
          #expect(buffer.bytes == (isPlain ? Array("n:\"".utf8) + text + [0x22] : []))
        }
      }
    }
    let small = Buffer(capacity: 4)
    let text: [UInt8] = [0x61, 0x62]
    let isAppended = small.append("n", quoting: text.span)
    #expect(!isAppended && small.isEmpty)
  }

  @Test func `consumes from the front and begins anew when all is consumed`() {
    let buffer = Buffer("abcdef", capacity: 6)
    buffer.consume(2)
    #expect(buffer.bytes.text == "cdef")
    #expect(buffer.room == 0)
    buffer.consume(0)
    buffer.consume(4)
    #expect((buffer.count, buffer.room) == (0, 6))
  }

  @Test func `compacts`() {
    let buffer = Buffer("abcdef", capacity: 6)
    buffer.consume(4)
    buffer.compact()
    #expect(buffer.bytes.text == "ef")
    #expect(buffer.room == 4)
    buffer.append("ghij")
    #expect(buffer.bytes.text == "efghij")
  }

  @Test func `takes bytes out of the middle, from every place`() {
    let text = Array("abcdefgh".utf8)
    for consumed in 0...3 {
      let length = text.count - consumed
      for low in 0...length {
        for high in low...length {
          let buffer = Buffer("abcdefgh", capacity: 9)
          buffer.consume(consumed)
          buffer.remove(low..<high)
          var expected = Array(text[consumed...])
          expected.removeSubrange(low..<high)
          #expect(buffer.bytes == expected)
          #expect(buffer.room >= 1 + high - low)
          buffer.append("!")
          #expect(buffer.bytes == expected + [UInt8(ascii: "!")])
        }
      }
    }
  }

  @Test func `has all its room when everything was taken out`() {
    let buffer = Buffer("abcdefgh", capacity: 8)
    buffer.consume(4)
    buffer.remove(0..<4)
    #expect((buffer.count, buffer.room) == (0, 8))
  }

  @Test func `truncates`() {
    let buffer = Buffer("abcdef", capacity: 6)
    buffer.consume(1)
    buffer.truncate(to: 2)
    #expect(buffer.bytes.text == "bc")
    #expect(buffer.room == 3)
  }

  @Test func `lends a part, counted from its first readable byte`() {
    let buffer = Buffer("abcdef", capacity: 6)
    buffer.consume(2)
    let slice = buffer.slice(1..<3)
    #expect((slice.count, slice[0], slice[1]) == (2, UInt8(ascii: "d"), UInt8(ascii: "e")))
  }

  @Test func `a part that is not there is our mistake`() async {
    await #expect(processExitsWith: .failure) {
      let buffer = Buffer("ab", capacity: 6)
      _ = buffer.slice(1..<3)
    }
    await #expect(processExitsWith: .failure) { Buffer("ab", capacity: 6).consume(3) }
    await #expect(processExitsWith: .failure) { Buffer("ab", capacity: 6).remove(1..<3) }
    await #expect(processExitsWith: .failure) { Buffer("ab", capacity: 6).truncate(to: 3) }
  }
}

struct BufferPoolTests {
  @Test func `hands out empty buffers, with the memory that was given last`() {
    let pool = BufferPool()
    let one = pool.take()
    let other = pool.take()
    #expect((one.capacity, one.count) == (BufferPool.bufferBytes, 0))
    one.append("left")
    pool.give(one)
    #expect((one.capacity, one.count, one.room) == (0, 0, 0))
    let again = pool.take()
    #expect(again.isEmpty)
    #expect(again.whatLies(in: 4) == "left")
    #expect(other.whatLies(in: 4) != "left")
  }

  @Test func `gives the same memory to one buffer at a time`() {
    let pool = BufferPool()
    let one = pool.take()
    pool.give(one)
    pool.give(one)
    let (first, second) = (pool.take(), pool.take())
    first.append("first")
    second.append("other")
    #expect((first.bytes.text, second.bytes.text) == ("first", "other"))
  }

  @Test func `no two buffers share a byte`() {
    let pool = BufferPool()
    // More than one slab's worth.
    let buffers = (0..<70).map { _ in pool.take() }
    for (number, buffer) in buffers.enumerated() {
      buffer.append([UInt8](repeating: UInt8(number), count: buffer.capacity))
    }
    for (number, buffer) in buffers.enumerated() {
      #expect(buffer.count == BufferPool.bufferBytes)
      #expect(buffer.bytes.allSatisfy { $0 == UInt8(number) })
    }
  }

  @Test func `keeps no memory that is not its own`() {
    let pool = BufferPool()
    let own = Buffer(capacity: 100_000)
    own.append("own")
    pool.give(own)
    #expect((own.capacity, own.count) == (0, 0))
    #expect(pool.take().capacity == BufferPool.bufferBytes)
  }

  @Test func `a buffer without memory has room for nothing, and can be given some`() {
    let buffer = Buffer()
    #expect((buffer.capacity, buffer.count, buffer.room) == (0, 0, 0))
    buffer.append("x")
    buffer.append(byte: 1)
    buffer.consume(0)
    buffer.compact()
    #expect(buffer.isEmpty)
    let pool = BufferPool()
    pool.fill(buffer)
    buffer.append("x")
    #expect(buffer.bytes.text == "x")
  }

  @Test func `a buffer keeps what it holds when it gets more memory, or no more than it needs`() {
    let pool = BufferPool()
    let buffer = pool.take()
    buffer.append("xhello")
    buffer.consume(1)
    pool.resize(buffer, to: 100_000)
    #expect(buffer.bytes.text == "hello")
    #expect(buffer.capacity == 100_000)
    #expect(pool.take().whatLies(in: 6) == "xhello")
    pool.resize(buffer, to: 5)
    #expect(buffer.bytes.text == "hello")
    #expect((buffer.capacity, buffer.room) == (5, 0))
    pool.give(buffer)
    #expect(pool.take().capacity == BufferPool.bufferBytes)
  }

  @Test func `trimming takes no byte from a buffer in use`() {
    let pool = BufferPool()
    let used = pool.take()
    used.append("kept")
    let idle = pool.take()
    pool.give(idle)
    pool.trim()
    pool.trim()
    #expect(used.bytes.text == "kept")
    let again = pool.take()
    again.append([UInt8](repeating: 7, count: again.capacity))
    #expect(again.bytes.allSatisfy { $0 == 7 })
  }
}

extension Buffer {
  /// What its memory held before it came to this buffer.
  fileprivate func whatLies(in count: Int) -> String {
    commit(count)
    defer { removeAll() }
    return bytes.text
  }
}
