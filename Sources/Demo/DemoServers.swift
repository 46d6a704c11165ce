import HTTP
import Reactor
import Wire

/// The demo's small servers, all on one loop: the identity provider and the services.
actor DemoServers {
  /// A socket and who answers there.
  struct Site: Sendable {
    let bound: ListeningSocket.Bound
    let answer: @Sendable (SmallRequest) -> SmallAnswer
  }

  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  private let buffers = BufferPool()

  private static let contentBytesMax = 1 << 20
  private static let acceptPauseMs: Int64 = 100
  private static let limits = ServerConnection.Limits(
    head: RequestHeadLimits(
      requestLineBytesMax: 8 << 10, headBytesMax: 64 << 10, fieldCountMax: 200),
    headerTimeoutMs: 10_000, idleTimeoutMs: 120_000)

  init(loop: EventLoop) { self.loop = loop }

  func start(_ sites: [Site]) {
    for site in sites { loop.spawn { await self.accept(at: site) } }
  }

  private func accept(at site: Site) async {
    // Without a descriptor left the gateway finds nobody here and says so.
    guard let socket = try? ListeningSocket(adopting: site.bound, on: loop) else { return }
    let waiter = Waiter(on: loop)
    socket.waiter = waiter
    while true {
      switch socket.accept(on: loop) {
      case .connection(let connection, _):
        loop.spawn { await self.serve(connection, site) }
      case .skipped: continue
      case .none: _ = await waiter.wait()
      case .exhausted: _ = await waiter.wait(untilMs: loop.nowMs + Self.acceptPauseMs)
      }
    }
  }

  private func serve(_ socket: Socket, _ site: Site) async {
    let waiter = Waiter(on: loop)
    socket.waiter = waiter
    let connection = ServerConnection(
      ByteStream(socket), waiter: waiter, buffers: buffers, limits: Self.limits)
    await connection.serveSmall(contentBytesMax: Self.contentBytesMax) { request in
      site.answer(request)
    }
  }
}
