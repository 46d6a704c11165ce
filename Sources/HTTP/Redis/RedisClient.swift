package import Reactor
package import Wire

/// One worker's connection to a Redis server: commands go out one behind the other, and each reply
/// is the oldest command's.
///
/// Nobody ever waits for a connection. It is made, tried and made again by a task of its own
/// (`run`); while there is none a command is skipped, which costs nothing, so that a server that is
/// gone is felt once at most. After a failure the next connection gets one command at a time until
/// one was answered: a server that takes connections and answers nobody is asked by one caller
/// each few seconds.
///
/// A reply is matched to its command by nothing but order. So once a reply is late, or is none that
/// can be read, the connection is destroyed with everything on it: a late reply would be the next
/// command's (the way redis-py once gave people the answers of others). Each command on it is told
/// so, once.
package final class RedisClient {
  /// Prints as redacted, since it holds the password.
  package struct Settings: Sendable, CustomStringConvertible, CustomReflectable {
    package var username: [UInt8]?
    package var password: [UInt8]?
    package var database: Int
    /// For each reply.
    package var timeoutMs: Int64
    /// The longest pause between two attempts to connect.
    package var pauseMaxMs: Int64
    package var replies: RESPLimits
    /// Commands that wait for their replies at once.
    package var pendingMax: Int
    /// Bytes that the server has yet to take.
    package var outboundBytesMax: Int
    package var connectTimeoutMs: Int64

    package init(
      username: [UInt8]? = nil, password: [UInt8]? = nil, database: Int = 0, timeoutMs: Int64,
      pauseMaxMs: Int64 = 5_000, replies: RESPLimits, pendingMax: Int = 1_024,
      outboundBytesMax: Int = 4 << 20, connectTimeoutMs: Int64 = 2_000
    ) {
      self.username = username
      self.password = password
      self.database = database
      self.timeoutMs = timeoutMs
      self.pauseMaxMs = pauseMaxMs
      self.replies = replies
      self.pendingMax = pendingMax
      self.outboundBytesMax = outboundBytesMax
      self.connectTimeoutMs = connectTimeoutMs
    }

    package var description: String { "‹redacted›" }
    package var customMirror: Mirror { Mirror(self, children: []) }
  }

  /// A command on its way.
  private final class Pending {
    let waiter: Waiter?
    let deadlineMs: Int64
    var answer: RedisAnswer?

    init(_ waiter: Waiter?, deadlineMs: Int64) {
      self.waiter = waiter
      self.deadlineMs = deadlineMs
    }
  }

  private let settings: Settings
  private let pool: UpstreamPool
  private let loop: EventLoop
  private let onEvent: (RedisEvent) -> Void
  /// Of the task that keeps the connection.
  private let keeper: Waiter
  private var connection: UpstreamConnection?
  private var parser: RESPParser
  /// Oldest first, from `answered` on.
  private var pending: [Pending] = []
  private var answered = 0
  /// Lost connections since a command was answered.
  private var failures = 0
  private var hasEnded = false

  /// To be made on the loop's thread.
  ///
  /// - Parameter onEvent: is told of every connection that came about or was lost.
  package init(
    _ origin: Origin, settings: Settings, tls: TLSClientContext?, resolver: Resolver,
    buffers: BufferPool, loop: EventLoop, onEvent: @escaping (RedisEvent) -> Void
  ) {
    self.settings = settings
    self.loop = loop
    self.onEvent = onEvent
    keeper = Waiter(on: loop)
    parser = RESPParser(settings.replies)
    pool = UpstreamPool(
      origin,
      settings: UpstreamPool.Settings(
        connectTimeoutMs: settings.connectTimeoutMs, idleTimeoutMs: 0, idleMax: 0,
        resolveEveryMs: 30_000, headBytesMax: 0),
      tls: tls, resolver: resolver, buffers: buffers, count: ConnectionCount(max: 1), loop: loop)
  }

  /// Whether a command would be sent.
  package var isReady: Bool {
    guard let connection else { return false }
    let waiting = pending.count - answered
    return waiting < (failures == 0 ? settings.pendingMax : 1)
      && connection.outbound.count <= settings.outboundBytesMax
  }

  /// Sends a command and waits for its reply, until the deadline at most.
  ///
  /// - Parameter waiter: the calling task's own.
  package func ask(
    _ words: [[UInt8]], waiter: Waiter, untilMs deadlineMs: Int64
  ) async -> RedisAnswer {
    guard isReady, deadlineMs > loop.nowMs else { return .skipped }
    let command = Pending(waiter, deadlineMs: deadlineMs)
    begin(command, words)
    while true {
      if let answer = command.answer { return answer }
      let isSignalled = await waiter.wait(untilMs: deadlineMs)
      if !isSignalled, command.answer == nil {
        breakOff(.late)
        return command.answer ?? .lost
      }
    }
  }

  /// Sends a command whose reply nobody needs. It must come in time all the same.
  ///
  /// - Returns: whether it was sent.
  package func send(_ words: [[UInt8]]) -> Bool {
    guard isReady else { return false }
    begin(Pending(nil, deadlineMs: loop.nowMs + settings.timeoutMs), words)
    return true
  }

  private func begin(_ command: Pending, _ words: [[UInt8]]) {
    guard let connection else { return }
    if pending.count == answered { keeper.signal() }  // there is a deadline to keep now
    pending.append(command)
    write(words, to: connection)
    // What can't be written now, the keeper writes; what broke, it notices.
    if case .failed = connection.flush() { breakOff(.ended) }
  }

  private func write(_ words: [[UInt8]], to connection: UpstreamConnection) {
    let bytes = RESPCommand.write(words)
    var buffer = connection.requestBuffer()
    if buffer.room < bytes.count {
      buffer.compact()
      if buffer.room < bytes.count {
        buffer = connection.growRequestBuffer(toAtLeast: 2 * (buffer.count + bytes.count))
      }
    }
    buffer.append(bytes)
  }

  // The keeper's task.

  /// Keeps the connection, for ever; the worker runs it as a task.
  package func run() async {
    while !hasEnded {
      do throws(RedisFault) {
        try await open()
        onEvent(.connected)
        await serve()
      } catch {
        failures += 1
        onEvent(.lost(error))
      }
      await pause()
    }
  }

  /// Pauses before the next attempt: longer each time, and never as long as another worker or
  /// another gateway, so that a server that comes back is not met by all of them at once.
  private func pause() async {
    let longestMs = min(settings.pauseMaxMs, Int64(100) << Int64(min(max(failures - 1, 0), 10)))
    let untilMs = loop.nowMs + Int64.random(in: longestMs / 2...longestMs)
    while loop.nowMs < untilMs, !hasEnded { _ = await keeper.wait(untilMs: untilMs) }
  }

  /// Ends `run` when what was asked is answered; whoever asks from then on gets no answer.
  package func end() {
    hasEnded = true
    keeper.signal()
  }

  /// Connects, shows the password and finds out whether the server answers in time.
  private func open() async throws(RedisFault) {
    let fresh: UpstreamConnection
    do throws(ConnectFault) {
      fresh = try await pool.connect(
        for: keeper, untilMs: loop.nowMs + settings.connectTimeoutMs)
    } catch {
      throw .unconnected(CallFault.unconnected(error).text)
    }
    parser = RESPParser(settings.replies)
    do throws(RedisFault) {
      let untilMs = loop.nowMs + settings.connectTimeoutMs
      if let password = settings.password {
        let words = [Array("AUTH".utf8)] + (settings.username.map { [$0] } ?? []) + [password]
        try await exchange(words, on: fresh, untilMs)
      }
      if settings.database != 0 {
        let words = [Array("SELECT".utf8), Array("\(settings.database)".utf8)]
        try await exchange(words, on: fresh, untilMs)
      }
      // A stopped process takes connections too: only an answer shows that somebody is there.
      try await exchange([Array("PING".utf8)], on: fresh, loop.nowMs + settings.timeoutMs)
    } catch {
      pool.drop(fresh)
      throw error
    }
    connection = fresh
  }

  /// One command and its reply, before the connection is anybody's.
  private func exchange(
    _ words: [[UInt8]], on connection: UpstreamConnection, _ untilMs: Int64
  ) async throws(RedisFault) {
    write(words, to: connection)
    while true {
      switch connection.flush() {
      case .bytes, .wouldBlock: break
      case .ended, .failed: throw .ended
      }
      if let reply = try read(from: connection) {
        if case .error(let text) = reply { throw .refused(RedisErrorCode(text)) }
        return
      }
      let isSignalled = await keeper.wait(untilMs: untilMs)
      if !isSignalled { throw .late }
    }
  }

  /// The next reply; nil where it has not come yet.
  private func read(from connection: UpstreamConnection) throws(RedisFault) -> RESPReply? {
    while true {
      let received = connection.received
      if !received.isEmpty {
        let outcome: RESPParser.Outcome
        do throws(RESPFault) {
          let bytes = received.readable
          outcome = try parser.parse(bytes)
        } catch {
          throw .nonsense
        }
        if case .reply(let reply, let consumed) = outcome {
          received.consume(consumed)
          return reply
        }
      }
      switch connection.read() {
      case .bytes: continue
      case .wouldBlock:
        if connection.received.isEmpty { connection.releaseReceived() }
        return nil
      case .ended, .failed: throw .ended
      }
    }
  }

  /// Hands out replies until the connection is lost.
  private func serve() async {
    while let connection {
      if case .failed = connection.flush() {
        breakOff(.ended)
        return
      }
      do throws(RedisFault) {
        while let reply = try read(from: connection) {
          guard answered < pending.count else { throw .nonsense }
          answerOldest(.reply(reply))
        }
      } catch {
        breakOff(error)
        return
      }
      if hasEnded, answered >= pending.count {
        self.connection = nil
        pool.drop(connection)
        return
      }
      let deadlineMs = answered < pending.count ? pending[answered].deadlineMs : Int64.max
      let isSignalled = await keeper.wait(untilMs: deadlineMs)
      if !isSignalled, answered < pending.count, pending[answered].deadlineMs <= loop.nowMs {
        breakOff(.late)
      }
    }
  }

  private func answerOldest(_ answer: RedisAnswer) {
    let command = pending[answered]
    answered += 1
    if answered == pending.count || answered >= 256 {
      pending.removeFirst(answered)
      answered = 0
    }
    if case .reply = answer { failures = 0 }
    command.answer = answer
    command.waiter?.signal()
  }

  /// Destroys the connection; whoever waits on it is told, once.
  private func breakOff(_ fault: RedisFault) {
    guard let connection else { return }
    self.connection = nil
    pool.drop(connection)
    while answered < pending.count { answerOldest(.lost) }
    failures += 1
    onEvent(.lost(fault))
    keeper.signal()
  }
}
