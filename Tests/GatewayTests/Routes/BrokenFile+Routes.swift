extension BrokenFile {
  static let routes: [BrokenFile] = [
    .init(
      "a route that says nothing of the token",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:5: routes[0].exchange: missing; an "audience" for the service, "strip" or "passthrough"
          7 |     { "match": { "path": "/" }, "forward": { "to": "orders" } }
            |     ^
      """#),
    .init(
      "keys a level too high",
      file(
        "routes",
        #"""
        [
            { "path": "/a", "exchange": "strip", "to": "orders" },
            { "match": { "path": "/b" }, "exchange": "strip", "forward": "http://orders:8080" }
          ]
        """#),
      #"""
      routes.json:7:7: routes[0].path: unknown key here; it belongs in "match"
          7 |     { "path": "/a", "exchange": "strip", "to": "orders" },
            |       ^~~~~~
      routes.json:7:42: routes[0].to: unknown key here; it belongs in "forward"
          7 |     { "path": "/a", "exchange": "strip", "to": "orders" },
            |                                          ^~~~
      routes.json:8:66: routes[1].forward: expected an object: { "to": "http://orders:8080" }, found text
          8 |     { "match": { "path": "/b" }, "exchange": "strip", "forward": "http://orders:8080" }
            |                                                                  ^~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a null that says nothing of the token",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "exchange": null, "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:5: routes[0].exchange: missing; an "audience" for the service, "strip" or "passthrough"
          7 |     { "match": { "path": "/" }, "exchange": null, "forward": { "to": "orders" } }
            |     ^
      """#),
    .init(
      "an exchange of another name",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "exchange": { "with": "crop" }, "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:55: routes[0].exchange.with: there is no exchange of this name; did you mean "corp"?
          7 |     { "match": { "path": "/" }, "exchange": { "with": "crop" }, "forward": { "to": "orders" } }
            |                                                       ^~~~~~
      """#),
    .init(
      "a public route with an audience",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "authenticate": "none", "exchange": { "audience": "a" }, "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:69: routes[0].exchange: a public route has no caller's token: it can only "strip"
          7 |     { "match": { "path": "/" }, "authenticate": "none", "exchange": { "audience": "a" }, "forward": { "to": "orders" } }
            |                                                                     ^~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a public route that passes through",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "authenticate": "none", "exchange": "passthrough", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:69: routes[0].exchange: a public route has no caller's token: it can only "strip"
          7 |     { "match": { "path": "/" }, "authenticate": "none", "exchange": "passthrough", "forward": { "to": "orders" } }
            |                                                                     ^~~~~~~~~~~~~
      """#),
    .init(
      "a public route that admits",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "authenticate": "none", "admit": { "system": "reject" }, "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:57: routes[0].admit: a public route admits everyone
          7 |     { "match": { "path": "/" }, "authenticate": "none", "admit": { "system": "reject" }, "forward": { "to": "orders" } }
            |                                                         ^~~~~~~
      """#),
    .init(
      "authentication by a word",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "authenticate": "non", "exchange": "strip", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:49: routes[0].authenticate: expected "none" or an object, found text; did you mean "none"?
          7 |     { "match": { "path": "/" }, "authenticate": "non", "exchange": "strip", "forward": { "to": "orders" } }
            |                                                 ^~~~~
      """#),
    .init(
      "scopes in one text",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "authenticate": { "scope": "a b", "issuers": ["crop"] }, "exchange": "strip", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:7:60: routes[0].authenticate.scope: a scope has no space; several are a list
          7 |     { "match": { "path": "/" }, "authenticate": { "scope": "a b", "issuers": ["crop"] }, "exchange": "strip", "forward": { "to": "orders" } }
            |                                                            ^~~~~
      routes.json:7:79: routes[0].authenticate.issuers[0]: there is no issuer of this name; did you mean "corp"?
          7 |     { "match": { "path": "/" }, "authenticate": { "scope": "a b", "issuers": ["crop"] }, "exchange": "strip", "forward": { "to": "orders" } }
            |                                                                               ^~~~~~
      """#),
    .init(
      "claims that no token could have",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "authenticate": { "claims": {
              "tenant": [], "level": null, "/a~b": "x", "roles": ["a", { "b": 1 }], "": "x", "x": [["y"]]
            } }, "exchange": "strip", "forward": { "to": "orders" } }
          ]
        """#),
      #"""
      routes.json:8:17: routes[0].authenticate.claims.tenant: expected at least one
          8 |       "tenant": [], "level": null, "/a~b": "x", "roles": ["a", { "b": 1 }], "": "x", "x": [["y"]]
            |                 ^~
      routes.json:8:30: routes[0].authenticate.claims.level: expected text, a number, true or false, found null
          8 |       "tenant": [], "level": null, "/a~b": "x", "roles": ["a", { "b": 1 }], "": "x", "x": [["y"]]
            |                              ^~~~
      routes.json:8:36: routes[0].authenticate.claims["/a~b"]: not a JSON Pointer: "~" is written "~0" and "/" "~1"
          8 |       "tenant": [], "level": null, "/a~b": "x", "roles": ["a", { "b": 1 }], "": "x", "x": [["y"]]
            |                                    ^~~~~~
      routes.json:8:64: routes[0].authenticate.claims.roles[1]: expected text, a number, true or false, found an object
          8 |       "tenant": [], "level": null, "/a~b": "x", "roles": ["a", { "b": 1 }], "": "x", "x": [["y"]]
            |                                                                ^~~~~~~~~~
      routes.json:8:77: routes[0].authenticate.claims[""]: expected a name, found none
          8 |       "tenant": [], "level": null, "/a~b": "x", "roles": ["a", { "b": 1 }], "": "x", "x": [["y"]]
            |                                                                             ^~
      routes.json:8:92: routes[0].authenticate.claims.x[0]: expected text, a number, true or false, found a list
          8 |       "tenant": [], "level": null, "/a~b": "x", "roles": ["a", { "b": 1 }], "": "x", "x": [["y"]]
            |                                                                                            ^~~~~
      """#),
    .init(
      "places where no token can be",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "exchange": "strip", "forward": { "to": "orders" },
              "authenticate": { "from": ["haeder", "cookie:", "cookie:a b", "cookie:a%20", "query:", "query:a&b"] } },
            { "match": { "path": "/a" }, "exchange": "strip", "forward": { "to": "orders" },
              "authenticate": { "from": ["cookie:a", "query:a", "cookie:a", "cookie"] } },
            { "match": { "path": "/b" }, "exchange": "strip", "forward": { "to": "orders" },
              "authenticate": { "from": [] } },
            { "match": { "path": "/c" }, "exchange": "strip", "forward": { "to": "orders" },
              "authenticate": { "from": { "cookie": "a" } } }
          ]
        """#),
      #"""
      routes.json:8:34: routes[0].authenticate.from[0]: expected "header", "cookie:NAME" or "query:NAME"; did you mean "header"?
          8 |       "authenticate": { "from": ["haeder", "cookie:", "cookie:a b", "cookie:a%20", "query:", "query:a&b"] } },
            |                                  ^~~~~~~~
      routes.json:8:44: routes[0].authenticate.from[1]: no cookie has such a name; one is such as "cookie:session"
          8 |       "authenticate": { "from": ["haeder", "cookie:", "cookie:a b", "cookie:a%20", "query:", "query:a&b"] } },
            |                                            ^~~~~~~~~
      routes.json:8:55: routes[0].authenticate.from[2]: no cookie has such a name; one is such as "cookie:session"
          8 |       "authenticate": { "from": ["haeder", "cookie:", "cookie:a b", "cookie:a%20", "query:", "query:a&b"] } },
            |                                                       ^~~~~~~~~~~~
      routes.json:8:69: routes[0].authenticate.from[3]: no cookie has such a name; one is such as "cookie:session"
          8 |       "authenticate": { "from": ["haeder", "cookie:", "cookie:a b", "cookie:a%20", "query:", "query:a&b"] } },
            |                                                                     ^~~~~~~~~~~~~
      routes.json:8:84: routes[0].authenticate.from[4]: a parameter's name is of letters, digits and -._~, such as "query:access_token"
          8 |       "authenticate": { "from": ["haeder", "cookie:", "cookie:a b", "cookie:a%20", "query:", "query:a&b"] } },
            |                                                                                    ^~~~~~~~
      routes.json:8:94: routes[0].authenticate.from[5]: a parameter's name is of letters, digits and -._~, such as "query:access_token"
          8 |       "authenticate": { "from": ["haeder", "cookie:", "cookie:a b", "cookie:a%20", "query:", "query:a&b"] } },
            |                                                                                              ^~~~~~~~~~~
      routes.json:10:57: routes[1].authenticate.from[2]: the same place twice
          10 |       "authenticate": { "from": ["cookie:a", "query:a", "cookie:a", "cookie"] } },
             |                                                         ^~~~~~~~~~
      routes.json:10:69: routes[1].authenticate.from[3]: expected "header", "cookie:NAME" or "query:NAME"
          10 |       "authenticate": { "from": ["cookie:a", "query:a", "cookie:a", "cookie"] } },
             |                                                                     ^~~~~~~~
      routes.json:12:33: routes[2].authenticate.from: expected at least one
          12 |       "authenticate": { "from": [] } },
             |                                 ^~
      routes.json:14:33: routes[3].authenticate.from: expected a list, found an object
          14 |       "authenticate": { "from": { "cookie": "a" } } }
             |                                 ^~~~~~~~~~~~~~~~~
      """#),
    .init(
      "an upstream of another name",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "exchange": "strip", "forward": { "to": "oders" } }
          ]
        """#),
      #"""
      routes.json:7:73: routes[0].forward.to: there is no upstream of this name; did you mean "orders"?
          7 |     { "match": { "path": "/" }, "exchange": "strip", "forward": { "to": "oders" } }
            |                                                                         ^~~~~~~
      """#),
    .init(
      "a prefix that the path lacks",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/a/*" }, "exchange": "strip", "forward": { "to": "orders", "path": { "stripPrefix": "/b" } } }
          ]
        """#),
      #"""
      routes.json:7:111: routes[0].forward.path.stripPrefix: match.path does not begin with this prefix
          7 |     { "match": { "path": "/a/*" }, "exchange": "strip", "forward": { "to": "orders", "path": { "stripPrefix": "/b" } } }
            |                                                                                                               ^~~~
      """#),
    .init(
      "headers that nobody but the gateway sets",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "exchange": "strip", "forward": { "to": "orders", "headers": { "remove": ["authorization", "x"], "set": { "X_Forwarded_For": "1" } } } }
          ]
        """#),
      #"""
      routes.json:7:107: routes[0].forward.headers.remove[0]: the gateway itself decides about this field
          7 | …trip", "forward": { "to": "orders", "headers": { "remove": ["authorization", "x"], "set": { "X_Forwarded_For": "1" } } } }
            |                                                              ^~~~~~~~~~~~~~~
      routes.json:7:139: routes[0].forward.headers.set.X_Forwarded_For: the gateway itself decides about this field
          7 | …s", "headers": { "remove": ["authorization", "x"], "set": { "X_Forwarded_For": "1" } } } }
            |                                                              ^~~~~~~~~~~~~~~~~
      """#),
    .init(
      "two things to do",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "exchange": "strip", "forward": { "to": "orders" }, "respond": {} }
          ]
        """#),
      #"""
      routes.json:7:85: routes[0].respond: a route has either "forward" or "respond"
          7 |     { "match": { "path": "/" }, "exchange": "strip", "forward": { "to": "orders" }, "respond": {} }
            |                                                                                     ^~~~~~~~~
      """#),
    .init(
      "an answer that can't be",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "respond": { "status": 204, "body": "x", "headers": { "Content-Length": "1", "a": "b\n" } } }
          ]
        """#),
      #"""
      routes.json:7:61: routes[0].respond.body: an answer with status 204 has no body
          7 |     { "match": { "path": "/" }, "respond": { "status": 204, "body": "x", "headers": { "Content-Length": "1", "a": "b\n" } } }
            |                                                             ^~~~~~
      routes.json:7:87: routes[0].respond.headers.Content-Length: the gateway sets this field itself
          7 |     { "match": { "path": "/" }, "respond": { "status": 204, "body": "x", "headers": { "Content-Length": "1", "a": "b\n" } } }
            |                                                                                       ^~~~~~~~~~~~~~~~
      routes.json:7:115: routes[0].respond.headers.a: not a header's value: no control characters, no space at its ends
          7 |     { "match": { "path": "/" }, "respond": { "status": 204, "body": "x", "headers": { "Content-Length": "1", "a": "b\n" } } }
            |                                                                                                                   ^~~~~
      """#),
    .init(
      "nothing to do",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "authenticate": "none" }
          ]
        """#),
      #"""
      routes.json:7:5: routes[0].forward: missing; where requests go on to, or "respond" or "redirect"
          7 |     { "match": { "path": "/" }, "authenticate": "none" }
            |     ^
      """#),
    .init(
      "limits and rules of a route",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "limits": { "headers": "1KiB" }, "pathRules": { "parameters": "merge" }, "respond": {} }
          ]
        """#),
      #"""
      routes.json:7:45: routes[0].limits.headers: unknown key; known here: body, bodyTimeout
          7 |     { "match": { "path": "/" }, "limits": { "headers": "1KiB" }, "pathRules": { "parameters": "merge" }, "respond": {} }
            |                                             ^~~~~~~~~
      routes.json:7:95: routes[0].pathRules.parameters: expected "reject" or "keep"
          7 |     { "match": { "path": "/" }, "limits": { "headers": "1KiB" }, "pathRules": { "parameters": "merge" }, "respond": {} }
            |                                                                                               ^~~~~~~
      """#),
    .init(
      "rates, origins and redirects that say nothing",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/" }, "rateLimit": {}, "cors": "upstream", "redirect": {} }
          ]
        """#),
      #"""
      routes.json:7:46: routes[0].rateLimit.requests: missing; how many
          7 |     { "match": { "path": "/" }, "rateLimit": {}, "cors": "upstream", "redirect": {} }
            |                                              ^
      routes.json:7:46: routes[0].rateLimit.by: missing; "ip", "claim:NAME", "header:NAME" or "route"
          7 |     { "match": { "path": "/" }, "rateLimit": {}, "cors": "upstream", "redirect": {} }
            |                                              ^
      routes.json:7:82: routes[0].redirect.to: missing; such as "https://www.example.com/*"
          7 |     { "match": { "path": "/" }, "rateLimit": {}, "cors": "upstream", "redirect": {} }
            |                                                                                  ^
      """#),
    .init(
      "two routes that could both fit",
      file(
        "routes",
        #"""
        [
            { "match": { "path": "/a/{id}", "methods": ["GET"] }, "respond": {} },
            { "match": { "path": "/a/{key}", "methods": ["HEAD", "PUT"] }, "respond": {} }
          ]
        """#),
      #"""
      routes.json:8:16: routes[1].match: could fit the same requests as routes[0]: the same host and path, and neither listeners, methods nor headers choose between them
          8 |     { "match": { "path": "/a/{key}", "methods": ["HEAD", "PUT"] }, "respond": {} }
            |                ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "tabs and wide characters",
      file(
        "routes",
        #"""
        [
        	{	"match": { "path": "/日本/é*", "host": "x" }, "respond": {} }
          ]
        """#),
      #"""
      routes.json:7:23: routes[0].match.path: "*" stands for the rest and only as the last segment; one segment is "{name}"; did you mean "/日本/é/*"?
          7 | 	{	"match": { "path": "/日本/é*", "host": "x" }, "respond": {} }
            | 	 	                   ^~~~~~~~~~
      """#),
    .init(
      "no issuer to check with",
      file([
        ("issuers", nil),
        ("exchanges", nil),
      ]),
      #"""
      routes.json:4:14: routes[0].authenticate: no issuer to check tokens with; "none" makes the route public
          4 |   "routes": [{"match": {"path": "/*"}, "exchange": {"audience": "a"}, "forward": {"to": "orders"}}]
            |              ^
      routes.json:4:52: routes[0].exchange.with: missing; the file has no "exchanges"
          4 |   "routes": [{"match": {"path": "/*"}, "exchange": {"audience": "a"}, "forward": {"to": "orders"}}]
            |                                                    ^
      """#),
    .init(
      "several exchanges",
      file([
        (
          "exchanges",
          #"""
          {
              "a": { "tokenService": "corp", "client": { "id": "a", "secret": { "env": "SECRET" } } },
              "b": { "tokenService": "corp", "client": { "id": "b", "secret": { "env": "SECRET" } } }
            }
          """#
        )
      ]),
      #"""
      routes.json:5:52: routes[0].exchange.with: missing; which exchange: "a" or "b"
          5 |   "routes": [{"match": {"path": "/*"}, "exchange": {"audience": "a"}, "forward": {"to": "orders"}}],
            |                                                    ^
      """#),
  ]
}
