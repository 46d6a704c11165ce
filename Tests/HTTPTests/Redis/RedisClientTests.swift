import Reactor
import TestSupport
import Testing
import Wire

@testable import HTTP

/// A client with a scripted server at its other end.
private final class Redis {
  let client: RedisClient
  let waiter: Waiter
  private let log: Log
  private let loop: EventLoop

  /// What the client told, in order.
  private final class Log {
    var events: [RedisEvent] = []
  }

  init(
    _ stage: isolated Stage, to server: ScriptedServer, timeoutMs: Int64 = Stage.patienceMs,
    change: (inout RedisClient.Settings) -> Void = { _ in }
  ) {
    let log = Log()
    self.log = log
    loop = stage.loop
    waiter = stage.makeWaiter()
    var settings = RedisClient.Settings(
      timeoutMs: timeoutMs, pauseMaxMs: 20, replies: RESPLimits(bulkBytesMax: 1_000))
    change(&settings)
    client = RedisClient(
      Origin(host: server.address.host, port: server.address.port, isEncrypted: false),
      settings: settings, tls: nil, resolver: Resolver(), buffers: BufferPool(), loop: stage.loop
    ) { log.events.append($0) }
    let client = client
    stage.loop.spawn {
      _ = stage
      await client.run()
    }
  }

  var events: [RedisEvent] { log.events }

  func until(_ condition: () -> Bool) async {
    let endMs = loop.nowMs + Stage.patienceMs
    while !condition(), loop.nowMs < endMs { _ = await waiter.wait(untilMs: loop.nowMs + 1) }
  }

  func ask(_ word: String, withinMs: Int64 = Stage.patienceMs) async -> RedisAnswer {
    await client.ask([Array(word.utf8)], waiter: waiter, untilMs: loop.nowMs + withinMs)
  }

  /// Asks without waiting; what came of it is put in its place.
  func begin(_ words: [String], _ stage: isolated Stage) -> Answers {
    let answers = Answers(count: words.count)
    let (client, loop) = (client, loop)
    for (index, word) in words.enumerated() {
      loop.spawn {
        _ = stage
        let answer = await client.ask(
          [Array(word.utf8)], waiter: Waiter(on: loop), untilMs: loop.nowMs + Stage.patienceMs)
        answers.put(answer, at: index)
      }
    }
    return answers
  }
}

private final class Answers {
  private(set) var list: [[RedisAnswer]]
  init(count: Int) { list = Array(repeating: [], count: count) }
  func put(_ answer: RedisAnswer, at index: Int) { list[index].append(answer) }
  var areComplete: Bool { list.allSatisfy { !$0.isEmpty } }
}

extension FarEnd {
  /// Reads a command, which must be this one.
  fileprivate func expect(_ words: String...) throws {
    let wanted = RESPCommand.write(words.map { Array($0.utf8) })
    var got: [UInt8] = []
    while got.count < wanted.count {
      let more = try receive(atMost: wanted.count - got.count)
      if more.isEmpty { throw Impatience("the end instead of \(words)") }
      got += more
    }
    if got != wanted { throw Impatience("\(got.text) instead of \(words)") }
  }

  /// Answers the greeting.
  fileprivate func greet() throws {
    try expect("PING")
    try send("+PONG\r\n")
  }

  fileprivate func waitForEnd() throws { _ = try receiveToEnd() }
}

extension RedisAnswer {
  fileprivate static func bulk(_ text: String) -> RedisAnswer { .reply(.bulk(Array(text.utf8))) }
}

