import Crypto
import Wire

/// The status page: one document that needs no other, shows what `StatusReport` says, and asks for
/// it again every two seconds.
///
/// Whatever the report says gets into the page as text, never as markup; and were it otherwise, the
/// policy that is sent with it lets no script run but the page's own, which it names by digest.
struct StatusPage: Sendable {
  /// The document.
  let html: [UInt8]
  /// Whole header lines that go with it.
  let fields: [UInt8]

  static let shared = StatusPage()

  private init() {
    html = Array(
      """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>Tollgate</title>
      <style>\(StatusPageParts.style)</style>
      </head>
      <body>
      \(StatusPageParts.body)
      <script>\(StatusPageParts.script)</script>
      </body>
      </html>

      """.utf8)
    // Content Security Policy Level 3 §2.3.1: a digest of what stands between the tags.
    let style = Self.source(StatusPageParts.style)
    let script = Self.source(StatusPageParts.script)
    fields = Array(
      ("Content-Security-Policy: default-src 'none'; style-src \(style); script-src \(script); "
        + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
        + "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n").utf8)
  }

  /// `'sha256-…'`, or what allows nothing where there is no digest to be had.
  private static func source(_ text: String) -> String {
    guard let digester = try? Digester() else { return "'none'" }
    let digest = digester.digest(Array(text.utf8)).bytes
    return "'sha256-\(String(decoding: Base64.encode(digest), as: UTF8.self))'"
  }
}
