import Crypto
import HTTP
import Reactor
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Gateway
@testable import OAuth

/// A worker's way to a scripted Redis.
private final class Linked {
  let shared: SharedCache
  let link: SharedCacheLink
  let waiter: Waiter
  private let loop: EventLoop

  init(
    _ stage: isolated Stage, to server: ScriptedServer, timeoutMs: Int64 = Stage.patienceMs,
    keys: Int = 1
  ) throws {
    let url = try RedisURL(UTF8Text("redis://\(server.address)"))
    let settings = SharedCacheSettings(
      url: url, username: nil, password: nil, ca: nil, timeoutMs: timeoutMs,
      keys: (1...keys).map { Secret([UInt8](repeating: UInt8($0), count: 32), origin: .literal) })
    shared = try #require(try SharedCache(settings, nil) { _ in })
    loop = stage.loop
    link = SharedCacheLink(
      shared, resolver: Resolver(), buffers: BufferPool(), loop: stage.loop, workers: 1)
    waiter = stage.makeWaiter()
    let link = link
    stage.loop.spawn {
      _ = stage
      await link.run()
    }
  }

  func untilConnected() async { await until { $0.connections == 1 } }

  func until(_ condition: (SharedCacheMetrics) -> Bool) async {
    let endMs = loop.nowMs + Stage.patienceMs
    while !condition(shared.metrics), loop.nowMs < endMs {
      _ = await waiter.wait(untilMs: loop.nowMs + 1)
    }
  }

  func seek(_ key: SHA256Digest, waitMs: Int64 = Stage.patienceMs) async -> String {
    switch await link.seek(key, waiter: waiter, waitMs: waitMs) {
    case .found: "found"
    case .ours: "ours"
    case .elsewhere: "elsewhere"
    case .missing: "missing"
    }
  }
}

extension FarEnd {
  /// The words of the next command; none at the end.
  fileprivate func command() throws -> [String] {
    var parser = RESPParser(RESPLimits(bulkBytesMax: 10_000))
    var bytes: [UInt8] = []
    while true {
      let more = try receive(atMost: 1)
      if more.isEmpty { return [] }
      bytes += more
      if case .reply(.array(let words), _) = try parser.parse(bytes.span) {
        return words.map { word in
          if case .bulk(let text) = word { text.text } else { "?" }
        }
      }
    }
  }

  /// The same; none either for the `DEL` with which a test ends.
  fileprivate func commandBeforeTheLast() throws -> [String] {
    let words = try command()
    return words.first == "DEL" ? [] : words
  }

  fileprivate func greet() throws {
    _ = try command()
    try send("+PONG\r\n")
  }
}

struct SharedCacheLinkTests {
  private let key = SHA256Digest.make(1, 2)

