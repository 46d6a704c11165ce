import HTTP
import Synchronization
import Testing

@testable import Gateway

/// What the operator was told.
private final class Lines: Sendable {
  private let lines = Mutex<[String]>([])

  func add(_ line: String) { lines.withLock { $0.append(line) } }

  func take() -> [String] {
    lines.withLock { lines in
      defer { lines = [] }
      return lines
    }
  }
}

struct SharedUpstreamTests {
  private let lines = Lines()

  private func make(_ json: String, after former: SharedUpstream? = nil) throws -> SharedUpstream {
    let lines = lines
    return try sharedUpstream(json, after: former) { lines.add($0.text) }
  }

  private func fail(
    _ upstream: SharedUpstream, _ server: Int, times: Int = 1, isTrial: Bool = false,
    nowMs: Int64 = 0
  ) {
    for _ in 0..<times {
      upstream.noteFailure(.status(503), of: server, isTrial: isTrial, nowMs: nowMs)
    }
  }

  @Test func `a server that fails five requests in a row is left out`() throws {
    let upstream = try make(#"{"servers": ["http://a", "http://b", "http://c"]}"#)
    let state = upstream.servers[0].state
    fail(upstream, 0, times: 4)
    #expect(state.noteSuccess() == 4)
    fail(upstream, 0, times: 4)
    #expect(state.standing(nowMs: 0) == .trusted)
    fail(upstream, 0)
    #expect(state.standing(nowMs: 9_999) == .ejected)
    #expect(
      lines.take() == [
        "upstream u: http://a is left out for 10 s: 5 failures in a row, the last: "
          + "it answered 503"
      ])
    // What was on its way says nothing new.
    fail(upstream, 0, times: 10)
    #expect(lines.take() == [])
  }

