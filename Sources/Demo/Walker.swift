import Crypto
import Reactor
import Wire

/// The caller that walks through the demo. `Walker+Steps` has the steps.
actor Walker {
  nonisolated let loop: EventLoop
  nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  let system: DemoSystem
  /// Every token the walk had: none of them may be in the log or at a service.
  var callersTokens: [[UInt8]] = []
  private let report: WalkReport
  private var number = 0
  private var held = 0

  init(loop: EventLoop, system: DemoSystem, report: WalkReport) {
    self.loop = loop
    self.system = system
    self.report = report
  }

  /// Takes all steps, whatever came of those before.
  ///
  /// - Returns: whether all of them held.
  func walk() async -> Bool {
    report.begin(system)
    let beganMs = loop.nowMs
    do throws(WalkFault) {
      try await takeSteps(WalkClient(system, on: loop))
    } catch {
      await step("It begins") { _ in throw error }
    }
    report.end(held: held, of: number, elapsedMs: loop.nowMs - beganMs)
    return held == number
  }

  /// Takes one step and shows it.
  func step(
    _ title: String, _ body: (Findings) async throws -> Void
  ) async {
    let findings = Findings()
    do {
      try await body(findings)
    } catch {
      findings.expect(false, "\(error)")
    }
    number += 1
    if findings.wrong.isEmpty { held += 1 }
    report.show(number, title, findings)
  }

  /// Checks that a service answered, and that the token it saw was issued for it in that person's
  /// name and is none of the callers'.
  func expectService(
    _ service: String, saw person: String, _ reply: WalkReply, _ findings: Findings
  ) {
    findings.expect(reply.status == 200, "expected 200, got \(reply.summary)")
    guard let digest = reply.tokenDigest else {
      findings.expect(false, "\(service) saw no token")
      return
    }
    let subject = reply.claims?["sub"]?.string?.string ?? ""
    let audience = reply.claims?["aud"]?.string?.string ?? ""
    findings.expect(
      subject.utf8.elementsEqual(person.utf8), "\(service) saw \(subject)'s token, not \(person)'s")
    findings.expect(
      audience.utf8.elementsEqual(service.utf8),
      "\(service) saw a token for \"\(audience)\", not for \"\(service)\"")
    let wanted = ExchangeJournal.Grant(subject: Array(person.utf8), audience: Array(service.utf8))
    findings.expect(
      system.provider.journal.grant(of: digest) == wanted,
      "the token that \(service) saw is not what the token service issued for \(person)")
    let isCallers = callersTokens.contains { (try? Digests.sha256($0.span)) == digest }
    findings.expect(!isCallers, "\(service) saw a caller's token")
  }

  /// Finds the request's line in the access log and checks that it says the same as the answer.
  @discardableResult
  func expectLogged(_ reply: WalkReply, _ findings: Findings) async throws(WalkFault)
    -> WalkLog.Line
  {
    guard let id = reply.requestID else {
      throw WalkFault(text: "the answer (\(reply.summary)) does not name its request")
    }
    let line = try await log.lines(of: [id])[0]
    findings.logLine = line.text
    findings.expect(
      line.node["status"]?.integer == Int64(reply.status)
        && line.text(of: "reason").utf8.elementsEqual(reply.reason.utf8),
      "the access log says otherwise than the answer (\(reply.summary))")
    return line
  }

  nonisolated var log: WalkLog { WalkLog(path: system.accessLogPath, loop: loop) }
}
