import COpenSSL
import Crypto
import TestSupport
import Testing

@testable import Reactor

struct TLSServerTests {
  @Test func `the server name picks the certificate, the first is the default`() async throws {
    let context = try TLSServerContext(
      TestIdentity(["first.test"]), TestIdentity(["second.test", "other.test"]),
      TestIdentity(["*.wild.test"]))
    let wanted: [(String?, Int)] = [
      (nil, 0), ("first.test", 0), ("second.test", 1), ("SECOND.Test", 1), ("second.test.", 1),
      ("other.test", 1), ("a.wild.test", 2), ("a.b.wild.test", 0), ("wild.test", 0),
      ("unknown.test", 0),
    ]
    for (name, index) in wanted {
      let seen = try await serve(context, to: PlainClient(serverName: name))
      #expect(seen.server == .done)
      #expect(seen.certificate == index, "\(name ?? "none")")
      #expect(seen.client.received.text == "hello")
    }
  }

  @Test func `says which certificate a name has`() throws {
    let context = try TLSServerContext(
      TestIdentity(["first.test"], addresses: ["127.0.0.1"]), TestIdentity(["*.wild.test"]))
    #expect(context.hasSeveral)
    #expect(context.certificateIndex(for: "first.test") == 0)
    #expect(context.certificateIndex(for: "a.wild.test") == 1)
    for none in ["", ".", "wild.test", ".wild.test", "a.b.wild.test", "127.0.0.1", "*"] {
      #expect(context.certificateIndex(for: none) == nil, "\(none)")
    }
    #expect(try !TLSServerContext(TestIdentity(["first.test"])).hasSeveral)
    let now = Clock.wallMs() / 1_000
    #expect(context.notAfter.allSatisfy { (now + 86_400...now + 3 * 86_400).contains($0) })
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `speaks TLS 1.2 and 1.3`(_ version: CInt) async throws {
    let context = try TLSServerContext(TestIdentity(["a.test"]))
    let seen = try await serve(context, to: PlainClient(version: version))
    #expect(seen.server == .done)
    #expect(seen.version == (version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3"))
    #expect(seen.client.received.text == "hello")
  }

  @Test func `refuses versions below its minimum`() async throws {
    let identity = try TestIdentity(["a.test"])
    for (minimum, version) in [
      (TLSServerContext.MinimumVersion.tls13, TLS1_2_VERSION), (.tls12, TLS1_1_VERSION),
    ] {
      let context = try TLSServerContext(identity, minimum: minimum)
      let seen = try await serve(context, to: PlainClient(version: version))
      guard case .failed(.tls) = seen.server else {
        Issue.record("\(seen.server)")
        continue
      }
      #expect(!seen.client.isConnected)
    }
  }

  @Test(
    arguments: [
      ([], ""), (["http/1.1"], "http/1.1"), (["http/1.0"], "http/1.0"),
      (["h2", "http/1.1"], "http/1.1"), (["http/1.0", "http/1.1"], "http/1.1"),
      (["h2"], nil), (["http/1.11", "http/1."], nil),
    ] as [([String], String?)])
  func `takes the protocols it speaks and answers any other with an alert`(
    _ offered: [String], _ chosen: String?
  ) async throws {
    let context = try TLSServerContext(TestIdentity(["a.test"]), TestIdentity(["b.test"]))
    for name in ["a.test", "b.test"] {
      let seen = try await serve(context, to: PlainClient(serverName: name, protocols: offered))
      #expect(seen.client.isConnected == (chosen != nil))
      if let chosen {
        #expect(seen.client.chosen == chosen)
      } else {
        #expect(seen.client.reason == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL)
      }
    }
  }

  @Test(arguments: [PrivateKey.Kind.rsa2048, .p256])
  func `takes keys of each kind`(_ kind: PrivateKey.Kind) async throws {
    let seen = try await serve(
      TLSServerContext(TestIdentity(["a.test"], kind: kind)), to: PlainClient())
    #expect(seen.client.isConnected)
  }

  @Test func `says which certificate is wrong, and how`() throws {
    let (one, other) = (try TestIdentity(["a.test"]), try TestIdentity(["b.test"]))
    let rsa = try TestIdentity(["c.test"], kind: .rsa2048)
    func fault(_ chain: [UInt8], _ key: [UInt8]) -> TLSServerContext.Failure? {
      do throws(TLSServerContext.Failure) {
        _ = try TLSServerContext(
          identities: [one.identity, .init(chain: chain, key: key)], minimum: .tls12,
          tickets: TicketKeys())
        return nil
      } catch {
        return error
      }
    }
    #expect(fault(one.chain, one.key) == nil)
    for key in [other.key, rsa.key] {
      let mismatch = try #require(fault(one.chain, key))
      #expect((mismatch.index, mismatch.fault) == (1, .keyMismatch))
      #expect(ERR_peek_error() == 0)
    }
    for key in [[], Array("nonsense".utf8), one.chain, Array(one.key.dropLast(40))] {
      guard case .keyUnreadable = fault(one.chain, key)?.fault else {
        Issue.record("\(key.text)")
        continue
      }
    }
    for chain in [[], Array("nonsense".utf8), one.key, one.chain + Array(one.chain.dropLast(60))] {
      guard case .chainUnreadable = fault(chain, one.key)?.fault else {
        Issue.record("\(chain.text)")
        continue
      }
    }
    #expect(ERR_peek_error() == 0)
  }

  @Test func `what is no TLS is a fault of that connection alone`() async throws {
    let context = try TLSServerContext(TestIdentity(["a.test"]))
    try await Stage.run { stage in
      for text in [
        "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "\u{16}\u{3}\u{1}\u{0}\u{5}hello", "x",
      ] {
        let (socket, peer) = try FarEnd.pair(on: stage.loop)
        let waiter = stage.makeWaiter()
        socket.waiter = waiter
        let session = try #require(TLSSession(server: context, over: socket))
        try peer.send(text)
        peer.endSending()
        guard case .failed = try await session.shakeHands(waiter) else {
          Issue.record("\(text)")
          continue
        }
        #expect(ERR_peek_error() == 0, "the thread's queue belongs to others")
        #expect(session.read(into: Buffer(capacity: 10)) == .failed(.truncated))
        #expect(session.write(from: Buffer("x", capacity: 10)) == .failed(.truncated))
        session.close()
      }
    }
  }
}

struct TicketTests {
  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `a session resumes at another context with the same keys`(_ version: CInt) async throws {
    let identity = try TestIdentity(["a.test"])
    let keys = TicketKeys()
    let contexts = try (0..<2).map { _ in try TLSServerContext(identity, tickets: keys) }
    let client = PlainClient(serverName: "a.test", version: version)
    let first = try await serve(contexts[0], to: client)
    #expect(first.client.isConnected && !first.client.isResumed)
    var returning = client
    returning.session = first.client.session
    let second = try await serve(contexts[1], to: returning)
    #expect(second.client.isResumed)
    #expect(second.client.received.text == "hello")
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `a ticket of other keys is a full handshake`(_ version: CInt) async throws {
    let identity = try TestIdentity(["a.test"])
    let client = PlainClient(serverName: "a.test", version: version)
    let first = try await serve(TLSServerContext(identity), to: client)
    var returning = client
    returning.session = first.client.session
    let second = try await serve(TLSServerContext(identity), to: returning)
    #expect(second.client.isConnected && !second.client.isResumed)
  }

  @Test(arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func `a session of one certificate does not resume under another`(_ version: CInt) async throws {
    let context = try TLSServerContext(TestIdentity(["a.test"]), TestIdentity(["b.test"]))
    let first = try await serve(context, to: PlainClient(serverName: "a.test", version: version))
    let other = PlainClient(
      serverName: "b.test", version: version, session: first.client.session)
    let second = try await serve(context, to: other)
    #expect(second.client.isConnected && !second.client.isResumed)
    #expect(second.certificate == 1)
  }

  @Test func `a session of another listener's minimum does not resume`() async throws {
    let identity = try TestIdentity(["a.test"])
    let keys = TicketKeys()
    let client = PlainClient(version: TLS1_3_VERSION)
    let first = try await serve(TLSServerContext(identity, tickets: keys), to: client)
    var returning = client
    returning.session = first.client.session
    let stricter = try TLSServerContext(identity, minimum: .tls13, tickets: keys)
    #expect(try await !serve(stricter, to: returning).client.isResumed)
  }
}

struct TLSClientTests {
  @Test func `believes the authorities it was given, and the name`() async throws {
    let identity = try TestIdentity(["a.test", "*.wild.test"], addresses: ["127.0.0.1", "::1"])
    let server = try TLSServerContext(identity)
    let client = try TLSClientContext(authorities: identity.chain)
    for name in ["a.test", "A.TEST", "b.wild.test", "127.0.0.1", "::1"] {
      #expect(try await connect(client, name: name, to: server) == .done, "\(name)")
    }
    for name in ["b.test", "b.c.wild.test", "wild.test", "127.0.0.2", "a.test.evil"] {
      let step = try await connect(client, name: name, to: server)
      let what = name.first == "1" ? "IP address" : "hostname"
      #expect(step == .failed(.tls("certificate verify failed: \(what) mismatch")), "\(name)")
    }
  }

  @Test func `believes nobody else`() async throws {
    let identity = try TestIdentity(["a.test"])
    let server = try TLSServerContext(identity)
    for authorities in [try TestIdentity(["a.test"]).chain, nil] {
      let client = try TLSClientContext(authorities: authorities)
      let step = try await connect(client, name: "a.test", to: server)
      #expect(step == .failed(.tls("certificate verify failed: self-signed certificate")))
    }
  }

  @Test func `says what authorities can't be read`() throws {
    for bytes in [[], Array("nonsense".utf8), try TestIdentity(["a.test"]).key] {
      do throws(TLSConfigurationFault) {
        _ = try TLSClientContext(authorities: bytes)
        Issue.record("taken: \(bytes.text)")
      } catch {
        guard case .authoritiesUnreadable = error else {
          Issue.record("\(error)")
          continue
        }
        #expect(error.text.hasPrefix("holds no certificates in PEM"))
      }
    }
    #expect(ERR_peek_error() == 0)
  }

  @Test func `moves much in both directions at once`() async throws {
    let identity = try TestIdentity(["a.test"])
    let server = try TLSServerContext(identity)
    let client = try TLSClientContext(authorities: identity.chain)
    let count = 1 << 20
    let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 5) }
    let step = try await connect(client, name: "a.test", to: server) { stage, one, other, waiter in
      let outgoing = [Buffer(capacity: count), Buffer(capacity: count)]
      let incoming = [Buffer(capacity: count + 1), Buffer(capacity: count + 1)]
      let streams = [one, other]
      for buffer in outgoing { buffer.append(content) }
      while incoming[0].count < count || incoming[1].count < count {
        var hasMoved = false
        for index in 0..<2 {
          if !outgoing[index].isEmpty, case .bytes = streams[index].write(from: outgoing[index]) {
            hasMoved = true
          }
          if case .bytes = streams[index].read(into: incoming[index]) { hasMoved = true }
        }
        if !hasMoved, await !waiter.wait(untilMs: stage.patience) { throw Impatience("bytes") }
      }
      #expect(incoming[0].bytes == content)
      #expect(incoming[1].bytes == content)
    }
    #expect(step == .done)
  }

