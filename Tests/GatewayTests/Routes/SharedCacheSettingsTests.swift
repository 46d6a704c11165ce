import OAuth
import Testing
import Wire

@testable import Gateway

struct SharedCacheSettingsTests {
  private static let hex = String(repeating: "0f", count: 32)

  /// Loads a file with this `sharedCache`, beside two files with keys.
  private func load(_ text: String, raw: [UInt8] = []) -> LoadedRoutes {
    let files = MemoryFiles(files: [
      "routes.json": Array(file("sharedCache", text).utf8), "raw.key": raw,
      "hex.key": Array("\(Self.hex)\n".utf8),
    ])
    return RoutesFile.load(
      path: "routes.json",
      environment: { ["SECRET": "hunter2", "KEY": Self.hex.uppercased()][$0] }, files: files)
  }

  @Test func `has defaults for all but the URL and the keys`() throws {
    let loaded = load(#"{ "url": "redis://127.0.0.1:6380", "keys": [{ "file": "hex.key" }] }"#)
    #expect(loaded.problems == [] && loaded.warnings == [])
    let cache = try #require(loaded.configuration?.sharedCache)
    #expect("\(cache.url)" == "redis://127.0.0.1:6380")
    #expect(cache.timeoutMs == 50)
    #expect(cache.username == nil && cache.password == nil && cache.ca == nil)
    #expect(cache.keys.map(\.revealed) == [[UInt8](repeating: 15, count: 32)])
  }

  @Test func `reads all that there is to say`() throws {
    let raw = (0..<31).map { UInt8($0) } + [0x0A]
    let loaded = load(
      #"""
      { "url": "rediss://r.example.com/2", "username": "u", "password": { "env": "SECRET" },
        "tls": { "ca": "ca.pem" }, "timeout": "20ms",
        "keys": [{ "file": "raw.key" }, { "env": "KEY" }] }
      """#, raw: raw)
    #expect(loaded.problems == [] && loaded.warnings == [])
    let cache = try #require(loaded.configuration?.sharedCache)
    #expect(cache.url.isSecure && cache.url.port == 6379 && cache.url.database == 2)
    #expect(cache.username == "u" && cache.password?.revealed == Array("hunter2".utf8))
    #expect(cache.ca?.path == "ca.pem" && cache.timeoutMs == 20)
    // A newline at the end of raw bytes is one of them.
    #expect(cache.keys.map(\.revealed) == [raw, [UInt8](repeating: 15, count: 32)])
  }

  @Test func `may be null`() throws {
    #expect(try #require(load("null").configuration).sharedCache == nil)
  }

  @Test(arguments: [
    (#""url": "redis://10.0.0.1", "keys": { "file": "hex.key" }"#, nil),
    (#""url": "redis://10.0.0.1", "keys": [{ "file": "hex.key" }]"#, "tokens travel sealed"),
    (
      #""url": "redis://r", "password": { "env": "SECRET" }, "keys": [{ "file": "hex.key" }]"#,
      "the password travels in the clear"
    ),
    (#""url": "rediss://r", "keys": [{ "file": "hex.key" }]"#, ""),
    (#""url": "redis://localhost", "keys": [{ "file": "hex.key" }]"#, ""),
    (#""url": "rediss://r", "keys": [{ "file": "raw.key" }]"#, "easier to guess"),
  ])
  func `warns of what is dangerous`(_ text: String, _ warning: String?) {
    let loaded = load("{ \(text) }", raw: Array("a pass phrase of 32 characters.x".utf8))
    #expect((loaded.configuration == nil) == (warning == nil))
    if let warning {
      #expect(loaded.warnings.count == (warning.isEmpty ? 0 : 1))
      #expect(warning.isEmpty || loaded.warnings[0].description.contains(warning))
    }
  }
}