struct RedisClientTests {
  @Test func `gives each command its own reply, however the bytes come`() async throws {
    let replies = Array("$1\r\nA\r\n:7\r\n*2\r\n$-1\r\n+x\r\n".utf8)
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        for cut in 0...replies.count {
          for word in ["a", "bb", "ccc"] { try peer.expect(word) }
          try peer.send(Array(replies[..<cut]))
          try peer.send(Array(replies[cut...]))
        }
      }
    ])
    try await Stage.run { stage in
      let redis = Redis(stage, to: server)
      await redis.until { redis.client.isReady }
      for _ in 0...replies.count {
        let answers = redis.begin(["a", "bb", "ccc"], stage)
        await redis.until { answers.areComplete }
        #expect(
          answers.list == [
            [.bulk("A")], [.reply(.integer(7))], [.reply(.array([.null, .text([120])]))],
          ])
      }
    }
    try server.finish()
  }

  @Test func `shows its password and chooses its database before anything else`() async throws {
    let server = try ScriptedServer([
      { peer in
        try peer.expect("AUTH", "user", "hunter2")
        try peer.send("+OK\r\n")
        try peer.expect("SELECT", "3")
        try peer.send("+OK\r\n")
        try peer.greet()
        try peer.expect("x")
        try peer.send("+y\r\n")
      }
    ])
    try await Stage.run { stage in
      let redis = Redis(stage, to: server) {
        $0.username = Array("user".utf8)
        $0.password = Array("hunter2".utf8)
        $0.database = 3
        var dumped = ""
        dump($0, to: &dumped)
        #expect(!dumped.contains("104"))
      }
      await redis.until { redis.client.isReady }
      #expect(await redis.ask("x") == .reply(.text([121])))
      #expect(redis.events.first == .connected)
    }
    try server.finish()
  }

  @Test(arguments: [
    ("-WRONGPASS invalid username-password pair\r\n", "WRONGPASS"),
    ("-ERR unknown command `AUTH`, with args beginning with: `hunter2`, \r\n", "ERR"),
    ("-hunter2 hunter2\r\n", "ERR"), ("-LOADING Redis is loading\r\n", "LOADING"),
  ])
  func `says by its code alone why a server refused it`(
    _ reply: String, _ code: String
  ) async throws {
    let server = try ScriptedServer([
      { peer in
        try peer.expect("AUTH", "hunter2")
        try peer.send(reply)
        try peer.waitForEnd()
      }
    ])
    try await Stage.run { stage in
      let redis = Redis(stage, to: server) { $0.password = Array("hunter2".utf8) }
      await redis.until { !redis.events.isEmpty }
      #expect(redis.events.first == .lost(.refused(RedisErrorCode(Array("\(code) x".utf8)))))
      #expect(!"\(redis.events)".contains("hunter2"))
      #expect(await redis.ask("x") == .skipped)
    }
    try server.finish()
  }

  @Test func `never takes a late reply for another command's`() async throws {
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        try peer.expect("first")
        try peer.waitForEnd()
        try? peer.send("+first\r\n")
      },
      { peer in
        try peer.greet()
        try peer.expect("second")
        try peer.send("+second\r\n")
      },
    ])
    try await Stage.run { stage in
      let redis = Redis(stage, to: server)
      await redis.until { redis.client.isReady }
      #expect(await redis.ask("first", withinMs: 20) == .lost)
      #expect(!redis.client.isReady)
      #expect(await redis.ask("in between") == .skipped)
      await redis.until { redis.client.isReady }
      #expect(await redis.ask("second") == .reply(.text(Array("second".utf8))))
      #expect(redis.events.prefix(3) == [.connected, .lost(.late), .connected])
    }
    try server.finish()
  }

  @Test func `lets a command that nobody waits for be late neither`() async throws {
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        try peer.expect("put")
        try peer.waitForEnd()
      }
    ])
    try await Stage.run { stage in
      let redis = Redis(stage, to: server, timeoutMs: 200)
      await redis.until { redis.client.isReady }
      #expect(redis.client.send([Array("put".utf8)]))
      await redis.until { redis.events.count > 1 }
      #expect(redis.events.prefix(2) == [.connected, .lost(.late)])
    }
    try server.finish()
  }

  @Test func `answers everybody once when the server dies in the middle`() async throws {
    let words = (0..<40).map { "w\($0)" }
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        for word in words { try peer.expect(word) }
        // Fifteen replies, and a part of the next.
        for index in 0..<15 { try peer.send(":\(index)\r\n") }
        try peer.send("$5\r\nhel")
        peer.end()
      }
    ])
    try await Stage.run { stage in
      let redis = Redis(stage, to: server)
      await redis.until { redis.client.isReady }
      let answers = redis.begin(words, stage)
      await redis.until { answers.areComplete }
      await stage.turn()
      #expect(
        answers.list
          == words.indices.map { [$0 < 15 ? .reply(.integer(Int64($0))) : .lost] })
      #expect(redis.events.prefix(2) == [.connected, .lost(.ended)])
    }
    try server.finish()
  }

  @Test(arguments: [
    "HTTP/1.1 400 Bad Request\r\n", "+a\r\n+nobody asked\r\n", "$1001\r\n", "*1000\r\n", ":x\r\n",
  ])
  func `leaves a connection on which nonsense came`(_ reply: String) async throws {
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        try peer.expect("x")
        try peer.send(reply)
        try peer.waitForEnd()
      }
    ])
    try await Stage.run { stage in
      let redis = Redis(stage, to: server)
      await redis.until { redis.client.isReady }
      let answer = await redis.ask("x")
      #expect(answer == .lost || reply.hasPrefix("+a"))
      await redis.until { redis.events.count > 1 }
      #expect(redis.events.prefix(2) == [.connected, .lost(.nonsense)])
    }
    try server.finish()
  }

  @Test func `skips a server that takes connections and answers nobody`() async throws {
    let silent: ScriptedServer.Script = { try $0.waitForEnd() }
    let server = try ScriptedServer([silent, silent, silent])
    try await Stage.run { stage in
      let redis = Redis(stage, to: server, timeoutMs: 20)
      await redis.until { redis.events.count >= 3 }
      #expect(redis.events.prefix(3) == [.lost(.late), .lost(.late), .lost(.late)])
      #expect(await redis.ask("x") == .skipped)
      #expect(!redis.client.send([Array("x".utf8)]))
    }
    try server.finish()
  }

  @Test func `risks one command at a time until a server that failed has answered one`()
    async throws
  {
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        peer.end()
      },
      { peer in
        try peer.greet()
        try peer.expect("one")
        try peer.send("+1\r\n")
        for word in ["two", "three"] { try peer.expect(word) }
        try peer.send("+2\r\n+3\r\n")
      },
    ])
    try await Stage.run { stage in
      let redis = Redis(stage, to: server)
      await redis.until { redis.events.count >= 3 && redis.client.isReady }
      let first = redis.begin(["one", "skipped"], stage)
      await redis.until { first.areComplete }
      #expect(first.list == [[.reply(.text([49]))], [.skipped]])
      let second = redis.begin(["two", "three"], stage)
      await redis.until { second.areComplete }
      #expect(second.list == [[.reply(.text([50]))], [.reply(.text([51]))]])
    }
    try server.finish()
  }

  @Test func `keeps no more commands waiting than it may`() async throws {
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        for word in ["a", "b"] { try peer.expect(word) }
        try peer.send("+A\r\n+B\r\n")
      }
    ])
    try await Stage.run { stage in
      let redis = Redis(stage, to: server) { $0.pendingMax = 2 }
      await redis.until { redis.client.isReady }
      let answers = redis.begin(["a", "b", "c"], stage)
      await redis.until { answers.areComplete }
      #expect(answers.list == [[.reply(.text([65]))], [.reply(.text([66]))], [.skipped]])
    }
    try server.finish()
  }

  @Test(arguments: [
    ("ERR unknown command", "ERR"), ("NOAUTH Authentication required.", "NOAUTH"),
    ("OOM command not allowed", "OOM"), ("", "ERR"), ("Quiet please", "ERR"),
    (
      "ERR Error running script (call to f_1): @user_script:3: -READONLY You can't write",
      "READONLY"
    ),
    ("NOPERM this user has no permissions", "NOPERM"), ("A\u{1B}[2J", "ERR"),
  ])
  func `reads the code of an error`(_ error: String, _ code: String) {
    #expect(RedisErrorCode(Array(error.utf8)).text == code)
  }
}
