import Glibc
import Reactor

/// The opening of one connection: addresses, sockets, the handshake.
extension UpstreamPool {
  /// How long an address has before the next one is tried beside it (RFC 8305 §5).
  private static let headStartMs: Int64 = 250
  /// How long a server whose queue in the kernel is full is left alone; sockets in the file system
  /// only.
  private static let crowdedPauseMs: Int64 = 10

  func openSocket(
    _ waiter: Waiter, _ untilMs: Int64
  ) async throws(ConnectFault) -> (Socket, SocketAddress?) {
    if let path = origin.path { return (try await openSocket(at: path, waiter, untilMs), nil) }
    var order: [SocketAddress]
    do throws(Resolver.Failure) {
      order = try await resolver.addresses(
        of: origin.host, port: origin.port, lifeMs: settings.resolveEveryMs, waiter: waiter,
        untilMs: untilMs)
    } catch {
      if loop.nowMs >= untilMs { throw .timedOut }
      throw .unreachable("\(origin.host): \(error.text)", .unresolved)
    }
    if addresses != nil {
      addresses?.note(order)
      order = addresses?.order(nowMs: loop.nowMs) ?? order
    }
    return try await openSocket(atOneOf: order, waiter, untilMs)
  }

  /// Looks whether the name has other addresses now.
  func lookAtAddresses(tell waiter: RemoteWaiter) {
    guard addresses != nil else { return }
    addresses?.note(
      resolver.known(
        origin.host, port: origin.port, lifeMs: settings.resolveEveryMs, tell: waiter))
  }

  private func openSocket(
    at path: String, _ waiter: Waiter, _ untilMs: Int64
  ) async throws(ConnectFault) -> Socket {
    while true {
      do throws(SystemError) {
        let socket = try Socket.connecting(toPath: path, on: loop)
        socket.waiter = waiter
        return socket
      } catch {
        guard error.code == EAGAIN else { throw fault(of: error, at: "unix:\(path)") }
        if loop.nowMs >= untilMs { throw .timedOut }
        _ = await waiter.wait(untilMs: min(untilMs, loop.nowMs + Self.crowdedPauseMs))
      }
    }
  }

  private func openSocket(
    atOneOf order: [SocketAddress], _ waiter: Waiter, _ untilMs: Int64
  ) async throws(ConnectFault) -> (Socket, SocketAddress?) {
    var underWay: [(socket: Socket, address: SocketAddress)] = []
    var begun = 0
    var nextAtMs = loop.nowMs
    var last = ConnectFault.unreachable("no address", .unresolved)
    func note(_ error: SystemError, _ address: SocketAddress) {
      addresses?.noteFailure(of: address, nowMs: loop.nowMs)
      last = fault(of: error, at: "\(address)")
    }
    while true {
      while begun < order.count, underWay.isEmpty || loop.nowMs >= nextAtMs {
        let address = order[begun]
        begun += 1
        do throws(SystemError) {
          let socket = try Socket.connecting(to: address, on: loop)
          socket.waiter = waiter
          underWay.append((socket, address))
          nextAtMs = loop.nowMs + Self.headStartMs
        } catch {
          note(error, address)
        }
      }
      var index = 0
      while index < underWay.count {
        let (socket, address) = underWay[index]
        do throws(SystemError) {
          if try socket.isConnected() { return (socket, address) }
          index += 1
        } catch {
          underWay.remove(at: index)
          nextAtMs = loop.nowMs
          note(error, address)
        }
      }
      if underWay.isEmpty, begun == order.count { throw last }
      if begun < order.count, underWay.isEmpty || loop.nowMs >= nextAtMs { continue }
      let wakeMs = begun < order.count ? min(nextAtMs, untilMs) : untilMs
      let isSignalled = await waiter.wait(untilMs: wakeMs)
      if !isSignalled, loop.nowMs >= untilMs {
        for (_, address) in underWay {
          addresses?.noteFailure(of: address, nowMs: loop.nowMs)
        }
        throw .timedOut
      }
    }
  }

  /// Whose fault it is that there is no connection: the server's, or this machine's.
  private func fault(of error: SystemError, at place: String) -> ConnectFault {
    let text = "\(place): \(SystemError.text(of: error.code))"
    switch error.code {
    case EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM: return .shortage(text)
    case ECONNREFUSED: return .unreachable(text, .refused)
    case ENETUNREACH, EHOSTUNREACH: return .unreachable(text, .noRoute)
    case ENOENT: return .unreachable(text, .absent)
    case EACCES, EPERM: return .unreachable(text, .forbidden)
    default: return .unreachable(text, .other)
    }
  }

  func secured(
    _ socket: Socket, _ waiter: Waiter, _ untilMs: Int64
  ) async throws(ConnectFault) -> ByteStream {
    guard origin.isEncrypted else { return ByteStream(socket) }
    guard let tls,
      let session = TLSSession(client: tls, name: origin.serverName, over: socket)
    else { throw .handshake("no session") }
    while true {
      switch session.handshake() {
      case .done: return ByteStream(socket, tls: session)
      case .failed(let fault): throw .handshake(fault.text)
      case .wouldBlock:
        let isSignalled = await waiter.wait(untilMs: untilMs)
        if !isSignalled { throw .timedOut }
      }
    }
  }
}
