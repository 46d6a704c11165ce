import OAuth
import Wire

extension Kind where Value == [TokenPlace] {
  /// A route's `from`: at least one place, and each once.
  static var tokenPlaces: Kind {
    Kind(.list(.string, atLeastOne: true)) { setting in
      var seen: Set<TokenPlace> = []
      return list(
        Kind<TokenPlace> { setting in
          guard let place = Kind<TokenPlace>.tokenPlace.read(setting) else { return nil }
          return seen.insert(place).inserted ? place : setting.refused("the same place twice")
        }, atLeastOne: true
      ).read(setting)
    }
  }
}

extension Kind where Value == TokenPlace {
  fileprivate static var tokenPlace: Kind {
    Kind { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      if text == "header" { return .header }
      if let name = name(in: text, behind: "cookie:") {
        // RFC 6265 §4.1.1: a token. Names are compared with their escapes undone.
        let isName = name.allSatisfy { ByteClass.isToken($0) && $0 != UInt8(ascii: "%") }
        guard !name.isEmpty, isName else {
          return setting.refused("no cookie has such a name; one is such as \"cookie:session\"")
        }
        return .cookie(UTF8Text(name))
      }
      if let name = name(in: text, behind: "query:") {
        guard !name.isEmpty, name.allSatisfy(ByteClass.isUnreserved) else {
          return setting.refused(
            "a parameter's name is of letters, digits and -._~, such as \"query:access_token\"")
        }
        return .query(UTF8Text(name))
      }
      return setting.refused(
        "expected \"header\", \"cookie:NAME\" or \"query:NAME\"",
        suggestion: Spelling.nearest(to: text.string, among: ["header"]))
    }
  }

  private static func name(in text: UTF8Text, behind prefix: UTF8Text) -> [UInt8]? {
    text.hasPrefix(prefix) ? Array(text.bytes.dropFirst(prefix.bytes.count)) : nil
  }
}
