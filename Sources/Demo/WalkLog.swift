import Reactor
import Wire

/// The demo's access log, as the walk reads it.
struct WalkLog {
  let path: String
  let loop: EventLoop

  struct Line {
    let text: String
    let node: JSONNode

    func text(of field: UTF8Text) -> String { node[field]?.string?.string ?? "" }
  }

  /// The gateway hands its lines over some milliseconds after the answers.
  private static let patienceMs: Int64 = 3_000
  private static let bytesMax = 64 << 20

  /// The lines of these requests, in the order of the file, waiting until they are all there.
  func lines(of requests: Set<UTF8Text>) async throws(WalkFault) -> [Line] {
    let untilMs = loop.nowMs + Self.patienceMs
    let waiter = Waiter(on: loop)
    while true {
      let found = try all().filter { line in
        line.node["id"]?.string.map(requests.contains) ?? false
      }
      if found.count >= requests.count { return found }
      if loop.nowMs >= untilMs {
        throw WalkFault(
          text: "the access log has \(found.count) lines of \(requests.count) requests")
      }
      _ = await waiter.wait(untilMs: loop.nowMs + 10)
    }
  }

  func contents() throws(WalkFault) -> [UInt8] {
    do throws(SystemError) {
      return try Files.read(path, bytesMax: Self.bytesMax)
    } catch {
      throw WalkFault(text: "the access log can't be read: \(error)")
    }
  }

  private func all() throws(WalkFault) -> [Line] {
    let parser = JSONParser(.strict, bytesMax: 64 << 10)
    return try contents().split(separator: UInt8(ascii: "\n")).compactMap { bytes in
      guard let node = try? parser.parse(Array(bytes)) else { return nil }
      return Line(text: String(decoding: bytes, as: UTF8.self), node: node)
    }
  }
}
