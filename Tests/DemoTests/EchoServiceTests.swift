import HTTP
import Testing
import Wire

@testable import Demo

@Suite struct EchoServiceTests {
  let provider: IdentityProvider
  let orders: EchoService

  init() throws {
    provider = try makeProvider()
    orders = EchoService(name: "orders", issuer: provider.mint.issuer, keys: provider.keys)
  }

  @Test func `shows what it received, and of the token only the claims`() throws {
    let made = try provider.mint.makeExchanged(
      subject: "ann", audience: "orders", client: "gateway",
      subjectExpiresAt: TokenMint.now() + 600)
    let token = String(decoding: made.token, as: UTF8.self)
    let answer = orders.answer(
      makeRequest(
        "POST", "/orders/1",
        fields: [("Accept", "a"), ("ACCEPT", "b"), ("Authorization", "Bearer \(token)")],
        content: [1, 2, 3]))
    #expect(answer.status == 200)
    let body = try parse(answer.content)
    #expect(body["service"]?.string == "orders")
    #expect(body["method"]?.string == "POST")
    #expect(body["path"]?.string == "/orders/1")
    #expect(body["contentBytes"]?.integer == 3)
    #expect(body["headers"]?["accept"]?.elements?.map(\.string) == ["a", "b"])
    #expect(body["token"]?["claims"]?["sub"]?.string == "ann")
    #expect(body["token"]?["claims"]?["aud"]?.string == "orders")
    #expect(!String(decoding: answer.content, as: UTF8.self).contains("eyJ"))
  }

  @Test func `takes no token but one of its own`() throws {
    let others = try provider.mint.makeExchanged(
      subject: "ann", audience: "billing", client: "gateway",
      subjectExpiresAt: TokenMint.now() + 600)
    for token in [others.token, try provider.mint.makePerson("ann"), Array("x".utf8)] {
      let value = "Bearer \(String(decoding: token, as: UTF8.self))"
      let answer = orders.answer(
        makeRequest("GET", "/orders/1", fields: [("Authorization", value)]))
      #expect(answer.status == 401)
      #expect(!String(decoding: answer.content, as: UTF8.self).contains("eyJ"))
    }
    #expect(orders.answer(makeRequest("GET", "/orders/1")).status == 401)
  }
}
