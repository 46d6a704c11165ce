import Testing
import Wire

@testable import Gateway

@Suite("Lines of the access log, chosen")
struct LogReaderTests {
  private func read(_ text: String, _ conditions: String...) throws -> (LogReader, count: Int) {
    var filter = LogReader.Filter()
    filter.conditions = try conditions.map { try LogCondition($0) }
    var reader = LogReader(filter)
    var count = 0
    func note(_ event: LogReader.Event, _ line: LogLine, _ text: Span<UInt8>) {
      if case .request = event { count += 1 }
    }
    reader.read(Array(text.utf8).span, note)
    reader.finish(note)
    return (reader, count)
  }

  private let lines = """
    {"status":200,"route":"a","tenant":"x"}
    {"status":404}
    nonsense

    """

  @Test(arguments: ["rout=a", "reson!=b", "statuss=4xx"])
  func `a field that no line has is told of, with the one that was meant`(_ text: String) throws {
    let (reader, _) = try read(lines, text)
    let unknown = try #require(reader.unknownField)
    #expect(["route", "reason", "status"].contains(unknown.nearest ?? ""))
  }

  @Test(arguments: ["tenant=x", "tenant=y", "reason=b", "jti=", "other=", "sub=nobody"])
  func `claims that lines have, known fields and their absence are no mistakes`(
    _ text: String
  ) throws {
    #expect(try read(lines, text).0.unknownField == nil)
  }

  @Test func `where nothing was understood no field is unknown`() throws {
    let (reader, _) = try read("nonsense\n", "rout=a")
    #expect(reader.unknownField == nil)
    #expect((reader.requestCount, reader.notUnderstoodCount) == (0, 1))
  }

  @Test(arguments: [
    #"{"status":200,"duration_ms":700.000}"#,
    #"{"http.response.status_code":200,"http.server.request.duration":0.700000}"#,
    #"{"http.response.status_code":200,"event.duration":700000000}"#,
  ])
  func `a duration is compared in milliseconds whatever the format`(_ line: String) throws {
    #expect(try read(line, "duration_ms>500").count == 1)
    #expect(try read(line, "duration_ms>700").count == 0)
    #expect(try read(line, "duration_ms<=700").count == 1)
  }

  @Test func `a standard's name of a field is that field`() throws {
    let line = #"{"http.response.status_code":200,"http.route":"a"}"#
    #expect(try read(line, "http.route=a").count == 1)
    #expect(try read(line, "route=a").count == 1)
    #expect(try read(line, "http.route=b").count == 0)
  }
}
