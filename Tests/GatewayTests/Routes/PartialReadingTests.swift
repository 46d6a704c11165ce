import Testing

@testable import Gateway

/// Readings that take in less than `run` does, or tell more.
struct PartialReadingTests {
  private func load(
    _ text: String, takesSecrets: Bool = true, looksAtFiles: Bool = false,
    environment: [String: String] = [:]
  ) -> LoadedRoutes {
    RoutesFile.load(
      path: "routes.json", environment: { environment[$0] },
      files: MemoryFiles(files: ["routes.json": Array(text.utf8)]),
      takesSecrets: takesSecrets, looksAtFiles: looksAtFiles)
  }

  @Test func `without secrets none needs to be there`() {
    let text = file([
      (
        "exchanges",
        #"""
        { "corp": { "tokenService": "corp", "client": { "id": "a", "secret": { "file": "s" } },
                    "actorToken": { "env": "ACTOR" } } }
        """#
      ),
      (
        "sharedCache",
        #"{ "url": "redis://127.0.0.1:1", "keys": [{ "env": "ONE" }, { "file": "two" }] }"#
      ),
    ])
    #expect(load(text).problems.count == 4)
    let loaded = load(text, takesSecrets: false)
    #expect(loaded.problems == [])
    #expect(loaded.configuration?.exchanges.count == 1)
  }

  @Test func `files that are missing are told of with all else that is wrong`() {
    let text = file(
      "listeners",
      #"""
      [{ "address": "127.0.0.1:1",
         "tls": { "certificates": [{ "chain": "no.pem", "key": "no.key" }] } }]
      """#)
    let found = load(text, looksAtFiles: true).problems
    #expect(
      found.map(\.message) == [
        "the environment variable \"SECRET\" is not set",
        "can't read no.pem: no such file or directory (ENOENT)",
        "can't read no.key: no such file or directory (ENOENT)",
      ])
    // Where nothing else is wrong, whoever loads them says more than that.
    #expect(load(text, looksAtFiles: true, environment: ["SECRET": "x"]).problems == [])
  }

  @Test func `the log is found whatever else is wrong`() {
    func log(_ text: String) -> String? {
      RoutesFile.accessLog(
        path: "etc/routes.json", environment: { _ in nil },
        files: MemoryFiles(files: ["etc/routes.json": Array(text.utf8)]))
    }
    let wrong = #", "routes": 3, "exchanges": { "a": { "client": { "secret": { "env": "NO" }}}}}"#
    #expect(log(#"{ "accessLog": { "path": "logs/a.log" }"# + wrong) == "etc/logs/a.log")
    #expect(log(#"{ "accessLog": { "path": "/a.log" } }"#) == "/a.log")
    #expect(log(#"{ "accessLog": "off" }"#) == nil)
    #expect(log(#"{ "accessLog": { "path": "-" } }"#) == nil)
    #expect(log("{") == nil)
  }

  @Test func `what came from the environment is shown as it is written`() throws {
    let text = file(
      "upstreams", #"{ "orders": { "servers": ["http://${HOST}:${PORT:-80}", "http://$${x"] } }"#)
    // The last one is no URL; only what is shown is looked at.
    let good = text.replacing(#", "http://$${x""#, with: "")
    let configuration = try #require(
      load(good, environment: ["SECRET": "x", "HOST": "hidden.example"]).configuration)
    let shown = String(decoding: configuration.shown, as: UTF8.self)
    #expect(shown.contains("http://${HOST}:${PORT:-80}"))
    #expect(!shown.contains("hidden.example"))
    #expect(
      String(decoding: configuration.digestInput, as: UTF8.self).contains("hidden.example:80"))
  }
}
