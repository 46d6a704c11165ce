extension BrokenFile {
  static let server: [BrokenFile] = [
    .init(
      "too many workers",
      file(
        "workers",
        "5000"),
      #"""
      routes.json:7:14: workers: expected a whole number from 1 to 1024
          7 |   "workers": 5000
            |              ^~~~
      """#),
    .init(
      "a duration without a unit",
      file(
        "shutdown",
        #"{ "grace": 30 }"#),
      #"""
      routes.json:7:26: shutdown.grace: expected a duration such as "30s", found a number; did you mean "30s"?
          7 |   "shutdown": { "grace": 30 }
            |                          ^~
      """#),
    .init(
      "a duration in an unknown unit",
      file(
        "shutdown",
        #"{ "grace": "2min" }"#),
      #"""
      routes.json:7:26: shutdown.grace: expected a duration such as "30s" (units: ms, s, m, h); did you mean "2m"?
          7 |   "shutdown": { "grace": "2min" }
            |                          ^~~~~~
      """#),
    .init(
      "a duration out of range",
      file(
        "shutdown",
        #"{ "delay": "99999999999999999999h" }"#),
      #"""
      routes.json:7:26: shutdown.delay: expected from 0ms to 1h
          7 |   "shutdown": { "delay": "99999999999999999999h" }
            |                          ^~~~~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a size in thousands",
      file(
        "limits",
        #"{ "body": "10MB" }"#),
      #"""
      routes.json:7:23: limits.body: expected a size such as "16KiB" (units: B, KiB, MiB, GiB); did you mean "10MiB"?
          7 |   "limits": { "body": "10MB" }
            |                       ^~~~~~
      """#),
    .init(
      "a size out of range",
      file(
        "limits",
        #"{ "requestLine": "2MiB" }"#),
      #"""
      routes.json:7:30: limits.requestLine: expected from 64B to 1MiB
          7 |   "limits": { "requestLine": "2MiB" }
            |                              ^~~~~~
      """#),
    .init(
      "text in place of a number",
      file(
        "limits",
        #"{ "headerCount": "100" }"#),
      #"""
      routes.json:7:30: limits.headerCount: expected a whole number, found text
          7 |   "limits": { "headerCount": "100" }
            |                              ^~~~~
      """#),
    .init(
      "a part of a number",
      file(
        "limits",
        #"{ "connections": 1.5 }"#),
      #"""
      routes.json:7:30: limits.connections: expected a whole number from 1 to 10000000
          7 |   "limits": { "connections": 1.5 }
            |                              ^~~
      """#),
    .init(
      "trust in everyone",
      file(
        "trustedProxies",
        #"["10.0.0.0/8", "0.0.0.0/0", "::/0"]"#),
      #"""
      routes.json:7:36: trustedProxies[1]: trusts everyone: any caller could claim any address
          7 |   "trustedProxies": ["10.0.0.0/8", "0.0.0.0/0", "::/0"]
            |                                    ^~~~~~~~~~~
      routes.json:7:49: trustedProxies[2]: trusts everyone: any caller could claim any address
          7 |   "trustedProxies": ["10.0.0.0/8", "0.0.0.0/0", "::/0"]
            |                                                 ^~~~~~
      """#),
    .init(
      "a CIDR that is another",
      file(
        "trustedProxies",
        #""10.1.2.3/8""#),
      #"""
      routes.json:7:21: trustedProxies: bits are set after the prefix; did you mean "10.0.0.0/8"?
          7 |   "trustedProxies": "10.1.2.3/8"
            |                     ^~~~~~~~~~~~
      """#),
    .init(
      "a listener without a host",
      file(
        "listeners",
        #"[{ "address": ":8443" }]"#),
      #"""
      routes.json:6:30: listeners[0].address: expected an address such as "0.0.0.0:8443" or "[::]:8443"; did you mean "0.0.0.0:8443"?
          6 |   "listeners": [{ "address": ":8443" }]
            |                              ^~~~~~~
      """#),
    .init(
      "a listener without a port",
      file(
        "listeners",
        #"[{ "address": "localhost" }]"#),
      #"""
      routes.json:6:30: listeners[0].address: expected an address such as "0.0.0.0:8443" or "[::]:8443": the port is missing
          6 |   "listeners": [{ "address": "localhost" }]
            |                              ^~~~~~~~~~~
      """#),
    .init(
      "IPv6 without brackets",
      file(
        "listeners",
        #"[{ "address": "::1:8443" }]"#),
      #"""
      routes.json:6:30: listeners[0].address: expected an address such as "0.0.0.0:8443" or "[::]:8443": IPv6 stands in brackets
          6 |   "listeners": [{ "address": "::1:8443" }]
            |                              ^~~~~~~~~~
      """#),
    .init(
      "a probe address on a unix socket",
      file(
        "admin",
        #"{ "probes": "unix:/run/t.sock" }"#),
      #"""
      routes.json:7:24: admin.probes: "unix:" is for listeners; here it is host and port
          7 |   "admin": { "probes": "unix:/run/t.sock" }
            |                        ^~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "HTTP/2 before its time",
      file(
        "listeners",
        #"[{ "address": "[::]:80", "http2": true }]"#),
      #"""
      routes.json:6:41: listeners[0].http2: not supported yet
          6 |   "listeners": [{ "address": "[::]:80", "http2": true }]
            |                                         ^~~~~~~
      """#),
    .init(
      "two listeners at one address",
      file(
        "listeners",
        #"[{ "address": "[::1]:80" }, { "address": "[0::1]:80" }]"#),
      #"""
      routes.json:6:57: listeners[1].address: the same address as listeners[0].address
          6 |   "listeners": [{ "address": "[::1]:80" }, { "address": "[0::1]:80" }]
            |                                                         ^~~~~~~~~~~
      """#),
    .init(
      "two listeners of one name",
      file(
        "listeners",
        #"""
        [
            { "name": "a", "address": "127.0.0.1:1" },
            { "name": "a", "address": "127.0.0.1:2" }
          ]
        """#),
      #"""
      routes.json:8:15: listeners[1].name: two listeners with this name
          8 |     { "name": "a", "address": "127.0.0.1:2" }
            |               ^~~
      """#),
    .init(
      "TLS without a certificate",
      file(
        "listeners",
        #"[{ "address": "127.0.0.1:443", "tls": { "certificates": [] } }]"#),
      #"""
      routes.json:6:72: listeners[0].tls.certificates: expected at least one
          6 |   "listeners": [{ "address": "127.0.0.1:443", "tls": { "certificates": [] } }]
            |                                                                        ^~
      """#),
    .init(
      "client certificates of nobody",
      file(
        "listeners",
        #"""
        [
            { "address": "127.0.0.1:443", "tls": { "certificates": [{ "chain": "c" }], "clientAuth": "require" } },
            { "address": "127.0.0.1:444", "tls": { "certificates": [{ "chain": "c", "key": "k" }], "clientAuth": "request", "clientCa": "ca.pem" } },
            { "address": "127.0.0.1:445", "tls": { "certificates": [{ "chain": "c", "key": "k" }], "clientAuth": "optional", "clientCA": "" } },
            { "address": "127.0.0.1:446", "tls": { "certificates": [{ "chain": "c", "key": "k" }], "clientAuth": true } }
          ]
        """#),
      #"""
      routes.json:7:42: listeners[0].tls.clientCA: missing; the PEM file of those who sign callers' certificates
          7 |     { "address": "127.0.0.1:443", "tls": { "certificates": [{ "chain": "c" }], "clientAuth": "require" } },
            |                                          ^
      routes.json:7:61: listeners[0].tls.certificates[0].key: missing; the private key's PEM file
          7 |     { "address": "127.0.0.1:443", "tls": { "certificates": [{ "chain": "c" }], "clientAuth": "require" } },
            |                                                             ^
      routes.json:8:117: listeners[1].tls.clientCa: unknown key; did you mean "clientCA"?
          8 |     { "address": "127.0.0.1:444", "tls": { "certificates": [{ "chain": "c", "key": "k" }], "clientAuth": "request", "clientCa": "ca.pem" } },
            |                                                                                                                     ^~~~~~~~~~
      routes.json:9:106: listeners[2].tls.clientAuth: expected "none", "request" or "require"
          9 |     { "address": "127.0.0.1:445", "tls": { "certificates": [{ "chain": "c", "key": "k" }], "clientAuth": "optional", "clientCA": "" } },
            |                                                                                                          ^~~~~~~~~~
      routes.json:9:130: listeners[2].tls.clientCA: expected text, found an empty string
          9 |     { "address": "127.0.0.1:445", "tls": { "certificates": [{ "chain": "c", "key": "k" }], "clientAuth": "optional", "clientCA": "" } },
            |                                                                                                                                  ^~
      routes.json:10:106: listeners[3].tls.clientAuth: expected "none", "request" or "require", found true
          10 |     { "address": "127.0.0.1:446", "tls": { "certificates": [{ "chain": "c", "key": "k" }], "clientAuth": true } }
             |                                                                                                          ^~~~
      """#),
    .init(
      "a field that no log has",
      file(
        "accessLog",
        #"{ "format": "combined", "claims": ["/a~b"] }"#),
      #"""
      routes.json:7:51: accessLog.claims[0]: not a JSON Pointer: "~" is written "~0" and "/" "~1"
          7 |   "accessLog": { "format": "combined", "claims": ["/a~b"] }
            |                                                   ^~~~~~
      """#),
    .init(
      "a log neither on nor off",
      file(
        "accessLog",
        #""of""#),
      #"""
      routes.json:7:16: accessLog: expected "off" or an object, found text; did you mean "off"?
          7 |   "accessLog": "of"
            |                ^~~~
      """#),
    .init(
      "an admin address already taken",
      file(
        "admin",
        #"{ "address": "127.0.0.1:8080" }"#),
      #"""
      routes.json:7:25: admin.address: the same address as listeners[0].address
          7 |   "admin": { "address": "127.0.0.1:8080" }
            |                         ^~~~~~~~~~~~~~~~
      """#),
    .init(
      "tracing without a collector",
      file([
        ("tracing", "{}")
      ]),
      #"""
      routes.json:7:14: tracing.endpoint: missing; an OTLP/HTTP collector's address
          7 |   "tracing": {}
            |              ^
      """#),
    .init(
      "a collector's address with the path that is put behind it",
      file([
        ("tracing", #"{ "endpoint": "http://o:4318/v1/traces" }"#)
      ]),
      #"""
      routes.json:7:28: tracing.endpoint: "/v1/traces" is put behind it; did you mean "http://o:4318"?
          7 |   "tracing": { "endpoint": "http://o:4318/v1/traces" }
            |                            ^~~~~~~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a collector's address with a query, and more than all",
      file([
        ("tracing", #"{ "endpoint": "http://o:4318/?key=1", "sample": 2 }"#)
      ]),
      #"""
      routes.json:7:28: tracing.endpoint: a collector's address has no query ("?")
          7 |   "tracing": { "endpoint": "http://o:4318/?key=1", "sample": 2 }
            |                            ^~~~~~~~~~~~~~~~~~~~~~
      routes.json:7:62: tracing.sample: expected a number from 0.0 to 1.0
          7 |   "tracing": { "endpoint": "http://o:4318/?key=1", "sample": 2 }
            |                                                              ^
      """#),
  ]
}
