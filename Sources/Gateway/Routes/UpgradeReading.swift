import Wire

extension Kind where Value == UTF8Text {
  /// A protocol of `Upgrade` (RFC 9110 §7.8) that may take over a connection, in lower case.
  static var upgrade: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      let parts = text.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
      let isProtocol =
        text.bytes.count <= 64 && (1...2).contains(parts.count)
        && parts.allSatisfy { FieldText.isToken(UTF8Text(Array($0))) }
      guard isProtocol else {
        return setting.refused("expected a protocol such as \"websocket\"")
      }
      let name = UTF8Text(text.bytes.map(ByteClass.lowercased))
      guard !hidesRequests(name) else {
        return setting.refused("requests within it would be neither checked nor seen")
      }
      // What a URL's scheme and a library call it is no protocol's name.
      if ["ws", "wss", "socket.io"].contains(name) {
        return setting.refused("no protocol has that name", suggestion: "websocket")
      }
      if let nearest = Spelling.nearest(to: name.string, among: ["websocket"]),
        name != UTF8Text(nearest)
      {
        return setting.refused("a protocol that looks misspelled", suggestion: nearest)
      }
      return name
    }
  }

  /// HTTP itself, and what would carry it unseen.
  private static func hidesRequests(_ name: UTF8Text) -> Bool {
    ["h2c", "h2", "http", "tls"].contains { known in
      name == UTF8Text(known) || name.hasPrefix(UTF8Text("\(known)/"))
    }
  }
}
