import HTTP
import Reactor
import Wire

extension Forwarder {
  /// A connection that has become another protocol's: bytes in both directions, until both have
  /// ended (RFC 9110 §7.8).
  ///
  /// Each direction has one buffer at most, and none while nothing is on its way: it is read from
  /// only when all of it has been written, so a side that takes nothing stops the other one. An
  /// end is passed on when what came before it is out, and the other direction goes on. A break is
  /// passed on as a break.
  ///
  /// It ends at the latest with the caller's token, because what was allowed then is allowed no
  /// longer, and with the process's grace.
  struct Tunnel: ~Copyable {
    private enum Direction {
      case open
      /// Its source has ended; what came before may not be out yet.
      case ending
      case over
    }

    private let request: Request
    private let connection: ServerConnection
    private let upstream: UpstreamConnection
    private let loop: EventLoop
    private let idleTimeoutMs: Int64
    /// When the caller's token ends, on the wall clock; `Int64.max` without one.
    private let tokenEndsWallMs: Int64

    /// Caller to server, and what is on its way there.
    private var up = Direction.open
    private let ahead: Buffer
    /// Server to caller; on its way is what the connection to the server has received.
    private var down = Direction.open
    /// Who broke it off.
    private var broken: AccessRecord.Aborted?
    private var movedAtMs: Int64
    /// One direction has had its share of this turn.
    private var mustPause = false

    /// What one direction moves before the other has its turn.
    private static let bytesPerTurn = Limits.bytesPerTurn / 2

    /// Begins the tunnel; the 101 is in the caller's buffer.
    init(
      _ request: Request, _ upstream: UpstreamConnection, _ route: Route, _ forward: Route.Forward
    ) {
      self.request = request
      connection = request.connection
      self.upstream = upstream
      loop = connection.waiter.loop
      idleTimeoutMs = forward.idleTimeoutMs
      tokenEndsWallMs = Self.tokenEnd(of: request, route)
      ahead = connection.beginTunnel()
      request.record.tunnelBytesIn = UInt64(ahead.count)
      movedAtMs = loop.nowMs
    }

    private static func tokenEnd(of request: Request, _ route: Route) -> Int64 {
      guard case .checked(let check) = route.access, let token = request.record.caller else {
        return .max
      }
      return check.isExchanging ? token.expiresAtMs : token.graceEndsAtMs
    }

    /// Moves bytes until the tunnel ends.
    mutating func run() async -> Attempt {
      let end = await moveAll()
      connection.buffers.give(ahead)
      // Who reads on must not take what it has for whole.
      if case .aborted(.client, _) = end { upstream.stream.socket.resetOnClose() }
      return end
    }

    private mutating func moveAll() async -> Attempt {
      while true {
        moveUp()
        moveDown()
        if up == .over, down == .over {
          guard let broken else { return .answered }
          return .aborted(broken, broken == .client ? .callerGone : .upstreamFailed)
        }
        if mustPause {
          mustPause = false
          await connection.waiter.pause()
        } else {
          _ = await connection.waiter.wait(untilMs: endMs())
        }
        if let end = endReached() { return end }
      }
    }

    private mutating func moveUp() {
      var moved = 0
      moving: while up != .over {
        if !ahead.isEmpty {
          switch upstream.stream.write(from: ahead) {
          case .bytes(let count):
            moved += count
            movedAtMs = loop.nowMs
          case .wouldBlock: return
          // It listens no more; what it has to say is still heard.
          case .ended, .failed:
            ahead.removeAll()
            up = .over
          }
        } else if up == .ending {
          upstream.stream.endWriting()
          up = .over
        } else {
          guard mayRead(connection.stream, moved) else { break moving }
          if ahead.capacity == 0 { connection.buffers.fill(ahead) }
          switch connection.readTunnel(into: ahead) {
          case .bytes(let count): request.record.tunnelBytesIn += UInt64(count)
          case .wouldBlock: break moving
          case .ended: up = .ending
          // Many a caller ends TLS without a word once all has been said.
          case .failed(.truncated) where down != .open: up = .ending
          case .failed: stop(.client)
          }
        }
      }
      if ahead.isEmpty {
        connection.buffers.give(ahead)
      }
    }

    private mutating func moveDown() {
      var moved = 0
      moving: while down != .over {
        if !connection.outbound.isEmpty {
          switch connection.flush() {
          case .bytes: movedAtMs = loop.nowMs
          case .wouldBlock: return
          case .ended, .failed: loseReader()
          }
        } else if !upstream.received.isEmpty {
          switch connection.writeTunnel(from: upstream.received) {
          case .bytes(let count):
            moved += count
            movedAtMs = loop.nowMs
          case .wouldBlock: return
          case .ended, .failed: loseReader()
          }
        } else if down == .ending {
          connection.stream.endWriting()
          down = .over
        } else {
          guard mayRead(upstream.stream, moved) else { break moving }
          switch upstream.read() {
          case .bytes: continue moving
          case .wouldBlock: break moving
          case .ended: down = .ending
          case .failed: stop(.upstream)
          }
        }
      }
      if upstream.received.isEmpty { upstream.releaseReceived() }
    }

    /// Whether a source has something, and the direction its share of the turn left.
    private mutating func mayRead(_ source: ByteStream, _ moved: Int) -> Bool {
      if !source.canRead { return false }
      if moved < Self.bytesPerTurn { return true }
      mustPause = true
      return false
    }

    /// The caller takes no more, and what is on its way to it is lost; what it has sent is not.
    private mutating func loseReader() {
      broken = broken ?? .client
      down = .over
    }

    /// One side is no more; what it has sent before has been read, and written.
    private mutating func stop(_ side: AccessRecord.Aborted) {
      broken = broken ?? side
      up = .over
      down = .over
    }

    /// When the tunnel ends if nothing moves until then.
    private func endMs() -> Int64 {
      min(movedAtMs + idleTimeoutMs, connection.tunnelEndsMs, tokenEndMs())
    }

    private func tokenEndMs() -> Int64 {
      if tokenEndsWallMs == .max { return .max }
      let leftMs = tokenEndsWallMs - Clock.wallMs()
      return leftMs > Milliseconds.day * 365 ? .max : loop.nowMs + max(0, leftMs)
    }

    /// Says why the tunnel ends now; an orderly end, to both sides.
    private mutating func endReached() -> Attempt? {
      if loop.nowMs < endMs() { return nil }
      if loop.nowMs >= tokenEndMs() {
        request.record.reason = .tokenExpired
      } else if loop.nowMs >= connection.tunnelEndsMs {
        // The process ends: nobody's fault.
      } else if !upstream.received.isEmpty || !connection.outbound.isEmpty {
        return .aborted(.client, .requestTimeout)
      } else if !ahead.isEmpty {
        return .aborted(.upstream, .upstreamTimeout)
      } else {
        request.record.reason = .requestTimeout
      }
      upstream.stream.endWriting()
      return .answered
    }
  }
}
