import OAuth
import Wire

extension SharedCacheSettings {
  /// Reads `sharedCache`.
  static func read(_ object: inout ObjectReader) -> SharedCacheSettings? {
    let url = object.required(
      "url", .redisURL, "where Redis is, such as \"rediss://redis.example.com:6379\"")
    let username = object.optional("username", .text, "of an ACL user; null: the default one")
    let password = object.optional(
      "password", .secret, "{\"env\": \"NAME\"} or {\"file\": \"path\"}")
    let ca = object.optional("tls", .certificateAuthority, "for rediss://").flatMap(\.self)
    let timeoutMs = object.optional(
      "timeout", .duration(1...10 * Milliseconds.second), default: 50,
      "the longest that a request waits for Redis in all")
    let keys = object.required(
      "keys", .sharedKeys, "the first seals, all open; openssl rand -base64 32 > cache.key")
    if object.has("username"), !object.has("password") {
      object.refuseMissing("password", "\"username\" is nobody without one")
    }
    if ca != nil, url?.isSecure == false {
      object.reportAtName("tls", "only rediss:// speaks TLS")
    }
    guard let url, let keys else { return nil }
    if !url.isSecure, !url.isLoopback {
      let place = object.find("url")?.place ?? object.setting.place
      object.setting.reading.warn(
        place,
        password == nil
          ? "tokens travel sealed, but whoever is on the way can drop and delay them: rediss://"
          : "the password travels in the clear: rediss:// keeps it from whoever is on the way")
    }
    return SharedCacheSettings(
      url: url, username: username, password: password, ca: ca, timeoutMs: timeoutMs, keys: keys)
  }
}

extension Kind where Value == RedisURL {
  fileprivate static var redisURL: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      do throws(RedisURL.Fault) {
        return try RedisURL(text)
      } catch {
        return setting.refused(error.sentence)
      }
    }
  }
}

extension RedisURL.Fault {
  /// What is wrong, for people.
  fileprivate var sentence: String {
    switch self {
    case .scheme: "expected a URL that begins with rediss:// or redis://"
    case .userinfo: "\"username\" and \"password\" are keys of their own, not part of the URL"
    case .host: "no host name or address after the scheme"
    case .port: "expected a port from 1 to 65535 after the host"
    case .database: "only a database's number may follow the host, such as \"/1\""
    }
  }
}

extension Kind where Value == [Secret] {
  fileprivate static var sharedKeys: Kind {
    Kind(.list(Kind<Secret>.secret.schema, atLeastOne: true)) { setting in
      guard let keys = Kind.list(.sharedKey, atLeastOne: true).read(setting) else { return nil }
      for (index, key) in keys.enumerated() {
        let isRepeated =
          setting.reading.takesSecrets && keys[..<index].contains { $0.revealed == key.revealed }
        guard isRepeated, let node = setting.node.elements?[index] else { continue }
        return setting.element(index, node).refused("the same key twice")
      }
      return keys
    }
  }
}

extension Kind where Value == Secret {
  /// A key of 32 bytes, in one of the ways in which people keep them.
  fileprivate static var sharedKey: Kind {
    Kind(Kind.secret.schema) { setting in
      guard let secret = Kind.secret.read(setting) else { return nil }
      guard setting.reading.takesSecrets || secret.origin == .literal else {
        return Secret(Array(repeating: 0, count: 32), origin: secret.origin)
      }
      var kept = secret.revealed
      if case .file(let file) = secret.origin {
        // The whole of it: a newline at the end of 32 random bytes is one of them.
        kept = (try? setting.reading.files.read(file.path, bytesMax: 1 << 10)) ?? kept
      }
      guard let bytes = SharedKey.decode(kept) else {
        return setting.refused(
          "expected a key of 32 bytes, raw, in hexadecimal or in base64; this makes one: "
            + "openssl rand -base64 32")
      }
      if bytes.allSatisfy({ 0x20...0x7E ~= $0 }) {
        setting.reading.warn(
          setting.place,
          "32 bytes of text, which are easier to guess than random ones: openssl rand -base64 32")
      }
      return Secret(bytes, origin: secret.origin)
    }
  }
}
