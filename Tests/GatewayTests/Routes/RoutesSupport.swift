import OAuth
import Testing
import Wire

@testable import Gateway

/// Files that are nowhere but in the test.
struct MemoryFiles: FileSource {
  var files: [String: [UInt8]]

  func read(_ path: String, bytesMax: Int) throws(FileFault) -> [UInt8] {
    guard let bytes = files[path] else { throw FileFault("no such file or directory (ENOENT)") }
    guard bytes.count <= bytesMax else { throw FileFault("file too large (EFBIG)") }
    return bytes
  }

  func list(_ folder: String) throws(FileFault) -> [String] {
    let prefix = folder == "." ? "" : folder.hasSuffix("/") ? folder : folder + "/"
    let names = files.keys.filter { $0.hasPrefix(prefix) }.map {
      String($0.dropFirst(prefix.count).prefix { $0 != "/" })
    }
    if names.isEmpty { throw FileFault("no such file or directory (ENOENT)") }
    return Array(Set(names))
  }
}

/// Loads a text as `routes.json`.
func load(
  _ text: String, environment: [String: String] = [:], files: [String: String] = [:],
  path: String = "routes.json"
) -> LoadedRoutes {
  var memory = files.mapValues { Array($0.utf8) }
  memory[path] = Array(text.utf8)
  return RoutesFile.load(
    path: path, environment: { environment[$0] }, files: MemoryFiles(files: memory))
}

/// The configuration of a text without a mistake.
func configuration(
  _ text: String, environment: [String: String] = [:],
  sourceLocation: Testing.SourceLocation = #_sourceLocation
) throws -> Configuration {
  let loaded = load(text, environment: environment)
  for problem in loaded.problems { Issue.record("\(problem)", sourceLocation: sourceLocation) }
  return try #require(loaded.configuration, sourceLocation: sourceLocation)
}

/// A file that holds, with some keys replaced or added by JSON text; nil leaves a key out.
func file(_ changes: [(String, String?)] = []) -> String {
  var keys: [(String, String)] = [
    ("listeners", #"[{"address": "127.0.0.1:8080"}]"#),
    ("issuers", #"{"corp": {"issuer": "https://login.example.com", "audiences": "api"}}"#),
    (
      "exchanges",
      #"{"corp": {"tokenService": "corp", "client": {"id": "gw", "secret": {"env": "SECRET"}}}}"#
    ),
    ("upstreams", #"{"orders": {"servers": "http://orders:8080"}}"#),
    (
      "routes",
      #"[{"match": {"path": "/*"}, "exchange": {"audience": "a"}, "forward": {"to": "orders"}}]"#
    ),
  ]
  for (name, text) in changes {
    keys.removeAll { $0.0 == name }
    if let text { keys.append((name, text)) }
  }
  return "{\n" + keys.map { "  \"\($0.0)\": \($0.1)" }.joined(separator: ",\n") + "\n}\n"
}

/// The same with one key changed.
func file(_ name: String, _ text: String?) -> String { file([(name, text)]) }

/// What is wrong with a file whose environment has SECRET, each as it is shown.
func complaints(_ text: String) -> [String] {
  load(text, environment: ["SECRET": "hunter2"]).problems.map(\.description)
}

/// The same without place and excerpt.
func messages(_ text: String) -> [String] {
  load(text, environment: ["SECRET": "hunter2"]).problems.map { problem in
    let suggestion = problem.suggestion.map { " ⟶ \($0)" } ?? ""
    return "\(problem.key): \(problem.message)\(suggestion)"
  }
}
