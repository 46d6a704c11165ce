import Wire

/// What would happen to a request, step by step, and why: for people and as JSON.
///
/// Every text in it is fit for a terminal, and whatever looks like a token is left out of it.
package struct Explanation: Sendable {
  /// How something stands.
  package enum Mark: String, Sendable {
    case well
    case wrong
    /// Neither: what is told, or could not be looked at.
    case note
  }

  /// One thing that was looked at.
  package struct Fact: Sendable {
    package let name: String
    package let mark: Mark
    package let got: String
    /// What there had to be; nil where nothing had.
    package let expected: String?

    init(_ name: String, _ got: String, expected: String? = nil, mark: Mark = .note) {
      self.name = PlainText.of(name)
      self.got = PlainText.of(got)
      self.expected = expected.map(PlainText.of)
      self.mark = mark
    }
  }

  /// One step on a request's way, in the order in which they are taken.
  package struct Step: Sendable {
    package let name: String
    package internal(set) var mark: Mark
    package internal(set) var summary: String
    package internal(set) var facts: [Fact]

    init(_ name: String, _ mark: Mark, _ summary: String, _ facts: [Fact] = []) {
      self.name = name
      self.mark = mark
      self.summary = PlainText.of(summary)
      self.facts = facts
    }
  }

  /// What becomes of the request.
  package struct Verdict: Sendable {
    package enum Outcome: String, Sendable {
      case forwarded
      /// By the gateway itself: a fixed answer, another address, a preflight.
      case answered
      case refused
    }

    package let outcome: Outcome
    /// Of an answer of the gateway's own; nil: the service decides.
    package let status: Int?
    /// Of a refusal, as in the access log.
    package let reason: String?
    package let text: String
    /// What to do about a refusal.
    package let advice: String?

    init(_ outcome: Outcome, status: Int? = nil, _ text: String) {
      self.outcome = outcome
      self.status = status
      self.text = PlainText.of(text)
      reason = nil
      advice = nil
    }

    init(_ refusal: Refusal) {
      self.init(refusal.reason, status: refusal.reason.status, refusal.detail)
    }

    init(_ refused: Refusal.Reason, status: Int, _ text: String) {
      outcome = .refused
      self.status = status
      reason = refused.word
      self.text = PlainText.of(text)
      advice = refused.advice
    }
  }

  package let title: String
  package let steps: [Step]
  package let verdict: Verdict
  /// What was not looked at, and so could still change the verdict.
  package let caveats: [String]

  init(title: String, steps: [Step], verdict: Verdict, caveats: [String]) {
    self.title = PlainText.of(title)
    self.steps = steps
    self.verdict = verdict
    self.caveats = caveats.map(PlainText.of)
  }

  /// Whether the request would be turned away.
  package var isRefused: Bool { verdict.outcome == .refused }
}

extension Explanation {
  /// One object, indented, with a line feed at its end.
  package var json: [UInt8] {
    var json = JSONBuilder(isIndented: true)
    json.object { json in
      json.name("request")
      json.value(title)
      json.name("steps")
      json.list { json in
        for step in steps { Self.append(step, to: &json) }
      }
      json.name("verdict")
      json.object { json in
        json.name("outcome")
        json.value(verdict.outcome.rawValue)
        if let status = verdict.status {
          json.name("status")
          json.value(status)
        }
        if let reason = verdict.reason {
          json.name("reason")
          json.value(reason)
        }
        json.name("text")
        json.value(verdict.text)
        if let advice = verdict.advice {
          json.name("advice")
          json.value(advice)
        }
      }
      json.name("caveats")
      json.list { json in
        for caveat in caveats { json.value(caveat) }
      }
    }
    return json.bytes + [UInt8(ascii: "\n")]
  }

  private static func append(_ step: Step, to json: inout JSONBuilder) {
    json.object { json in
      json.name("step")
      json.value(step.name)
      json.name("mark")
      json.value(step.mark.rawValue)
      json.name("summary")
      json.value(step.summary)
      json.name("facts")
      json.list { json in
        for fact in step.facts {
          json.object { json in
            json.name("name")
            json.value(fact.name)
            json.name("mark")
            json.value(fact.mark.rawValue)
            json.name("got")
            json.value(fact.got)
            if let expected = fact.expected {
              json.name("expected")
              json.value(expected)
            }
          }
        }
      }
    }
  }
}

extension Explanation {
  /// For a terminal or a file, with a line feed at its end.
  package func text(_ paint: Paint) -> String {
    var lines = [paint.bold(title), ""]
    for step in steps {
      lines.append("\(sign(step.mark, paint)) \(Columns.left(step.name, 10)) \(step.summary)")
      let width = min(22, (step.facts.map(\.name.count).max() ?? 0) + 1)
      for fact in step.facts {
        let mark = fact.mark == .note ? " " : sign(fact.mark, paint)
        var line = "    \(mark) \(paint.dim(Columns.left(fact.name, width))) \(fact.got)"
        if let expected = fact.expected {
          line += fact.mark == .well ? paint.dim("  (\(expected))") : "  expected: \(expected)"
        }
        lines.append(line)
      }
    }
    lines.append("")
    lines.append(verdictLine(paint))
    if let advice = verdict.advice { lines.append("  \(advice)") }
    for caveat in caveats { lines.append(paint.dim("  \(caveat)")) }
    return lines.joined(separator: "\n") + "\n"
  }

  private func verdictLine(_ paint: Paint) -> String {
    switch verdict.outcome {
    case .forwarded: return "\(paint.green("forwarded")): \(verdict.text)"
    case .answered:
      let status = verdict.status.map { " \($0)" } ?? ""
      return "\(paint.green("answered\(status)")): \(verdict.text)"
    case .refused:
      let word = [verdict.status.map(String.init), verdict.reason].compactMap { $0 }
      return "\(paint.red("refused \(word.joined(separator: " "))")): \(verdict.text)"
    }
  }

  private func sign(_ mark: Mark, _ paint: Paint) -> String {
    switch mark {
    case .well: paint.green("✓")
    case .wrong: paint.red("✗")
    case .note: paint.dim("·")
    }
  }
}
