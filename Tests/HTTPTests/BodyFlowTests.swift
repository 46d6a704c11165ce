import Reactor
import TestSupport
import Testing
import Wire

@testable import HTTP

extension Buffer {
  convenience init(_ bytes: [UInt8], capacity: Int) {
    self.init(capacity: capacity)
    append(bytes)
  }

  var bytes: [UInt8] { [UInt8](copying: readable) }
}

/// How content comes and how it goes.
struct FlowCase: CustomTestStringConvertible, Sendable {
  let name: String
  let incoming: BodyFraming
  /// The message as it comes, behind its head.
  let sent: String
  let content: String
  var trailers = ""

  var testDescription: String { name }

  static let all = [
    FlowCase(name: "none", incoming: .none, sent: "", content: ""),
    FlowCase(name: "length 0", incoming: .length(0), sent: "", content: ""),
    FlowCase(name: "length", incoming: .length(11), sent: "hello world", content: "hello world"),
    FlowCase(
      name: "chunked", incoming: .chunked, sent: "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
      content: "hello world"),
    FlowCase(name: "chunked, empty", incoming: .chunked, sent: "0\r\n\r\n", content: ""),
    FlowCase(
      name: "chunked with trailers", incoming: .chunked,
      sent: "b\r\nhello world\r\n0\r\nX-Sum: 42\r\nContent-Length: 7\r\n\r\n",
      content: "hello world", trailers: "X-Sum: 42\r\n"),
    FlowCase(
      name: "until the end", incoming: .untilClose, sent: "hello world", content: "hello world"),
  ]

  static let outgoing: [OutgoingFraming] = [.none, .length, .chunked, .untilClose]
}

/// A source that hands its bytes out piece by piece, and a target that is emptied whenever it is full.
struct FlowRun {
  var written: [UInt8] = []
  var flow: BodyFlow
  let head = Array("HEAD".utf8)
  private let source = Buffer(capacity: 256)
  private let target: Buffer
  /// What is behind the message on its connection.
  static let behind = Array("NEXT".utf8)

  init(_ incoming: BodyFraming, as framing: OutgoingFraming, targetBytes: Int, limit: UInt64 = .max)
  {
    flow = BodyFlow(incoming, as: framing, pinned: 4, limit: limit)
    target = Buffer(capacity: targetBytes)
    source.append(head)
  }

  /// Moves all of `pieces`, then ends the source.
  mutating func run(_ pieces: [[UInt8]]) throws {
    var pieces = pieces[...]
    var steps = 0
    while true {
      steps += 1
      try #require(steps < 2_000, "it makes no progress")
      switch try flow.move(from: source, to: target) {
      case .done:
        drain()
        return
      case .needsRoom:
        try #require(!target.isEmpty, "an empty target has too little room")
        drain()
      case .needsSource:
        // What was moved is gone, the head is not.
        #expect(source.bytes.starts(with: head))
        if let next = pieces.popFirst() {
          source.append(next)
        } else {
          if target.room < BodyFlow.endBytesMax { drain() }
          flow.sourceEnded(to: target)
          drain()
          return
        }
      }
    }
  }

  private mutating func drain() {
    written += target.bytes
    target.removeAll()
  }

  /// What stands behind the message in the source.
  var rest: [UInt8] {
    let bytes = source.bytes
    return Array(bytes[min(flow.end, bytes.count)...])
  }
}

/// Takes chunked content apart again; nil when it has no end.
func decodeChunked(_ bytes: [UInt8]) throws -> (content: [UInt8], trailers: [UInt8], end: Int)? {
  var decoder = BodyDecoder(.chunked)
  var content: [UInt8] = []
  var index = 0
  while true {
    switch try decoder.next(bytes.span, from: index) {
    case .data(let range):
      content += bytes[range]
      index = range.upperBound
    case .needMore: return nil
    case .end(let consumed): return (content, decoder.trailers, consumed)
    }
  }
}

struct BodyFlowTests {
  static let pairs = FlowCase.all.flatMap { example in
    FlowCase.outgoing.map { (example, $0) }
  }

  private func check(
    _ run: FlowRun, _ example: FlowCase, _ framing: OutgoingFraming, _ note: String
  ) throws {
    #expect(run.flow.isDone, "\(note)")
    #expect(run.flow.byteCount == UInt64(example.content.utf8.count), "\(note)")
    #expect(run.flow.remaining == 0 || run.flow.endsWithConnection, "\(note)")
    switch framing {
    case .none: #expect(run.written.isEmpty, "\(note)")
    case .length, .untilClose: #expect(run.written.text == example.content, "\(note)")
    case .chunked:
      let decoded = try #require(try decodeChunked(run.written), "no last chunk: \(note)")
      #expect(decoded.content.text == example.content, "\(note)")
      #expect(decoded.trailers.text == example.trailers, "\(note)")
      #expect(decoded.end == run.written.count, "\(note)")
    }
  }

  @Test(arguments: pairs)
  func `moves content from any framing to any other, cut after any byte`(
    _ example: FlowCase, _ framing: OutgoingFraming
  ) throws {
    let bytes = Array(example.sent.utf8)
    for cut in 0...bytes.count {
      var run = FlowRun(example.incoming, as: framing, targetBytes: 256)
      try run.run([Array(bytes[..<cut]), Array(bytes[cut...])].filter { !$0.isEmpty })
      try check(run, example, framing, "cut after \(cut)")
    }
    var run = FlowRun(example.incoming, as: framing, targetBytes: 256)
    try run.run(bytes.map { [$0] })
    try check(run, example, framing, "byte by byte")
  }

