import Crypto
import Reactor
import Wire

extension Walker {
  /// The walk: what is shown, in order.
  func takeSteps(_ client: WalkClient) async throws(WalkFault) {
    let ann = try await client.person("ann")
    callersTokens.append(ann)
    await step("A person is let in, with another token for the service") { findings in
      try await self.letIn("ann", ann, to: "orders", exchanges: 1, client, findings)
    }
    await step("The second time the token comes from the cache") { findings in
      try await self.letIn("ann", ann, to: "orders", exchanges: 0, client, findings)
    }
    await step("The second service gets its own") { findings in
      try await self.letIn("ann", ann, to: "billing", exchanges: 1, client, findings)
    }
    await step("Several people at once, on several connections: nobody gets another's token") {
      findings in try await self.crowd(client, findings)
    }
    await turnAway("A system is turned away", 403, "system_identity", client) {
      try await client.system()
    }
    await step("What the token service would have said to it") { findings in
      try await self.askedDirectly(client, findings)
    }
    await turnAway("No token", 401, "token_missing", client) { nil }
    await turnAway("An expired token", 401, "token_expired", client) {
      try await client.person("ann", flaw: .expired)
    }
    await turnAway("A forged token: another name written in", 401, "signature_invalid", client) {
      try await client.person("ann", flaw: .forged)
    }
    await turnAway("Another audience's token", 401, "audience_wrong", client) {
      try await client.person("ann", flaw: .wrongAudience)
    }
    await turnAway("An unsigned token (alg none)", 401, "algorithm_refused", client) {
      try await client.person("ann", flaw: .unsigned)
    }
    await turnAway("A path without a route", 404, "no_route", client, path: "/nothing/here") { ann }
    await step("The access log holds no token and no secret") { findings in
      try self.searchLog(findings)
    }
  }

  /// - Parameter exchanges: the calls to the token service that this may cost.
  private func letIn(
    _ person: String, _ token: [UInt8], to service: String, exchanges: Int, _ client: WalkClient,
    _ findings: Findings
  ) async throws(WalkFault) {
    let before = system.provider.journal.counts.exchanges
    let reply = try await client.ask("/\(service)/42", token: token)
    expectService(service, saw: person, reply, findings)
    let cost = system.provider.journal.counts.exchanges - before
    findings.expect(
      cost == exchanges, "expected \(exchanges) calls to the token service, counted \(cost)")
    let line = try await expectLogged(reply, findings)
    let wanted = exchanges == 0 ? "hit" : "miss"
    let logged = line.text(of: "exchange")
    findings.expect(
      logged.utf8.elementsEqual(wanted.utf8),
      "expected the log's exchange to be \"\(wanted)\", found \"\(logged)\"")
    if findings.wrong.isEmpty {
      findings.see(
        "\(reply.status); \(service) saw \(person)'s token for \"\(service)\", not the caller's;"
          + " calls to the token service: \(cost)")
    }
  }

  /// A request that the gateway must refuse by itself: the token service is not asked.
  private func turnAway(
    _ title: String, _ status: Int, _ reason: String, _ client: WalkClient,
    path: String = "/orders/42", token: () async throws -> [UInt8]?
  ) async {
    await step(title) { findings in
      let token = try await token()
      if let token { self.callersTokens.append(token) }
      let before = self.system.provider.journal.counts.exchanges
      let reply = try await client.ask(path, token: token)
      findings.expect(
        reply.status == status && reply.reason.utf8.elementsEqual(reason.utf8),
        "expected \(status) \(reason), got \(reply.summary)")
      let cost = self.system.provider.journal.counts.exchanges - before
      findings.expect(cost == 0, "the token service was asked \(cost) times")
      try await self.expectLogged(reply, findings)
      if findings.wrong.isEmpty {
        findings.see("\(reply.summary); calls to the token service: 0")
      }
    }
  }

