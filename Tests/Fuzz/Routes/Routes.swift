import FuzzSupport
import Gateway
import Wire

/// A routes file is a configuration or has problems, each at a place of the file; its layout means
/// nothing, and what the environment keeps secret is never shown.
@c(LLVMFuzzerTestOneInput)
func routes(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe fuzz(start, count) { input in
    let loaded = load(input)
    check((loaded.configuration == nil) == !loaded.problems.isEmpty, "it loads, or says why not")
    for problem in loaded.problems + loaded.warnings { checkProblem(problem, input) }
    let parser = JSONParser(.commented, bytesMax: 1 << 20, depthMax: 64, nodesMax: 1_000_000)
    guard let root = try? parser.parse(input) else { return }
    let again = load(written(root))
    check(
      again.configuration?.digestInput == loaded.configuration?.digestInput,
      "layout is nothing to a configuration")
    check(again.problems.map(\.message) == loaded.problems.map(\.message), "nor to problems")
  }
}

private let secret = "cHVzdGVrdWNoZW4"

private struct Files: FileSource {
  let text: [UInt8]

  func read(_ path: String, bytesMax: Int) throws(FileFault) -> [UInt8] {
    switch path {
    case "routes.json": return text
    case "secret.txt": return Array("\(secret)\n".utf8)
    default: throw FileFault("no such file or directory (ENOENT)")
    }
  }
}

private func load(_ text: [UInt8]) -> LoadedRoutes {
  RoutesFile.load(
    path: "routes.json",
    environment: { ["SECRET": secret, "HOST": "api.example.com", "EMPTY": ""][$0] },
    files: Files(text: text))
}

private func checkProblem(_ problem: ConfigProblem, _ input: [UInt8]) {
  let shown = problem.description
  check(
    shown.unicodeScalars.allSatisfy {
      ($0.value >= 0x20 && $0.value != 0x7F) || $0 == "\n" || $0 == "\t"
    },
    "nothing that a terminal obeys")
  let typed = String(decoding: input, as: UTF8.self)
  check(!shown.contains(secret) || typed.contains(secret), "no secret is shown")
  guard let place = problem.location, let excerpt = problem.excerpt else {
    fatalError("a problem has a place")
  }
  let lines = input.split(separator: 10, omittingEmptySubsequences: false)
  check((1...lines.count).contains(place.line), "the line is one of the file's")
  let columns = lines[place.line - 1].count + 1
  check((1...columns).contains(place.column), "the column is one of the line's")
  check(excerpt.underline.count { $0 == "^" } == 1, "one place is pointed at")
  check(!excerpt.line.contains("\n") && excerpt.line.count <= 200, "one line is shown")
}
