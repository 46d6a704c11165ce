extension BrokenFile {
  static let services: [BrokenFile] = [
    .init(
      "a user in a URL",
      file(
        "upstreams",
        #"{ "orders": { "servers": ["http://me:hunter2@orders"] } }"#),
      #"""
      routes.json:6:42: upstreams.orders.servers[0]: a URL here holds no user or password
          6 |   "upstreams": { "orders": { "servers": ["‹redacted›"] } }
            |                                          ^~~~~~~~~~~~
      """#),
    .init(
      "a server with a path",
      file(
        "upstreams",
        #"{ "orders": { "servers": "http://orders:8080/v1" } }"#),
      #"""
      routes.json:6:41: upstreams.orders.servers: expected scheme, host and port only; did you mean "http://orders:8080"?
          6 |   "upstreams": { "orders": { "servers": "http://orders:8080/v1" } }
            |                                         ^~~~~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a server without a scheme",
      file(
        "upstreams",
        #"{ "orders": { "servers": ["orders:8080"] } }"#),
      #"""
      routes.json:6:42: upstreams.orders.servers[0]: expected a URL that begins with https:// or http://; did you mean "http://orders:8080"?
          6 |   "upstreams": { "orders": { "servers": ["orders:8080"] } }
            |                                          ^~~~~~~~~~~~~
      """#),
    .init(
      "the same server twice",
      file(
        "upstreams",
        #"{ "orders": { "servers": ["http://orders", "http://ORDERS:80"] } }"#),
      #"""
      routes.json:6:59: upstreams.orders.servers[1]: the same server twice
          6 |   "upstreams": { "orders": { "servers": ["http://orders", "http://ORDERS:80"] } }
            |                                                           ^~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a health check without a path",
      file(
        "upstreams",
        #"{ "orders": { "servers": "http://a", "balance": "hash:header:x", "healthCheck": {} } }"#),
      #"""
      routes.json:6:96: upstreams.orders.healthCheck.path: missing; what is asked for, such as "/healthz"
          6 |   "upstreams": { "orders": { "servers": "http://a", "balance": "hash:header:x", "healthCheck": {} } }
            |                                                                                                ^
      """#),
    .init(
      "an unknown balance",
      file(
        "upstreams",
        #"{ "orders": { "servers": { "url": "http://a" }, "balance": "round-robbin" } }"#),
      #"""
      routes.json:6:41: upstreams.orders.servers: expected a list, found an object
          6 |   "upstreams": { "orders": { "servers": { "url": "http://a" }, "balance": "round-robbin" } }
            |                                         ^~~~~~~~~~~~~~~~~~~~~
      routes.json:6:75: upstreams.orders.balance: expected "least-requests", "round-robin", "random", "hash:header:NAME" or "hash:claim:NAME"; did you mean "round-robin"?
          6 |   "upstreams": { "orders": { "servers": { "url": "http://a" }, "balance": "round-robbin" } }
            |                                                                           ^~~~~~~~~~~~~~
      """#),
    .init(
      "an unknown key of exchange",
      file(
        "routes",
        #"""
        [
            {
              "match": { "path": "/orders/*" },
              "exchange": { "audiance": "orders" },
              "forward": { "to": "orders" }
            }
          ]
        """#),
      #"""
      routes.json:9:21: routes[0].exchange.audiance: unknown key; did you mean "audience"?
          9 |       "exchange": { "audiance": "orders" },
            |                     ^~~~~~~~~~
      """#),
    .init(
      "no routes at all",
      file(
        "routes",
        "{}"),
      #"""
      routes.json:6:13: routes: expected a list, found an object
          6 |   "routes": {}
            |             ^~
      """#),
    .init(
      "a route without anything",
      file(
        "routes",
        #"""
        [
            {}
          ]
        """#),
      #"""
      routes.json:7:5: routes[0].match: missing; which requests it is for
          7 |     {}
            |     ^
      routes.json:7:5: routes[0].exchange: missing; an "audience" for the service, "strip" or "passthrough"
          7 |     {}
            |     ^
      routes.json:7:5: routes[0].forward: missing; where requests go on to, or "respond" or "redirect"
          7 |     {}
            |     ^
      """#),
    .init(
      "a path without a slash",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "orders" }, "exchange": "strip", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:26: routes[0].match.path: a path begins with "/"; did you mean "/orders"?
          7 |     { "match": { "path": "orders" }, "exchange": "strip", "forward": { "to": "orders" } }
            |                          ^~~~~~~~
      """#),
    .init(
      "a star that is not last",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/*/orders" }, "exchange": "strip", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:26: routes[0].match.path: "*" stands for the rest and only as the last segment; one segment is "{name}"
          7 |     { "match": { "path": "/*/orders" }, "exchange": "strip", "forward": { "to": "orders" } }
            |                          ^~~~~~~~~~~
      """#),
    .init(
      "a path with dots",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/a/%2e%2E/b" }, "exchange": "strip", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:26: routes[0].match.path: "." and ".." never match: they are resolved first
          7 |     { "match": { "path": "/a/%2e%2E/b" }, "exchange": "strip", "forward": { "to": "orders" } }
            |                          ^~~~~~~~~~~~~
      """#),
    .init(
      "half a parameter",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/a/x{id}" }, "exchange": "strip", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:26: routes[0].match.path: a parameter is a whole segment: "{name}", of letters, digits, "_" and "-"
          7 |     { "match": { "path": "/a/x{id}" }, "exchange": "strip", "forward": { "to": "orders" } }
            |                          ^~~~~~~~~~
      """#),
    .init(
      "a host with two stars",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/", "host": "*.*.a" }, "exchange": "strip", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:39: routes[0].match.host: expected a host such as "api.example.com" or "*.example.com"
          7 |     { "match": { "path": "/", "host": "*.*.a" }, "exchange": "strip", "forward": { "to": "orders" } }
            |                                       ^~~~~~~
      """#),
    .init(
      "methods that are none",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/", "methods": ["get", "TRACE"] }, "exchange": "strip", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:43: routes[0].match.methods[0]: methods are written in upper case; did you mean "GET"?
          7 |     { "match": { "path": "/", "methods": ["get", "TRACE"] }, "exchange": "strip", "forward": { "to": "orders" } }
            |                                           ^~~~~
      routes.json:7:50: routes[0].match.methods[1]: TRACE is refused on every route
          7 |     { "match": { "path": "/", "methods": ["get", "TRACE"] }, "exchange": "strip", "forward": { "to": "orders" } }
            |                                                  ^~~~~~~
      """#),
    .init(
      "a listener of another name",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/", "listeners": "pubic" }, "exchange": "strip", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:44: routes[0].match.listeners: there is no listener of this name
          7 |     { "match": { "path": "/", "listeners": "pubic" }, "exchange": "strip", "forward": { "to": "orders" } }
            |                                            ^~~~~~~
      """#),
  ]
}
