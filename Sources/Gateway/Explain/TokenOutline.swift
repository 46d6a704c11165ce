import JOSE
import Wire

/// What can be seen of a token that is no JWT, or none that could be checked here: for people who
/// have to find out what they have sent.
struct TokenOutline {
  /// Of its header; nil where it has none that can be read.
  let header: JSONNode?
  /// What is wrong with its form; nil where nothing is.
  let trouble: (got: String, expected: String)?
  /// Its algorithm, where no gateway uses that one.
  let unusedAlgorithm: String?

  private static let parser = JSONParser(
    .strict, bytesMax: 64 << 10, depthMax: 16, nodesMax: 2_048)

  init(_ token: [UInt8]) {
    let parts = token.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    let first = parts.first.flatMap { Base64URL.decode(Array($0).span) }
    header = first.flatMap { try? Self.parser.parse($0) }
    let expected = "a signed JWT: three parts in base64url, a dot between"
    do throws(JWSFault) {
      _ = try CompactJWS(token.span)
      trouble = nil
      unusedAlgorithm = nil
    } catch {
      unusedAlgorithm =
        error == .algorithmUnknown ? header?["alg"]?.string.map { PlainText.of($0.string) } : nil
      switch error {
      case .algorithmUnknown: trouble = nil
      case .partCount where parts.count == 5 && header?["enc"] != nil:
        trouble = ("an encrypted token (JWE), five parts", expected)
      case .partCount:
        let isOne = parts.count == 1
        trouble = (isOne ? "one part: opaque, or cut" : "\(parts.count) parts", expected)
      case .base64URL: trouble = ("\(error): it was cut or changed", expected)
      default: trouble = ("\(error)", expected)
      }
    }
  }

  /// `alg HS256, typ JWT`; nil where there is nothing to tell.
  var headerText: String? {
    let parts = ["alg", "enc", "typ", "kid"].compactMap { name in
      header?[UTF8Text(name)]?.string.map { "\(name) \(PlainText.of($0.string))" }
    }
    return parts.isEmpty ? nil : parts.joined(separator: ", ")
  }
}