  @Test func `an orderly end is told from one that is cut`() async throws {
    let identity = try TestIdentity(["a.test"])
    let server = try TLSServerContext(identity)
    let client = try TLSClientContext(authorities: identity.chain)
    for orderly in [true, false] {
      let step = try await connect(client, name: "a.test", to: server) {
        stage, one, other, waiter in
        let buffer = Buffer(capacity: 100)
        try await other.writeWaiting(from: Buffer("all", capacity: 3), waiter)
        if orderly { other.shutDown() } else { other.socket.shutDownWriting() }
        #expect(try await one.readWaiting(into: buffer, waiter) == .bytes(3))
        let end = try await one.readWaiting(into: buffer, waiter)
        #expect(end == (orderly ? .ended : .failed(.truncated)))
        let again = try await one.readWaiting(into: buffer, waiter)
        #expect(again == (orderly ? .ended : .failed(.truncated)))
        #expect(!one.isQuiet())
      }
      #expect(step == .done)
    }
  }

  @Test func `who has said goodbye still listens`() async throws {
    let identity = try TestIdentity(["a.test"])
    let server = try TLSServerContext(identity)
    let client = try TLSClientContext(authorities: identity.chain)
    let step = try await connect(client, name: "a.test", to: server) { _, one, other, waiter in
      try await one.writeWaiting(from: Buffer("question", capacity: 10), waiter)
      one.endWriting()
      one.endWriting()
      let buffer = Buffer(capacity: 100)
      #expect(try await other.readWaiting(into: buffer, waiter) == .bytes(8))
      #expect(try await other.readWaiting(into: buffer, waiter) == .ended)
      try await other.writeWaiting(from: Buffer("answer", capacity: 10), waiter)
      other.endWriting()
      #expect(try await one.readWaiting(into: buffer, waiter) == .bytes(6))
      #expect(try await one.readWaiting(into: buffer, waiter) == .ended)
      // Nothing is left to be said.
      one.shutDown()
      other.shutDown()
      #expect(buffer.bytes.text == "questionanswer")
    }
    #expect(step == .done)
  }

