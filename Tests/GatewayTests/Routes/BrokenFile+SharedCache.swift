extension BrokenFile {
  static let sharedCache: [BrokenFile] = [
    .init(
      "a shared cache without anything",
      file(
        "sharedCache",
        #"{}"#),
      #"""
      routes.json:7:18: sharedCache.url: missing; where Redis is, such as "rediss://redis.example.com:6379"
          7 |   "sharedCache": {}
            |                  ^
      routes.json:7:18: sharedCache.keys: missing; the first seals, all open; openssl rand -base64 32 > cache.key
          7 |   "sharedCache": {}
            |                  ^
      """#),
    .init(
      "a shared cache that is a URL",
      file(
        "sharedCache",
        #""redis://127.0.0.1""#),
      #"""
      routes.json:7:18: sharedCache: expected an object, found text
          7 |   "sharedCache": "redis://127.0.0.1"
            |                  ^~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a user in the URL of a shared cache",
      file(
        "sharedCache",
        #"{ "url": "redis://me:hunter2@10.0.0.1", "keys": ["hunter2"] }"#),
      #"""
      routes.json:7:27: sharedCache.url: "username" and "password" are keys of their own, not part of the URL
          7 |   "sharedCache": { "url": "‹redacted›", "keys": ["‹redacted›"] }
            |                           ^~~~~~~~~~~~
      routes.json:7:67: sharedCache.keys[0]: expected a key of 32 bytes, raw, in hexadecimal or in base64; this makes one: openssl rand -base64 32
          7 |   "sharedCache": { "url": "‹redacted›", "keys": ["‹redacted›"] }
            |                                                  ^~~~~~~~~~~~
      """#),
    .init(
      "a shared cache with a path and no keys",
      file(
        "sharedCache",
        #"{ "url": "redis://127.0.0.1/x", "keys": [], "timeout": "11s" }"#),
      #"""
      routes.json:7:27: sharedCache.url: only a database's number may follow the host, such as "/1"
          7 |   "sharedCache": { "url": "redis://127.0.0.1/x", "keys": [], "timeout": "11s" }
            |                           ^~~~~~~~~~~~~~~~~~~~~
      routes.json:7:58: sharedCache.keys: expected at least one
          7 |   "sharedCache": { "url": "redis://127.0.0.1/x", "keys": [], "timeout": "11s" }
            |                                                          ^~
      routes.json:7:73: sharedCache.timeout: expected from 1ms to 10s
          7 |   "sharedCache": { "url": "redis://127.0.0.1/x", "keys": [], "timeout": "11s" }
            |                                                                         ^~~~~
      """#),
    .init(
      "a shared cache that speaks HTTP",
      file(
        "sharedCache",
        #"{ "url": "http://127.0.0.1", "username": "u", "keys": [{ "env": "SECRET" }] }"#),
      #"""
      routes.json:7:18: sharedCache.password: missing; "username" is nobody without one
          7 |   "sharedCache": { "url": "http://127.0.0.1", "username": "u", "keys": [{ "env": "SECRET" }] }
            |                  ^
      routes.json:7:27: sharedCache.url: expected a URL that begins with rediss:// or redis://
          7 |   "sharedCache": { "url": "http://127.0.0.1", "username": "u", "keys": [{ "env": "SECRET" }] }
            |                           ^~~~~~~~~~~~~~~~~~
      routes.json:7:73: sharedCache.keys[0]: expected a key of 32 bytes, raw, in hexadecimal or in base64; this makes one: openssl rand -base64 32
          7 |   "sharedCache": { "url": "http://127.0.0.1", "username": "u", "keys": [{ "env": "SECRET" }] }
            |                                                                         ^~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a shared cache with authorities in the clear",
      file(
        "sharedCache",
        #"{ "url": "redis://127.0.0.1", "tls": { "ca": "ca.pem" }, "keys": [{ "file": "no.key" }], "pasword": "hunter2" }"#
      ),
      #"""
      routes.json:7:48: sharedCache.tls: only rediss:// speaks TLS
          7 |   "sharedCache": { "url": "redis://127.0.0.1", "tls": { "ca": "ca.pem" }, "keys": [{ "file": "no.key" }], "pasword": "‹redacted›" }
            |                                                ^~~~~
      routes.json:7:94: sharedCache.keys[0].file: cannot read no.key: no such file or directory (ENOENT)
          7 |   "sharedCache": { "url": "redis://127.0.0.1", "tls": { "ca": "ca.pem" }, "keys": [{ "file": "no.key" }], "pasword": "‹redacted›" }
            |                                                                                              ^~~~~~~~
      routes.json:7:107: sharedCache.pasword: unknown key; did you mean "password"?
          7 |   "sharedCache": { "url": "redis://127.0.0.1", "tls": { "ca": "ca.pem" }, "keys": [{ "file": "no.key" }], "pasword": "‹redacted›" }
            |                                                                                                           ^~~~~~~~~
      """#),
    .init(
      "a misspelled key of a shared cache",
      file(
        "sharedCache",
        #"{ "url": "rediss://127.0.0.1", "key": ["hunter2"] }"#),
      #"""
      routes.json:7:49: sharedCache.key: unknown key; did you mean "keys"?
          7 |   "sharedCache": { "url": "rediss://127.0.0.1", "key": ["‹redacted›"] }
            |                                                 ^~~~~
      """#),
    .init(
      "the same key twice",
      file(
        "sharedCache",
        #"{ "url": "rediss://127.0.0.1", "keys": ["hunter2-hunter2-hunter2-hunter2-", "hunter2-hunter2-hunter2-hunter2-"] }"#
      ),
      #"""
      routes.json:7:94: sharedCache.keys[1]: the same key twice
          7 |   "sharedCache": { "url": "rediss://127.0.0.1", "keys": ["‹redacted›", "‹redacted›"] }
            |                                                                        ^~~~~~~~~~~~
      """#),
  ]
}
