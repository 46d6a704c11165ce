/// What keys are called in other proxies' files, where their spelling does not lead to ours.
enum Synonyms {
  /// The first of the candidates that somebody who wrote this word may have meant.
  static func meant(by word: String, among candidates: [String]) -> String? {
    let plain = word.lowercased().filter { $0.isLetter }
    return names[plain]?.first(where: candidates.contains)
  }

  /// The key inside which this one belongs: a level too high is where other proxies have it.
  static func home(of word: String, among known: [String]) -> String? {
    known.contains(word)
      ? nil : homes.first { known.contains($0.key) && $0.words.contains(word) }?.key
  }

  /// Keys that are sought a level above theirs.
  private static let homes: [(key: String, words: Set<String>)] = [
    ("match", ["path", "host", "methods", "headers", "listeners"]),
    (
      "forward",
      ["to", "timeout", "idleTimeout", "retries", "upgrade", "via", "responseHeaders"]
    ),
    ("authenticate", ["scope", "anyScope", "claims", "issuers", "from", "realm"]),
    ("exchange", ["audience", "resource", "with"]),
    ("respond", ["status"]),
    ("tls", ["certificates", "minVersion", "clientAuth", "clientCA", "ca", "serverName"]),
    ("client", ["secret", "keyId"]),
    ("cache", ["maxLife", "margin", "refreshAhead"]),
    ("shutdown", ["grace", "delay"]),
    ("limits", ["requestLine", "headerTimeout", "bodyTimeout"]),
  ]

  /// By the word in lower case, letters alone.
  private static let names: [String: [String]] = [
    "addr": ["address"], "listen": ["address", "listeners"], "bind": ["address", "listeners"],
    "port": ["address", "listeners"], "ports": ["listeners"],
    "aud": ["audience", "audiences"], "iss": ["issuer"], "audiences": ["audience"],
    "auth": ["authenticate"], "authentication": ["authenticate"], "jwt": ["authenticate"],
    "backend": ["to", "forward"], "backends": ["servers", "upstreams"],
    "upstream": ["to", "forward"], "target": ["to", "forward"], "proxy": ["forward"],
    "proxypass": ["to", "forward"], "endpoint": ["url", "tokenService"],
    "clusters": ["upstreams"], "services": ["upstreams"], "providers": ["issuers"],
    "cert": ["chain", "certificate", "certificates"], "certificate": ["chain", "certificates"],
    "cafile": ["ca", "clientCA"], "cabundle": ["ca", "clientCA"], "sni": ["serverName"],
    "clientid": ["id", "client"], "clientsecret": ["secret", "client"],
    "file": ["path"], "filename": ["path"], "output": ["path"], "logs": ["accessLog"],
    "log": ["accessLog"], "health": ["healthCheck"], "verb": ["methods"], "verbs": ["methods"],
    "jwksuri": ["jwks"], "jwksurl": ["jwks"], "keysurl": ["jwks"], "scopes": ["scope"],
    "lb": ["balance"], "loadbalancing": ["balance"], "loadbalancer": ["balance"],
    "metrics": ["admin"], "threads": ["workers"], "redis": ["sharedCache"],
    "ratelimits": ["rateLimit"], "limit": ["rateLimit", "limits"], "window": ["per"],
    "rate": ["requests"], "key": ["by"], "uri": ["url", "to", "path"],
    "url": ["to", "servers", "path"], "urls": ["servers"], "hosts": ["servers"],
    "addheaders": ["headers", "set"], "add": ["set"],
  ]
}