  @Test func `an idle session is quiet although tickets came, and not when it ends`() async throws {
    let identity = try TestIdentity(["a.test"])
    let server = try TLSServerContext(identity)
    let client = try TLSClientContext(authorities: identity.chain)
    for ending in [true, false] {
      let step = try await connect(client, name: "a.test", to: server) {
        stage, one, other, waiter in
        // TLS 1.3 has sent tickets behind the handshake.
        #expect(one.isQuiet())
        await stage.turn()
        #expect(one.isQuiet())
        #expect(one.isQuiet())
        if ending {
          other.shutDown()
        } else {
          try await other.writeWaiting(from: Buffer("x", capacity: 1), waiter)
        }
        while one.isQuiet() {
          guard await waiter.wait(untilMs: stage.patience) else { throw Impatience("an event") }
        }
        if !ending {
          // What came was only looked at.
          #expect(try await one.readWaiting(into: Buffer(capacity: 8), waiter) == .bytes(1))
        }
      }
      #expect(step == .done)
    }
  }

  @Test func `a record behind another is read without a new event`() async throws {
    let identity = try TestIdentity(["a.test"])
    let server = try TLSServerContext(identity)
    let client = try TLSClientContext(authorities: identity.chain)
    let step = try await connect(client, name: "a.test", to: server) { stage, one, other, waiter in
      for text in ["first", "second", "third"] {
        try await other.writeWaiting(from: Buffer(text, capacity: 10), waiter)
      }
      await stage.turn()
      var seen = ""
      let buffer = Buffer(capacity: 100)
      while case .bytes = one.read(into: buffer) {}
      seen += buffer.bytes.text
      #expect(seen == "firstsecondthird")
    }
    #expect(step == .done)
  }
}
