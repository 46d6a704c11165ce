import Testing

@testable import Gateway

struct OperatorLineTests {
  private let problem = ConfigProblem(
    severity: .warning, file: "routes.json", location: nil, key: "admin", message: "is public",
    suggestion: nil, excerpt: nil)

  @Test func `a warning says its level once`() {
    let text = String(decoding: OperatorLineFormat.text.own(problem.line, atMs: 0), as: UTF8.self)
    #expect(text == "routes.json: warning: admin: is public\n")
    let json = String(decoding: OperatorLineFormat.json.own(problem.line, atMs: 0), as: UTF8.self)
    #expect(json.hasSuffix(#""level":"warning","message":"routes.json: admin: is public"}"# + "\n"))
  }

  @Test func `what the program says of itself has its name and level in text alone`() {
    let line = OperatorLine.warning("tollgate: warning: late")
    #expect(
      String(decoding: OperatorLineFormat.text.own(line, atMs: 0), as: UTF8.self)
        == "tollgate: warning: late\n")
    #expect(
      String(decoding: OperatorLineFormat.json.own(line, atMs: 0), as: UTF8.self)
        .hasSuffix(#""message":"late"}"# + "\n"))
  }
}