  /// The call that the gateway spared the token service.
  private func askedDirectly(
    _ client: WalkClient, _ findings: Findings
  ) async throws(WalkFault) {
    let token = try await client.system()
    callersTokens.append(token)
    let reply = try await client.exchange(
      token, audience: "orders", client: (DemoClient.gatewayID.bytes, system.gatewaySecret))
    let error = reply.body?["error"]?.string?.string ?? ""
    let description = reply.body?["error_description"]?.string?.string ?? ""
    findings.expect(
      reply.status == 400 && error == "invalid_request" && description == "Invalid token",
      "expected 400 invalid_request \"Invalid token\", got \(reply.status) \(error)")
    if findings.wrong.isEmpty {
      findings.see("\(reply.status) \(error): \"\(description)\", as real ones do")
    }
  }

  private func searchLog(_ findings: Findings) throws(WalkFault) {
    let contents = try log.contents()
    // Every JWT begins with the base64url of `{"`.
    let wanted = callersTokens + [system.gatewaySecret, Array("eyJ".utf8)]
    let found = wanted.count { contents.contains($0) }
    findings.expect(found == 0, "a token or secret is in the access log")
    let lines = contents.count { $0 == UInt8(ascii: "\n") }
    if found == 0 {
      findings.see("\(lines) lines searched for \(callersTokens.count) tokens and the secret")
    }
  }
}

// Several at once.
extension Walker {
  private static let crowdNames = ["bob", "carol", "dave", "erin"]
  private static let crowdTasks = 8
  private static let crowdRequestsEach = 24

  /// Each task is one connection on which everybody's requests come in turn, each task beginning
  /// with somebody else; tokens are new, so the first ones ask for the same exchange at once.
  private func crowd(_ client: WalkClient, _ findings: Findings) async throws(WalkFault) {
    var tokens: [(name: String, token: [UInt8])] = []
    for name in Self.crowdNames {
      let token = try await client.person(name)
      tokens.append((name, token))
      callersTokens.append(token)
    }
    let before = system.provider.journal.counts.exchanges
    let crowd = Crowd(client: client, tokens: tokens, findings: findings, waiter: Waiter(on: loop))
    for task in 0..<Self.crowdTasks {
      crowd.running += 1
      loop.spawn { await self.ask(crowd, task) }
    }
    while crowd.running > 0 { _ = await crowd.waiter.wait() }

    let count = Self.crowdTasks * Self.crowdRequestsEach
    let lines = try await log.lines(of: crowd.requests)
    findings.expect(
      crowd.requests.count == count && lines.count == count,
      "\(count) requests have \(lines.count) lines in the access log")
    let cost = system.provider.journal.counts.exchanges - before
    let targets = tokens.count * system.services.count
    findings.expect(
      cost == targets,
      "\(tokens.count) people at \(system.services.count) services cost \(cost) exchanges")
    guard findings.wrong.isEmpty else { return }
    findings.see("\(count) × 200, each service saw the right person's own token each time")
    let words = ["miss", "joined", "hit"].map { word in
      "\(lines.count { $0.text(of: "exchange") == word }) \(word)"
    }
    findings.see(
      "calls to the token service: \(cost), one a person and service; the log's exchange: "
        + words.joined(separator: ", "))
    findings.logLine = lines.last?.text
  }

  private func ask(_ crowd: Crowd, _ task: Int) async {
    for turn in 0..<Self.crowdRequestsEach {
      let (name, token) = crowd.tokens[(task + turn) % crowd.tokens.count]
      let service = system.services[turn / crowd.tokens.count % system.services.count].name
      do throws(WalkFault) {
        let reply = try await crowd.client.ask("/\(service)/\(task)-\(turn)", token: token)
        expectService(service, saw: name, reply, crowd.findings)
        if let id = reply.requestID { crowd.requests.insert(id) }
      } catch {
        crowd.findings.expect(false, "\(error)")
        break
      }
    }
    crowd.running -= 1
    crowd.waiter.signal()
  }
}

/// What the tasks of one step share, all on one loop.
private final class Crowd {
  let client: WalkClient
  let tokens: [(name: String, token: [UInt8])]
  let findings: Findings
  let waiter: Waiter
  var running = 0
  var requests: Set<UTF8Text> = []

  init(
    client: WalkClient, tokens: [(name: String, token: [UInt8])], findings: Findings,
    waiter: Waiter
  ) {
    self.client = client
    self.tokens = tokens
    self.findings = findings
    self.waiter = waiter
  }
}