  @Test(arguments: pairs)
  func `moves content through targets of any size`(
    _ example: FlowCase, _ framing: OutgoingFraming
  ) throws {
    // Chunks need room for their own bytes, and the last one for its trailers.
    let least = framing == .chunked ? 17 + example.trailers.utf8.count : 1
    for size in least...(least + 40) {
      var run = FlowRun(example.incoming, as: framing, targetBytes: size)
      try run.run([Array(example.sent.utf8)])
      try check(run, example, framing, "target of \(size)")
    }
  }

  @Test(arguments: FlowCase.all.filter { $0.incoming != .untilClose })
  func `leaves what is behind the message, wherever it is cut`(_ example: FlowCase) throws {
    let bytes = Array(example.sent.utf8) + FlowRun.behind
    for cut in 0...bytes.count {
      var run = FlowRun(example.incoming, as: .length, targetBytes: 64)
      let pieces = [Array(bytes[..<cut]), Array(bytes[cut...])]
      try run.run(pieces.filter { !$0.isEmpty })
      #expect(run.written.text == example.content)
      // What came so far of it stands there, and nothing of the message.
      let seen = run.rest
      #expect(FlowRun.behind.starts(with: seen), "cut after \(cut): \(seen.text)")
      if cut == bytes.count, !example.sent.isEmpty { #expect(seen == FlowRun.behind) }
    }
  }

  @Test(arguments: [BodyFraming.length(11), .chunked, .untilClose], FlowCase.outgoing)
  func `stops at the limit and not below it`(
    _ incoming: BodyFraming, _ framing: OutgoingFraming
  ) throws {
    let sent = Array(
      (incoming == .chunked ? "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n" : "hello world").utf8)
    for limit in UInt64(0)...12 {
      for pieces in [[sent], sent.map { [$0] }] {
        var run = FlowRun(incoming, as: framing, targetBytes: 128, limit: limit)
        if limit < 11 {
          #expect(throws: BodyFault.tooLarge) { try run.run(pieces) }
          #expect(run.written.count <= Int(limit) + 64)
        } else {
          try run.run(pieces)
          #expect(run.flow.isDone)
        }
      }
    }
  }

  @Test(arguments: [
    "x", "5\nhello", "5\r\nhelloX", "5\r\nhello\r\r", "-1\r\n", " 5\r\n", "\r\n",
    "ffffffffffffffff\r\n",
  ])
  func `refuses what is no chunk, and never ends then`(_ sent: String) {
    for framing in FlowCase.outgoing {
      var run = FlowRun(.chunked, as: framing, targetBytes: 128)
      #expect(throws: BodyFault.malformedChunk) { try run.run([Array(sent.utf8)]) }
      #expect(!run.flow.isDone)
    }
  }

  @Test(arguments: [BodyFraming.length(5), .chunked], FlowCase.outgoing)
  func `content that is cut short never ends`(
    _ incoming: BodyFraming, _ framing: OutgoingFraming
  ) throws {
    let sent = Array((incoming == .chunked ? "5\r\nhello\r\n0\r\n\r\n" : "hello").utf8)
    for cut in 0..<sent.count {
      var run = FlowRun(incoming, as: framing, targetBytes: 128)
      try run.run([Array(sent[..<cut])].filter { !$0.isEmpty })
      #expect(!run.flow.isDone, "cut after \(cut)")
      #expect(!run.flow.endsWithConnection)
      #expect(try framing != .chunked || decodeChunked(run.written) == nil)
    }
  }

  @Test func `knows how much is to come`() throws {
    let source = Buffer(Array("HEADhello".utf8), capacity: 64)
    let target = Buffer(capacity: 3)
    var flow = BodyFlow(.length(9), as: .length, pinned: 4)
    #expect(flow.remaining == 9)
    #expect(try flow.move(from: source, to: target) == .needsRoom)
    #expect(flow.remaining == 6)
    target.removeAll()
    #expect(try flow.move(from: source, to: target) == .needsSource)
    #expect(flow.remaining == 4)
    #expect(BodyFlow(.chunked, as: .length, pinned: 0).remaining == nil)
    #expect(BodyFlow(.untilClose, as: .length, pinned: 0).remaining == nil)
    #expect(BodyFlow(.none, as: .length, pinned: 0).remaining == 0)
  }

  @Test func `passes much content on in full buffers`() throws {
    let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
    let source = Buffer(capacity: 32 << 10)
    let target = Buffer(capacity: 32 << 10)
    source.append("HEAD")
    var flow = BodyFlow(.length(300_000), as: .chunked, pinned: 4)
    var written: [UInt8] = []
    var offset = 0
    while true {
      let progress = try flow.move(from: source, to: target)
      if case .needsSource = progress {
        let piece = Array(content[offset..<min(offset + source.room, content.count)])
        offset += source.append(piece.span)
        continue
      }
      written += target.bytes
      target.removeAll()
      if case .done = progress { break }
    }
    let decoded = try #require(try decodeChunked(written))
    #expect(decoded.content == content)
    #expect(written.count < content.count + 600)
  }
}
