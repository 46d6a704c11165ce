import Testing

@testable import Gateway

struct AdminPlaceTests {
  private func place(_ text: String?, port: String? = nil) -> AdminPlace {
    RoutesFile.adminPlace(
      path: "conf/routes.json", environment: { $0 == "PORT" ? port : nil },
      files: MemoryFiles(files: text.map { ["conf/routes.json": Array($0.utf8)] } ?? [:]))
  }

  private func complaint(_ text: String?) -> String? {
    guard case .unreadable(let problems) = place(text) else { return nil }
    return problems.map(\.description).joined(separator: "\n")
  }

  @Test func `is the address that a caller of this machine reaches`() {
    #expect(place("{}") == .at("127.0.0.1:9901"))
    #expect(place(#"{ "admin": {} }"#) == .at("127.0.0.1:9901"))
    for (address, reached) in [
      ("127.0.0.1:1", "127.0.0.1:1"), ("10.0.0.5:9901", "10.0.0.5:9901"),
      ("admin.internal:80", "admin.internal:80"), ("[fd00::1]:80", "[fd00::1]:80"),
      ("0.0.0.0:9902", "127.0.0.1:9902"), ("[::]:9902", "[::1]:9902"),
    ] {
      #expect(place(#"{ "admin": { "address": "\#(address)" } }"#) == .at(reached))
    }
    #expect(place(#"{ "admin": { "address": "[::1]:${PORT}" } }"#, port: "7") == .at("[::1]:7"))
  }

  @Test func `may be none that the file knows`() {
    #expect(place(#"{ "admin": "off" }"#) == .off)
    #expect(place(#"{ "admin": { "address": "127.0.0.1:0" } }"#) == .anyPort)
  }

  @Test func `is read whatever else is wrong with the file, or missing`() {
    let text = #"""
      { // As people write it.
        "listeners": 7, "rutes": [], "include": ["none.json"],
        "exchanges": { "corp": { "client": { "secret": { "env": "SECRET" } } } },
        "admin": { "address": "127.0.0.1:9902", "probes": "0.0.0.0:9903" },
        "workers": "${NOT_SET}",
      }
      """#
    #expect(place(text) == .at("127.0.0.1:9902"))
  }

  @Test func `is not guessed from what can't be read`() {
    #expect(
      complaint(nil) == "conf/routes.json: cannot be read: no such file or directory (ENOENT)")
    #expect(complaint("[]")?.hasPrefix("conf/routes.json:1:1: expected an object") == true)
    #expect(complaint("{")?.hasPrefix("conf/routes.json:1:") == true)
    #expect(
      complaint(#"{ "admin": { "adress": "127.0.0.1:1" } }"#) == #"""
        conf/routes.json:1:14: admin.adress: unknown key; did you mean "address"?
            1 | { "admin": { "adress": "127.0.0.1:1" } }
              |              ^~~~~~~~
        """#)
    #expect(
      complaint(#"{ "admin": { "address": "127.0.0.1:${PORT}" } }"#) == #"""
        conf/routes.json:1:25: admin.address: the environment variable "PORT" is not set; ${PORT:-x} gives it a default
            1 | { "admin": { "address": "127.0.0.1:${PORT}" } }
              |                         ^~~~~~~~~~~~~~~~~~~
        """#)
  }
}