  @Test func `takes a token away under the names of every key`() async throws {
    let seen = Mutex<[String]>([])
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        let words = try peer.command()
        seen.withLock { $0 = words }
        try peer.send(":2\r\n")
      }
    ])
    try await Stage.run { [key] stage in
      let linked = try Linked(stage, to: server, keys: 2)
      await linked.untilConnected()
      linked.link.remove(key)
      #expect(linked.shared.metrics.removed == 1)
      let names = try linked.shared.seal.names(of: key).map(\.text)
      let endMs = stage.patience
      while seen.withLock({ $0.isEmpty }), stage.loop.nowMs < endMs { await stage.turn() }
      #expect(names.count == 2)
      #expect(seen.withLock { $0 } == ["DEL"] + names)
    }
    try server.finish()
  }

  @Test func `waits for another gateway's exchange no longer than it is told to`() async throws {
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        while try !peer.commandBeforeTheLast().isEmpty { try peer.send(":0\r\n") }
      }
    ])
    try await Stage.run { [key] stage in
      let linked = try Linked(stage, to: server)
      await linked.untilConnected()
      #expect(await linked.seek(key, waitMs: 60) == "missing")
      let metrics = linked.shared.metrics
      #expect(metrics.misses == 1 && metrics.hits == 0 && metrics.errors == 0)
      #expect(metrics.replies >= 2)
      linked.link.remove(key)
    }
    try server.finish()
  }

  @Test func `does not wait for a server that falls silent, nor ask it again`() async throws {
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        _ = try peer.command()
        try peer.send(":0\r\n")
        while try !peer.command().isEmpty {}
      }
    ])
    try await Stage.run { [key] stage in
      let linked = try Linked(stage, to: server, timeoutMs: 300)
      await linked.untilConnected()
      // The exchange of the other gateway might take longer than this test may.
      #expect(await linked.seek(key, waitMs: .max / 2) == "missing")
      #expect(linked.shared.metrics.errors == 1)
      #expect(await linked.seek(key) == "missing")
      #expect(linked.shared.metrics.skipped == 1)
    }
    try server.finish()
  }

  @Test func `finds nobody's token when the exchange it waited for was refused`() async throws {
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        var answers = [":0\r\n", ":0\r\n", ":1\r\n"]
        while try !peer.commandBeforeTheLast().isEmpty {
          try peer.send(answers.isEmpty ? "+OK\r\n" : answers.removeFirst())
        }
      }
    ])
    try await Stage.run { [key] stage in
      let linked = try Linked(stage, to: server)
      await linked.untilConnected()
      // The third look took no lock: whoever waits then exchanges, all at once and not in turn.
      #expect(await linked.seek(key) == "missing")
      linked.link.remove(key)
    }
    try server.finish()
  }

  @Test func `takes a newer token for one that ends soon, else the lock, else waits for nobody`()
    async throws
  {
    let replies = Mutex<[[UInt8]]>([])
    let seen = Mutex<[[String]]>([])
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        while true {
          let words = try peer.commandBeforeTheLast()
          if words.isEmpty { return }
          seen.withLock { $0.append(words) }
          // Locks are renewed and let go in between: only a look is answered by the script.
          let isLook = words[1].contains("EXISTS")
          let reply = replies.withLock {
            isLook && !$0.isEmpty ? $0.removeFirst() : Array(":1\r\n".utf8)
          }
          try peer.send(reply)
        }
      }
    ])
    try await Stage.run { [key] stage in
      let linked = try Linked(stage, to: server)
      await linked.untilConnected()
      let nowMs = Clock.wallMs()
      let old = IssuedToken([1], endsAtMs: nowMs + 50_000)
      func look(_ reply: [UInt8]) async -> SharedCacheLink.Sought {
        replies.withLock { $0 = [reply] }
        let sought = await linked.link.seek(key, newerThan: old, waiter: linked.waiter)
        if case .ours = sought {
          linked.link.settle(sought, key, issued: nil, keptUntilMs: nil, nowMs: nowMs)
        }
        return sought
      }
      func entry(_ token: IssuedToken) throws -> [UInt8] {
        let sealed = try linked.shared.seal.seal(token, keptUntilMs: nowMs + 40_000, for: key)
        return Array("$\(sealed.count)\r\n".utf8) + sealed + Array("\r\n".utf8)
      }
      guard case .elsewhere = await look(Array(":0\r\n".utf8)) else {
        Issue.record("somebody else has the lock")
        return
      }
      for reply in [
        Array(":1\r\n".utf8), try entry(old), try entry(IssuedToken([2], endsAtMs: nowMs + 9_000)),
        Array("$2\r\nxx\r\n".utf8),
      ] {
        guard case .ours = await look(reply) else {
          Issue.record("nobody has a newer one")
          return
        }
      }
      let newer = try entry(IssuedToken([2], endsAtMs: nowMs + 90_000))
      guard case .found(let found) = await look(newer) else {
        Issue.record("a newer one is there")
        return
      }
      #expect(found.bytes == [2])
      // The lock that came with it is let go.
      await linked.until { _ in seen.withLock { $0.last?.suffix(2) == ["", ""] } }
      let words = seen.withLock { $0.suffix(2) }
      #expect(words.first?[5] == words.last?[5])
      linked.link.remove(key)
    }
    try server.finish()
  }

  @Test func `locks for a moment, then for as long as the exchange goes on`() async throws {
    let seen = Mutex<[[String]]>([])
    let server = try ScriptedServer([
      { peer in
        try peer.greet()
        while true {
          let words = try peer.commandBeforeTheLast()
          if words.isEmpty { return }
          seen.withLock { $0.append(words) }
          try peer.send(":1\r\n")
        }
      }
    ])
    try await Stage.run { [key] stage in
      let linked = try Linked(stage, to: server, timeoutMs: 500)
      let link = linked.link
      stage.loop.spawn {
        _ = stage
        await link.keepLocks()
      }
      await linked.untilConnected()
      guard case .ours(let lock) = await link.seek(key, waiter: linked.waiter, waitMs: 1_000)
      else {
        Issue.record("not ours")
        return
      }
      await linked.until { _ in seen.withLock { $0.count } >= 4 }
      link.settle(.ours(lock: lock), key, issued: nil, keptUntilMs: nil, nowMs: 0)
      await linked.until { _ in seen.withLock { $0.last?.suffix(3).last == "" } }
      let commands = seen.withLock { $0 }
      let name = try linked.shared.seal.names(of: key)[0].text
      for command in commands {
        #expect(Array(command[2...5]) == ["2", name, "\(name):lock", lock.text])
      }
      #expect(commands.first?.last == "500")
      #expect(commands.dropFirst().dropLast().allSatisfy { $0.last == "600" })
      #expect(commands.last?.suffix(2) == ["", ""])
      link.remove(key)
    }
    try server.finish()
  }
}
