/// Colours, where there is a terminal that shows them.
package struct Paint: Sendable {
  private let isColoured: Bool

  package init(isColoured: Bool) { self.isColoured = isColoured }

  func strong(_ text: String) -> String { paint(text, "1") }

  func faint(_ text: String) -> String { paint(text, "2") }

  func good(_ text: String) -> String { paint(text, "32") }

  func bad(_ text: String) -> String { paint(text, "1;31") }

  private func paint(_ text: String, _ code: String) -> String {
    isColoured ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
  }
}
