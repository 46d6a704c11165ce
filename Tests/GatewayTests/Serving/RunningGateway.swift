import HTTP
import Reactor
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Gateway

/// A gateway of one worker in this process, its port the system's choice, its log in a folder of
/// its own.
final class RunningGateway: Sendable {
  private let gateway: Gateway
  private let folder: TemporaryFolder
  private let logPath: String
  private let stopped = Mutex(false)

  /// - Parameters:
  ///   - routes: the file's `routes`, JSON.
  ///   - keys: other keys of the file, JSON.
  init(routes: String, keys: [(String, String)] = []) throws {
    folder = try TemporaryFolder(in: "/tmp", name: "tollgate-test")
    logPath = folder.file("access.log")
    let text = file(
      [
        ("workers", "1"), ("admin", "\"off\""), ("accessLog", "{\"path\": \"\(logPath)\"}"),
        ("listeners", #"[{"address": "127.0.0.1:0"}]"#), ("issuers", nil), ("exchanges", nil),
        ("upstreams", nil), ("routes", routes),
      ] + keys.map { ($0.0, Optional($0.1)) })
    gateway = try Gateway.start(configuration(text)) { _ in }
  }

  /// A public route to `server` for every path.
  static func forwarding(
    to server: ScriptedServer, more: String = "", keys: [(String, String)] = []
  ) throws -> RunningGateway {
    try RunningGateway(
      routes: """
        [{"match": {"path": "/*"}, "authenticate": "none",
          "forward": {"to": "http://\(server.address)", "via": false \(more)}}]
        """, keys: keys)
  }

  var address: SocketAddress { gateway.addresses[0] }

  func connect() throws -> FarEnd { try FarEnd.connect(to: address) }

  /// Ends the gateway; what it logged, a line a request.
  func finish() throws -> [JSONNode] {
    stopped.withLock { $0 = true }
    gateway.stop()
    let bytes = try Files.read(logPath, bytesMax: 1 << 24)
    return try bytes.split(separator: UInt8(ascii: "\n")).map { line in
      try JSONParser(.strict, bytesMax: 1 << 20).parse(Array(line))
    }
  }

  deinit { if !stopped.withLock({ $0 }) { gateway.stop() } }
}

/// An answer as a caller reads it.
struct Answer {
  let status: Int
  let head: String
  let content: [UInt8]
}

extension FarEnd {
  /// Reads an answer whose content has a length, or none.
  func receiveAnswer(toHead: Bool = false) throws -> Answer {
    let head = try receive(through: "\r\n\r\n").text
    let status = Int(head.dropFirst(9).prefix(3)) ?? 0
    var length = 0
    for line in head.split(separator: "\r\n") where line.lowercased().hasPrefix("content-length:") {
      length = Int(line.dropFirst(15).filter { $0 != " " }) ?? 0
    }
    var content: [UInt8] = []
    while !toHead, content.count < length {
      let more = try receive(atMost: length - content.count)
      if more.isEmpty { throw Impatience("content of \(length) bytes, had \(content.count)") }
      content += more
    }
    return Answer(status: status, head: head, content: content)
  }

  /// Whether the other side ended the connection in an orderly way.
  func isEnded() throws -> Bool { try receive().isEmpty }
}

extension JSONNode {
  func text(_ name: UTF8Text) -> String? { self[name]?.string?.string }
}
