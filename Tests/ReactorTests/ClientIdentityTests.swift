import Testing

@testable import Reactor

struct ClientIdentityTests {
  private func fault(_ chain: [UInt8], _ key: [UInt8]) -> TLSConfigurationFault? {
    do throws(TLSConfigurationFault) {
      _ = try TLSClientContext(authorities: nil, identity: .init(chain: chain, key: key))
      return nil
    } catch {
      return error
    }
  }

  @Test func `a client's certificate has an end, and none has none`() throws {
    let identity = try TestIdentity(["gw.test"])
    let client = try TLSClientContext(authorities: nil, identity: identity.identity)
    let end = try #require(client.notAfter)
    #expect((end - Clock.wallMs() / 1_000 - 2 * 86_400).magnitude < 60)
    #expect(try TLSClientContext(authorities: nil).notAfter == nil)
  }

  @Test func `says which of certificate and key is of no use`() throws {
    let (one, other) = (try TestIdentity(["gw.test"]), try TestIdentity(["gw.test"]))
    #expect(fault(one.chain, one.key) == nil)
    #expect(fault(one.chain, other.key) == .keyMismatch)
    for bytes in [[], Array("nonsense".utf8), one.key] {
      guard case .chainUnreadable = fault(bytes, one.key) else {
        Issue.record("\(bytes.count) bytes were taken for a chain")
        continue
      }
    }
    for bytes in [[], Array("nonsense".utf8), one.chain] {
      guard case .keyUnreadable = fault(one.chain, bytes) else {
        Issue.record("\(bytes.count) bytes were taken for a key")
        continue
      }
    }
  }
}
