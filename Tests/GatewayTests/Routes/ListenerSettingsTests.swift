import Testing
import Wire

@testable import Gateway

/// A list of listeners, and what is wrong with it.
struct ListenersCase: Sendable, CustomTestStringConvertible {
  let listeners: String
  let trustedProxies: String
  let messages: [String]
  var testDescription: String { listeners }

  init(_ listeners: String, _ messages: String..., trustedProxies: String = "[]") {
    self.listeners = "[\(listeners)]"
    self.trustedProxies = trustedProxies
    self.messages = messages
  }

  private static let unixOnly = #"only of a "unix:" address"#

  static let all: [ListenersCase] = [
    .init(
      #"{ "address": "unix:" }"#, #"listeners[0].address: expected a path behind "unix:""#),
    .init(
      #"{ "address": "unix:@abstract" }"#,
      #"listeners[0].address: expected a path behind "unix:""#),
    .init(
      "{ \"address\": \"unix:/\(String(repeating: "x", count: 107))\" }",
      "listeners[0].address: a unix socket's path has at most 107 bytes, this one 108"),
    .init(
      #"{ "address": "systemd:" }"#,
      #"listeners[0].address: expected a socket's FileDescriptorName= behind "systemd:""#),
    .init(
      #"{ "address": "systemd:a:b" }"#,
      #"listeners[0].address: expected a socket's FileDescriptorName= behind "systemd:""#),
    .init(
      #"{ "address": "unix:/a" }, { "address": "unix:/a" }"#,
      "listeners[1].address: the same address as listeners[0].address"),
    .init(
      #"{ "address": "systemd:a" }, { "address": "systemd:a" }"#,
      "listeners[1].address: the same address as listeners[0].address"),
    .init(
      #"{ "address": "unix:/a", "mode": 660 }"#,
      #"listeners[0].mode: expected a file's mode such as "0660", found a number ⟶ 0660"#),
    .init(
      #"{ "address": "unix:/a", "mode": "0888" }"#,
      #"listeners[0].mode: expected a file's mode such as "0660""#),
    .init(
      #"{ "address": "unix:/a", "mode": "01777" }"#,
      #"listeners[0].mode: expected a file's mode such as "0660""#),
    .init(#"{ "address": "[::]:1", "mode": "0660" }"#, "listeners[0].mode: \(unixOnly)"),
    .init(#"{ "address": "[::]:1", "trusted": true }"#, "listeners[0].trusted: \(unixOnly)"),
    .init(#"{ "address": "systemd:a", "trusted": true }"#, "listeners[0].trusted: \(unixOnly)"),
    .init(
      #"{ "address": "[::]:1", "proxyProtocol": "v2" }"#,
      "listeners[0].proxyProtocol: expected true or false, found text"),
    .init(
      #"{ "address": "[::]:1", "proxyProtocol": true }"#,
      #"listeners[0].proxyProtocol: only proxies of "trustedProxies" may send it, and there "#
        + "are none"),
    .init(
      #"{ "address": "unix:/a", "proxyProtocol": true }"#,
      #"listeners[0].proxyProtocol: on a unix socket only with "trusted": true: who else may "#
        + "send it?", trustedProxies: #"["127.0.0.1"]"#),
    .init(
      #"{ "address": "[::]:1", "proxyProtocol": true }, { "address": "systemd:a" }"#,
      trustedProxies: #"["127.0.0.1"]"#),
    .init(#"{ "address": "unix:/a", "proxyProtocol": true, "trusted": true }"#),
  ]
}

struct ListenerSettingsTests {
  @Test(arguments: ListenersCase.all)
  func `says what is wrong with a listener`(_ example: ListenersCase) {
    let text = file([
      ("listeners", example.listeners), ("trustedProxies", example.trustedProxies),
    ])
    #expect(messages(text) == example.messages)
  }

  @Test func `reads every kind of address`() throws {
    let configuration = try configuration(
      file([
        (
          "listeners",
          """
          [
            { "address": "127.0.0.1:8080", "proxyProtocol": true },
            { "address": "unix:run/gateway.sock", "mode": "600", "trusted": true },
            { "address": "unix:/run/gateway.sock" },
            { "name": "web", "address": "systemd:https" },
          ]
          """
        ), ("trustedProxies", #"["10.0.0.0/8"]"#),
      ]), environment: ["SECRET": "x"])
    let listeners = configuration.listeners
    #expect(
      listeners.map(\.address.description) == [
        "127.0.0.1:8080", "unix:run/gateway.sock", "unix:/run/gateway.sock", "systemd:https",
      ])
    #expect(
      listeners.map(\.name) == [
        "127.0.0.1:8080", "unix:run/gateway.sock", "unix:/run/gateway.sock", "web",
      ])
    #expect(listeners.map(\.socketMode) == [0o660, 0o600, 0o660, 0o660])
    #expect(listeners.map(\.takesProxyHeader) == [true, false, false, false])
    #expect(listeners.map(\.isTrusted) == [false, true, false, false])
  }
}

struct UpgradeSettingsTests {
  private static func forwarding(_ upgrade: String) -> String {
    file(
      "routes",
      """
      [{ "match": { "path": "/" }, "exchange": { "audience": "a" },
         "forward": { "to": "orders", "upgrade": \(upgrade) } }]
      """)
  }

  @Test(arguments: [
    (#"["web socket"]"#, #"[0]: expected a protocol such as "websocket""#),
    (#"["a/b/c"]"#, #"[0]: expected a protocol such as "websocket""#),
    (#"["/1"]"#, #"[0]: expected a protocol such as "websocket""#),
    (#""websockets""#, ": a protocol that looks misspelled ⟶ websocket"),
    (#""h2c""#, ": requests within it would be neither checked nor seen"),
    (#""HTTP/2.0""#, ": requests within it would be neither checked nor seen"),
    (#""TLS/1.0""#, ": requests within it would be neither checked nor seen"),
  ])
  func `says what is no protocol to hand a connection over to`(_ upgrade: String, _ said: String) {
    #expect(messages(Self.forwarding(upgrade)) == ["routes[0].forward.upgrade\(said)"])
  }

  private struct NoForwarding: Error {}

  @Test func `reads protocols without case`() throws {
    let configuration = try configuration(
      Self.forwarding(#"["WebSocket", "SPDY/3.1"]"#), environment: ["SECRET": "x"])
    guard case .forward(let forward) = configuration.routes[0].action else { throw NoForwarding() }
    #expect(forward.upgrades == ["websocket", "spdy/3.1"])
  }
}
