import Gateway
import Glibc
import Reactor
import Synchronization
import Wire

@testable import Demo
@testable import HTTP

/// A provider as the demo has it, without a socket.
func makeProvider() throws -> IdentityProvider {
  try IdentityProvider(
    issuer: "http://127.0.0.1:1", audiences: ["orders", "billing"],
    clients: [
      DemoClient(id: "gateway", secret: Array("a secret".utf8), exchanges: true),
      DemoClient(id: "nightly-report", secret: Array("demo".utf8), exchanges: false),
    ])
}

/// A request with `content` as a form where there is one.
func makeRequest(
  _ method: String, _ path: String, host: String = "127.0.0.1",
  fields: [(String, String)] = [], content: [UInt8] = []
) -> SmallRequest {
  SmallRequest(
    method: Array(method.utf8), path: Array(path.utf8), query: [], host: Array(host.utf8),
    fields: fields.map { (Array($0.0.utf8), Array($0.1.utf8)) }, content: content)
}

/// An exchange as the gateway asks for it; `changing` replaces parameters, nil leaves them out.
func makeExchange(
  _ token: [UInt8], client: String = "gateway", secret: String = "a secret",
  changing changes: [String: String?] = [:]
) -> SmallRequest {
  var form: [UInt8] = []
  let parameters = [
    ("grant_type", TokenEndpoint.Grant.exchange.rawValue), ("audience", "orders"),
    ("subject_token", String(decoding: token, as: UTF8.self)),
    ("subject_token_type", TokenEndpoint.accessTokenType),
  ]
  for (name, value) in parameters {
    let changed = changes[name] ?? value
    if let changed { FormEncoding.append(name, Array(changed.utf8), to: &form) }
  }
  let pair = Base64.encode(Array("\(client):\(secret)".utf8))
  return makeRequest(
    "POST", "/token",
    fields: [("Authorization", "Basic \(String(decoding: pair, as: UTF8.self))")], content: form)
}

func parse(_ content: [UInt8]) throws -> JSONNode {
  try JSONParser(.strict, bytesMax: 1 << 20).parse(content)
}

/// What a walk printed, and whether all of it held.
struct WalkOutcome {
  let holds: Bool?
  let text: String
  let folder: String
}

/// Starts a demo, walks through it and ends it.
func walkThrough(editing: (String) -> String = { $0 }) throws -> WalkOutcome {
  // As the command line does: OpenSSL writes without a flag against it.
  signal(SIGPIPE, SIG_IGN)
  let system = try DemoSystem(
    temporary: "/tmp", log: .file, report: { _ in }, editing: editing)
  defer { system.stop() }
  let printed = Printed()
  let walk = try Walk(system, paint: Paint(isOn: false)) { text in
    printed.text.withLock { $0 += text + "\n" }
  }
  defer { walk.stop() }
  let holds = walk.waitForOutcome(milliseconds: 60_000)
  return WalkOutcome(
    holds: holds, text: printed.text.withLock { $0 }, folder: system.folder.path)
}

private final class Printed: Sendable {
  let text = Mutex("")
}
