import Crypto
import HTTP
import OAuth
import Reactor
import Synchronization
import Wire

/// One worker's way to the shared cache.
///
/// Gateways that miss one token together make one exchange between them: who looks first and finds
/// neither token nor lock takes the lock, in one step, and the others look again now and then until
/// the token is there. When the lock vanishes without one (the exchange was refused, or its gateway
/// died and no longer renews the lock) or has stood for most of the time that an exchange may take,
/// each exchanges for itself in what is left of that time. Refusals are never shared.
///
/// A token that is refreshed is good as it is, so nobody waits there: who finds the lock taken goes
/// on with the token that it has, and finds the new one when it looks again.
///
/// A request waits for the server itself `timeout` at most in all: for its first look, and, should
/// the server slow down then, for the last one in what that has left. The time in which another
/// gateway's exchange is under way is not the server's. What is put away is not waited for. A lock
/// whose taker never learnt of it, because the reply came too late, ends after `timeout` too: until
/// it is confirmed it lasts no longer.
final class SharedCacheLink {
  enum Sought {
    case found(IssuedToken)
    /// Nobody has it, and others wait for this gateway to have it.
    case ours(lock: [UInt8])
    /// Another gateway is having it refreshed.
    case elsewhere
    /// Nobody has it, as far as could be found out.
    case missing
  }

  let shared: SharedCache
  private let client: RedisClient
  private let loop: EventLoop
  /// Locks of exchanges under way.
  private var held: [SHA256Digest: Held] = [:]
  private let lockKeeper: Waiter
  private var hasEnded = false
  private let standing: Standing

  /// Whether the connection stands.
  private final class Standing {
    var isConnected = false
  }

  private struct Held {
    let commands: SharedCacheCommands
    let lock: [UInt8]
  }

  init(
    _ shared: SharedCache, resolver: Resolver, buffers: BufferPool, loop: EventLoop, workers: Int
  ) {
    self.shared = shared
    self.loop = loop
    lockKeeper = Waiter(on: loop)
    let settings = shared.settings
    let standing = Standing()
    self.standing = standing
    client = RedisClient(
      Origin(
        host: settings.url.host.text, port: settings.url.port, isEncrypted: settings.url.isSecure),
      settings: RedisClient.Settings(
        username: settings.username?.bytes, password: settings.password?.revealed,
        database: settings.url.database, timeoutMs: settings.timeoutMs,
        replies: RESPLimits(bulkBytesMax: Limits.sharedEntryBytesMax)),
      tls: shared.context, resolver: resolver, buffers: buffers, loop: loop
    ) { event in
      switch event {
      case .connected:
        standing.isConnected = true
        shared.noteConnected(workers: workers)
      case .lost(let fault):
        shared.noteLost(fault, wasConnected: standing.isConnected)
        standing.isConnected = false
      }
    }
  }

  /// Whether this is the way to that cache.
  func isLink(to cache: SharedCache) -> Bool { shared === cache }

  /// Keeps the connection, until `end`.
  func run() async {
    await client.run()
    if standing.isConnected { shared.noteEnded() }
  }

  /// Another link takes its place.
  func end() {
    hasEnded = true
    client.end()
    lockKeeper.signal()
  }

  /// Renews the locks of exchanges under way, until `end` and the last of them.
  func keepLocks() async {
    while !hasEnded || !held.isEmpty {
      if held.isEmpty {
        _ = await lockKeeper.wait()
        continue
      }
      let againMs = loop.nowMs + Limits.sharedLockRenewEveryMs
      while await lockKeeper.wait(untilMs: againMs) {}
      for held in held.values { renew(held) }
    }
  }

  private func renew(_ held: Held) {
    _ = client.send(held.commands.renew(lock: held.lock, lifeMs: Limits.sharedLockMs))
  }

  private func hold(_ key: SHA256Digest, _ commands: SharedCacheCommands, lock: [UInt8]) {
    if held.isEmpty { lockKeeper.signal() }
    let taken = Held(commands: commands, lock: lock)
    held[key] = taken
    renew(taken)
  }

  /// Looks for a token before it is exchanged.
  ///
  /// - Parameter waitMs: for how long another gateway's exchange may be waited for.
  func seek(_ key: SHA256Digest, waiter: Waiter, waitMs: Int64) async -> Sought {
    guard client.isReady else {
      shared.numbers.skipped.count()
      return .missing
    }
    do throws(CryptoFault) {
      let commands = try SharedCacheCommands(shared.seal, key)
      let lock = try RandomBytes.make(count: 16)
      return await seek(key, commands, lock: Hex.encode(lock.span), waiter, waitMs)
    } catch {
      // Without random bytes or digests nothing works; the exchange will say so.
      return .missing
    }
  }

  private func seek(
    _ key: SHA256Digest, _ commands: SharedCacheCommands, lock: [UInt8], _ waiter: Waiter,
    _ waitMs: Int64
  ) async -> Sought {
    let beganMs = loop.nowMs
    let timeoutMs = shared.settings.timeoutMs
    let lockMs = min(timeoutMs, Limits.sharedLockMs)
    var answer = await ask(commands.look(lock: lock, lockMs: lockMs), waiter, timeoutMs)
    if case .nothing(let isOurs) = answer, isOurs {
      shared.numbers.misses.count()
      hold(key, commands, lock: lock)
      return .ours(lock: lock)
    }
    let spentMs = loop.nowMs - beganMs
    var pauseMs = Limits.sharedLookFirstMs
    while case .nothing = answer, loop.nowMs < beganMs + waitMs {
      let againMs = loop.nowMs + pauseMs
      while await waiter.wait(untilMs: againMs) {}
      pauseMs = min(2 * pauseMs, Limits.sharedLookEveryMs)
      answer = await ask(commands.look(), waiter, max(1, timeoutMs - spentMs))
      if case .nothing(let isFree) = answer, isFree { break }
    }
    let sought = open(answer, key)
    if case .found = sought, pauseMs > Limits.sharedLookFirstMs {
      shared.numbers.awaited.count()
    }
    return sought
  }

