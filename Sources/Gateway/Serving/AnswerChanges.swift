import HTTP
import Reactor
import Wire

/// What becomes of a server's answer on a route that changes it: fields set and removed, paths
/// named as callers know them, and `Access-Control-*` in the gateway's words.
final class AnswerChanges {
  private let fields: FieldRewrite?
  private let paths: PathMapping?
  private let pathRules: PathRules
  private let servers: [[UInt8]]
  /// What of an answer does not go on as it came.
  let stopped: FieldNameSet

  /// nil where answers go on as they are.
  init?(
    fields: FieldRewrite?, paths: PathMapping?, pathRules: PathRules, servers: [[UInt8]],
    hasOwnCORS: Bool
  ) {
    if fields == nil, paths == nil, !hasOwnCORS { return nil }
    self.fields = fields
    self.paths = paths
    self.pathRules = pathRules
    self.servers = servers.map { $0.map(ByteClass.lowercased) }
    var stopped = FieldNameSet()
    if paths != nil { stopped = stopped.union(FieldNameSet([.location, .setCookie])) }
    if hasOwnCORS {
      stopped = stopped.union(
        FieldNameSet([
          .accessControlOther, .accessControlRequestMethod, .accessControlRequestHeaders,
        ]))
    }
    self.stopped = stopped
  }

  /// Trailer fields that don't go on.
  var withheldTrailers: [FieldNameKey] { fields?.dropped ?? [] }

  /// Whether a line goes on as far as the operator's list decides.
  func keeps(_ line: FieldLine, in bytes: Span<UInt8>) -> Bool {
    fields?.keeps(line, in: bytes) ?? true
  }

  /// Lines that stand for those of `stopped`, and those that the gateway and the operator set.
  func lines(
    replacingIn head: ResponseHead, _ received: Buffer, for request: Request, isPrivate: Bool
  ) -> [UInt8] {
    var lines: [UInt8] = []
    if paths != nil {
      for line in head.fields
      where stopped.contains(line.known) && !line.isHopByHop && keeps(line, in: received.readable) {
        if let changed = rewritten(line, in: received, for: request) { lines += changed }
      }
    }
    if let fields { lines += fields.lines(for: request, isPrivate: isPrivate) }
    if let cors = request.cors { lines += cors.answerFields }
    return lines
  }

  /// A line of `stopped` as it goes on; nil where it doesn't.
  private func rewritten(_ line: FieldLine, in received: Buffer, for request: Request) -> [UInt8]? {
    let isLocation = line.known == .location
    guard let paths, isLocation || line.known == .setCookie else { return nil }
    let path = request.path.forwarded(pathRules)
    let prefix = path[..<paths.strippedCount(of: path)]
    let value = [UInt8](copying: received.slice(line.value))
    let changed: [UInt8]?
    if line.hasUnderscore {
      changed = nil
    } else if isLocation {
      changed = paths.location(
        value, prefix: prefix, servers: servers, own: Self.host(askedForBy: request))
    } else {
      changed = paths.cookie(value, prefix: prefix)
    }
    return [UInt8](copying: received.slice(line.name)) + ": ".utf8 + (changed ?? value)
      + "\r\n".utf8
  }
  /// The host as the service learns it: what a trusted proxy says, else the one received.
  private static func host(askedForBy request: Request) -> [UInt8] {
    let head = request.connection.head
    if request.peer.isTrusted, let line = head.first(.xForwardedHost), !line.value.isEmpty {
      return request.bytes(line.value)
    }
    return head.authorityRange.map(request.bytes) ?? []
  }
}
