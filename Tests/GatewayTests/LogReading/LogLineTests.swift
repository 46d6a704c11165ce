import Testing
import Wire

@testable import Gateway

@Suite("A line of the access log, read")
struct LogLineTests {
  private func parsed(_ text: String) -> LogLine? {
    var line = LogLine(more: ["sub"])
    return line.parse(Array(text.utf8).span) ? line : nil
  }

  private func value(_ text: String, _ field: AccessLogField) -> String? {
    let bytes = Array(text.utf8)
    return parsed(text)?.range(field).map { String(decoding: bytes[$0], as: UTF8.self) }
  }

  @Test
  func `finds each value of a line, whatever stands between them`() {
    let text =
      #"{"time":"t","x":[1,{"a":"}"}],"status":401,"reason":"no","#
      + #""path":"/a\"b\\","sub":"s"}"#
    #expect(value(text, .status) == "401")
    #expect(value(text, .reason) == "no")
    #expect(value(text, .path) == #"/a\"b\\"#)
    #expect(value(text, .host) == nil)
    let bytes = Array(text.utf8)
    let range = parsed(text)?.range(number: LogLine.number(ofMore: 0))
    #expect(range.map { String(decoding: bytes[$0], as: UTF8.self) } == "s")
  }

  @Test
  func `finds a value by the names of each format`() {
    #expect(value(#"{"http.response.status_code":200}"#, .status) == "200")
    #expect(value(#"{"event.reason":"token_expired"}"#, .reason) == "token_expired")
    #expect(value(#"{"@timestamp":"t"}"#, .time) == "t")
    #expect(value(#"{"tollgate.route":"a"}"#, .route) == "a")
  }

  @Test(arguments: [
    (#"{"duration_ms":12.345}"#, 12_345), (#"{"duration_ms":12}"#, 12_000),
    (#"{"duration_ms":0.5}"#, 500), (#"{"http.server.request.duration":1.000002}"#, 1_000_002),
    (#"{"event.duration":1999}"#, 1),
  ])
  func `reads a duration in its format's unit`(_ text: String, _ micros: Int64) {
    let bytes = Array(text.utf8)
    #expect(parsed(text)?.micros(.durationMs, in: bytes.span) == micros)
  }

  @Test(arguments: [
    "", "x", "{", #"{"a""#, #"{"a":"#, #"{"a":"b"#, #"{"a":1"#, #"{"a":1]"#, #"{"a":1},"#,
    #"{"a" 1}"#, #"{,}"#, #"{"a":1,}"#, #"["a"]"#, #"{"a":"\"#,
  ])
  func `takes nothing else for a line`(_ text: String) {
    #expect(parsed(text) == nil)
  }

  @Test
  func `reads the same lines however a file comes in pieces`() {
    let text = Array(
      (#"{"status":200}"# + "\n" + #"{"status":404,"reason":"no_route"}"# + "\nnonsense\n"
        + #"{"dropped_lines":7}"# + "\n" + #"{"status":500}"#).utf8)
    for cut in 0...text.count {
      var reader = LogReader(LogReader.Filter())
      var seen: [String] = []
      func note(_ event: LogReader.Event, _ line: LogLine, _ text: Span<UInt8>) {
        switch event {
        case .request: seen.append("\(line.integer(.status, in: text) ?? 0)")
        case .notUnderstood: seen.append("?")
        case .dropped(let count): seen.append("-\(count)")
        }
      }
      reader.read(text.span.extracting(0..<cut), note)
      reader.read(text.span.extracting(cut...), note)
      reader.finish(note)
      #expect(seen == ["200", "404", "?", "-7", "500"], "cut after byte \(cut)")
    }
  }
}

@Suite("What a line must say to be wanted")
struct LogConditionTests {
  private func holds(_ condition: String, _ value: String?) throws -> Bool {
    let condition = try LogCondition(condition)
    guard let value else { return condition.holds(nil) }
    let bytes = Array(value.utf8)
    return condition.holds(bytes.span)
  }

  @Test
  func `compares texts, beginnings, classes of statuses, and absence`() throws {
    #expect(try holds("reason=token_expired", "token_expired"))
    #expect(try !holds("reason=token_expired", "token_expire"))
    #expect(try holds("path=/orders/*", "/orders/1"))
    #expect(try !holds("path=/orders/*", "/order"))
    #expect(try holds("status=4xx", "404"))
    #expect(try !holds("status=4xx", "504"))
    #expect(try holds("reason=", nil))
    #expect(try !holds("reason=", "x"))
    #expect(try holds("reason!=", "x"))
    #expect(try holds("route!=orders", nil))
  }

  @Test
  func `compares numbers`() throws {
    #expect(try holds("duration_ms>500", "500.001"))
    #expect(try !holds("duration_ms>500", "500.000"))
    #expect(try holds("duration_ms>=0.5", "0.5"))
    #expect(try holds("bytes_out<1000", "999"))
    #expect(try holds("status<=404", "404"))
    #expect(try !holds("status<404", nil))
  }

  @Test(arguments: ["reason", "=x", "duration_ms>fast", "duration_ms!5", ""])
  func `says what is no condition`(_ text: String) {
    #expect(throws: LogCondition.Fault.self) { try LogCondition(text) }
  }
}

@Suite("Durations in constant memory")
struct DurationHistogramTests {
  @Test
  func `is never further from the truth than 1 6 percent`() {
    var generator = SystemRandomNumberGenerator()
    for scale in [10.0, 1_000, 100_000, 10_000_000_000] {
      var histogram = DurationHistogram()
      var values: [Int64] = []
      for _ in 0..<5_000 {
        let value = Int64(Double.random(in: 0...1, using: &generator) * scale)
        values.append(value)
        histogram.add(value)
      }
      values.sort()
      for part in [0.01, 0.5, 0.9, 0.99, 1] {
        let exact = Double(values[max(0, Int((part * 5_000).rounded(.up)) - 1)])
        let found = Double(histogram.quantile(part))
        #expect(abs(found - exact) <= exact * 0.016 + 1, "\(part) of \(scale)")
      }
      #expect(histogram.maxMicros == values.last)
    }
  }

  @Test
  func `holds the longest that there can be`() {
    var histogram = DurationHistogram()
    histogram.add(.max)
    histogram.add(-5)
    #expect(histogram.count == 2)
    #expect(histogram.quantile(0.5) == 0)
  }
}