  /// Looks for a token that another gateway has had since `old`, before `old` is refreshed.
  func seek(
    _ key: SHA256Digest, newerThan old: IssuedToken, waiter: Waiter
  ) async -> Sought {
    guard client.isReady else {
      shared.numbers.skipped.count()
      return .missing
    }
    do throws(CryptoFault) {
      let commands = try SharedCacheCommands(shared.seal, key)
      let random = try RandomBytes.make(count: 16)
      let lock = Hex.encode(random.span)
      let timeoutMs = shared.settings.timeoutMs
      let lockMs = min(timeoutMs, Limits.sharedLockMs)
      let answer = await ask(commands.refresh(lock: lock, lockMs: lockMs), waiter, timeoutMs)
      switch answer {
      case .nothing(isFree: false): return .elsewhere
      case .entry(let sealed):
        switch shared.seal.open(sealed, for: key, nowMs: Clock.wallMs()) {
        case .token(let token)
        where token.bytes != old.bytes && token.endsAtMs ?? 0 > old.endsAtMs ?? 0:
          shared.numbers.hits.count()
          _ = client.send(commands.release(lock: lock))
          return .found(token)
        case .unreadable: shared.noteUnreadable()
        case .token, .ended: break
        }
      case .nothing: break
      case .none: return .missing
      }
      shared.numbers.misses.count()
      hold(key, commands, lock: lock)
      return .ours(lock: lock)
    } catch {
      return .missing
    }
  }

  private func open(_ answer: Answer, _ key: SHA256Digest) -> Sought {
    if case .entry(let sealed) = answer {
      switch shared.seal.open(sealed, for: key, nowMs: Clock.wallMs()) {
      case .token(let token):
        shared.numbers.hits.count()
        return .found(token)
      case .ended: break
      case .unreadable: shared.noteUnreadable()
      }
    }
    shared.numbers.misses.count()
    return .missing
  }

  /// Puts away what came of an exchange, or lets go of what others wait for.
  ///
  /// - Parameter keptUntilMs: nil for a token that is not kept.
  func settle(
    _ sought: Sought, _ key: SHA256Digest, issued: IssuedToken?, keptUntilMs: Int64?, nowMs: Int64
  ) {
    let lock: [UInt8]?
    switch sought {
    case .found, .elsewhere: return
    case .ours(let ours):
      lock = ours
      held[key] = nil
    case .missing: lock = nil
    }
    do throws(CryptoFault) {
      guard client.isReady else { return }
      if let issued, let keptUntilMs, keptUntilMs > nowMs {
        let sealed = try shared.seal.seal(issued, keptUntilMs: keptUntilMs, for: key)
        let commands = try SharedCacheCommands(shared.seal, key)
        if client.send(commands.put(sealed, lifeMs: keptUntilMs - nowMs, lock: lock ?? [])) {
          shared.numbers.stored.count()
        }
      } else if let lock {
        _ = client.send(try SharedCacheCommands(shared.seal, key).release(lock: lock))
      }
    } catch {
      // Not put away, then; the lock ends by itself.
    }
  }

  /// Takes a token away for everybody: a service has refused it.
  func remove(_ key: SHA256Digest) {
    guard client.isReady else { return }
    do throws(CryptoFault) {
      if client.send(try SharedCacheCommands(shared.seal, key).remove()) {
        shared.numbers.removed.count()
      }
    } catch {
      // As if the server could not be reached: what is there ends at its time.
    }
  }

  private enum Answer {
    case entry([UInt8])
    /// No token. Whether there is no lock of another gateway either: where this look was to take
    /// it, it has been taken.
    case nothing(isFree: Bool)
    /// None that helps.
    case none
  }

  private func ask(_ command: [[UInt8]], _ waiter: Waiter, _ timeoutMs: Int64) async -> Answer {
    switch await reply(to: command, waiter, timeoutMs) {
    case nil: return .none
    case .bulk(let sealed): return .entry(sealed)
    case .integer(0): return .nothing(isFree: false)
    case .integer(1): return .nothing(isFree: true)
    case .integer, .text, .null, .array: shared.noteNonsense()
    case .error: break
    }
    return .none
  }

  /// What the server says to a command; nil where it says nothing in time, or refuses.
  func reply(
    to command: [[UInt8]], _ waiter: Waiter, _ timeoutMs: Int64
  ) async -> RESPReply? {
    let beganNs = Clock.monotonicNs()
    switch await client.ask(command, waiter: waiter, untilMs: loop.nowMs + timeoutMs) {
    case .skipped:
      shared.numbers.skipped.count()
      return nil
    case .lost:
      shared.numbers.errors.count()
      return nil
    case .reply(let reply):
      shared.numbers.replies.count()
      let tookNs = UInt64(max(0, Clock.monotonicNs() - beganNs))
      shared.numbers.replyNs.add(tookNs, ordering: .relaxed)
      guard case .error(let text) = reply else { return reply }
      shared.note(RedisErrorCode(text))
      return nil
    }
  }
}