  @Test func `after its time one request tries a server, and what that says counts`() throws {
    let upstream = try make(#"{"servers": ["http://a", "http://b"]}"#)
    let state = upstream.servers[0].state
    fail(upstream, 0, times: 5)
    #expect(state.standing(nowMs: 10_000) == .due)
    #expect(!state.takeTrial(nowMs: 9_999, leaseMs: 10_000))
    #expect(state.takeTrial(nowMs: 10_000, leaseMs: 10_000))
    #expect(!state.takeTrial(nowMs: 10_000, leaseMs: 10_000))
    #expect(state.standing(nowMs: 10_001) == .ejected)
    fail(upstream, 0, isTrial: true, nowMs: 10_001)
    #expect(lines.take().last?.contains("left out for 20 s: tried again, it failed") == true)
    #expect(state.takeTrial(nowMs: 30_001, leaseMs: 10_000))
    // The caller went: the next request may have it.
    state.giveTrialBack(nowMs: 30_002)
    #expect(state.takeTrial(nowMs: 30_002, leaseMs: 10_000))
    upstream.noteTrialSuccess(of: 0, nowMs: 30_003)
    #expect(state.standing(nowMs: 30_003) == .trusted)
    #expect(lines.take() == ["upstream u: http://a takes requests again"])
    #expect(state.ejectionCount == 2)
  }

  @Test(arguments: [(2, 0.5, 1), (3, 0.5, 1), (4, 0.5, 2), (4, 1.0, 3), (5, 0.01, 1), (3, 0.0, 0)])
  func `no more servers are left out than may be`(count: Int, share: Double, most: Int) throws {
    let servers = (0..<count).map { "\"http://s\($0)\"" }.joined(separator: ",")
    let upstream = try make("{\"servers\": [\(servers)], \"outlier\": {\"maxEjected\": \(share)}}")
    for server in 0..<count { fail(upstream, server, times: 50) }
    #expect(upstream.servers.filter { $0.state.isEjected }.count == most)
  }

  @Test func `a server that is alone is never left out, nor the last one that is well`() throws {
    let lone = try make(#"{"servers": ["http://a"]}"#)
    fail(lone, 0, times: 100)
    #expect(lone.servers[0].state.isTrusted)
    // Once for all hundred.
    let still = "; there is no other to trust in its place, so it is asked on"
    let failed = "failed 5 requests in a row, the last: it answered 503" + still
    #expect(lines.take() == ["upstream u: http://a \(failed)"])
    #expect(lone.servers[0].state.noteSuccess() == 100)
    lone.noteReturn(of: 0, after: 100)
    #expect(lines.take() == ["upstream u: http://a answers again"])
    // Fewer had been told of to nobody.
    lone.noteReturn(of: 0, after: 4)
    #expect(lines.take() == [])

    let pair = try make(
      #"{"servers": ["http://a", "http://b"], "healthCheck": {"path": "/up"}}"#)
    let check = try #require(pair.settings.healthCheck)
    pair.noteCheck(of: 0, fault: "it answered 500", isSilent: false, by: check, nowMs: 0)
    #expect(lines.take() == ["upstream u: http://a is unwell: GET /up: it answered 500"])
    fail(pair, 1, times: 100)
    #expect(pair.servers[1].state.isTrusted)
    #expect(lines.take() == ["upstream u: http://b \(failed)"])
    for _ in 0..<2 { pair.noteCheck(of: 0, fault: nil, isSilent: false, by: check, nowMs: 0) }
    #expect(lines.take() == ["upstream u: http://a is well again"])
    fail(pair, 1)
    #expect(pair.servers[1].state.isEjected)
  }

  @Test func `only a server that does not answer at all is silent`() throws {
    let upstream = try make(
      #"{"servers": ["http://a", "http://b"], "healthCheck": {"path": "/"}}"#)
    let check = try #require(upstream.settings.healthCheck)
    let state = upstream.servers[0].state
    upstream.noteCheck(of: 0, fault: "it answered 500", isSilent: false, by: check, nowMs: 0)
    #expect(state.isUnwell && !state.isSilent)
    for _ in 0..<2 { upstream.noteCheck(of: 0, fault: nil, isSilent: false, by: check, nowMs: 0) }
    for _ in 0..<3 { upstream.noteCheck(of: 0, fault: "it", isSilent: true, by: check, nowMs: 0) }
    #expect(state.isUnwell && state.isSilent)
    for _ in 0..<2 { upstream.noteCheck(of: 0, fault: nil, isSilent: false, by: check, nowMs: 0) }
    #expect(state.isTrusted)
    for _ in 0..<5 { upstream.noteFailure(.slow, of: 0, isTrial: false, nowMs: 0) }
    #expect(state.isEjected && state.isSilent)
    #expect(state.readmit(nowMs: 1))
    #expect(state.isTrusted)
  }

  @Test func `what is known of a server outlives a reload that keeps it`() throws {
    let before = try make(
      #"{"servers": ["http://a", "http://b", "http://c"], "healthCheck": {"path": "/"}}"#)
    let check = try #require(before.settings.healthCheck)
    before.noteCheck(of: 0, fault: "down", isSilent: true, by: check, nowMs: 0)
    fail(before, 1, times: 5)
    // Another weight, another order, one gone, one new: connections stay.
    let after = try make(
      #"""
      {"servers": ["http://d", {"url": "http://b", "weight": 2}, "http://a"],
       "healthCheck": {"path": "/"}}
      """#, after: before)
    #expect(after.servers[1] === before.servers[1])
    #expect(after.servers[2] === before.servers[0])
    #expect(after.budget === before.budget)
    #expect(after.servers[2].state.isUnwell && after.servers[1].state.isEjected)
    #expect(after.servers[0].state.isTrusted)
    // Other connections, the same health; without checks nobody is unwell.
    let last = try make(
      #"{"servers": ["http://a", "http://b"], "maxConnections": 5}"#, after: after)
    #expect(last.servers[0] !== after.servers[2])
    #expect(last.servers[0].state === after.servers[2].state)
    #expect(last.servers[0].state.isTrusted && last.servers[1].state.isEjected)
    // A check of before that ends late changes nothing.
    for _ in 0..<5 { after.noteCheck(of: 2, fault: "down", isSilent: true, by: check, nowMs: 0) }
    #expect(last.servers[0].state.isTrusted)
    // Nobody else is left.
    let lone = try make(#"{"servers": ["http://b"]}"#, after: last)
    #expect(lone.servers[0].state.isTrusted)
  }
}
