import OAuth

@testable import Gateway

extension BrokenFile {
  /// Grants, clients and the gateway's own tokens.
  static let grants: [BrokenFile] = [
    .init(
      "methods without what they need",
      file([
        (
          "exchanges",
          #"""
          {
              "a": { "tokenService": "corp", "client": { "id": "gw", "method": "private_key_jwt" } },
              "b": { "tokenService": "corp", "client": { "id": "gw", "method": "tls_client_auth", "key": "k" } },
              "c": { "tokenService": "corp", "client": { "id": "gw", "method": "client_secret_post" } }
            }
          """#
        ),
        (
          "routes",
          #"""
          [
              { "match": { "path": "/" }, "exchange": "strip", "forward": { "to": "orders" } }
            ]
          """#
        ),
      ]),
      #"""
      routes.json:6:46: exchanges.a.client.key: missing; the private key's PEM file
          6 |     "a": { "tokenService": "corp", "client": { "id": "gw", "method": "private_key_jwt" } },
            |                                              ^
      routes.json:7:46: exchanges.b.client.certificate: missing; the certificate's PEM file
          7 |     "b": { "tokenService": "corp", "client": { "id": "gw", "method": "tls_client_auth", "key": "k" } },
            |                                              ^
      routes.json:8:46: exchanges.c.client.secret: missing; {"env": "NAME"} or {"file": "path"}
          8 |     "c": { "tokenService": "corp", "client": { "id": "gw", "method": "client_secret_post" } }
            |                                              ^
      """#),
    .init(
      "methods with what they have no use for",
      file([
        (
          "exchanges",
          #"""
          {
              "a": { "tokenService": "corp", "client": { "id": "gw", "secret": { "env": "SECRET" }, "key": "k", "keyId": "1" } },
              "b": { "tokenService": "corp", "client": { "id": "gw", "method": "private_key_jwt", "key": "k", "secret": { "env": "SECRET" } } },
              "c": { "tokenService": "corp", "client": { "id": "gw", "method": "none", "certificate": "c", "algorithm": "RS256", "assertionAudience": "a" } }
            }
          """#
        ),
        (
          "routes",
          #"""
          [
              { "match": { "path": "/" }, "exchange": "strip", "forward": { "to": "orders" } }
            ]
          """#
        ),
      ]),
      #"""
      routes.json:6:91: exchanges.a.client.key: goes with the method "private_key_jwt" or "tls_client_auth" only
          6 |     "a": { "tokenService": "corp", "client": { "id": "gw", "secret": { "env": "SECRET" }, "key": "k", "keyId": "1" } },
            |                                                                                           ^~~~~
      routes.json:6:103: exchanges.a.client.keyId: goes with the method "private_key_jwt" only
          6 |     "a": { "tokenService": "corp", "client": { "id": "gw", "secret": { "env": "SECRET" }, "key": "k", "keyId": "1" } },
            |                                                                                                       ^~~~~~~
      routes.json:7:101: exchanges.b.client.secret: goes with the method "client_secret_basic" or "client_secret_post" only
          7 |     "b": { "tokenService": "corp", "client": { "id": "gw", "method": "private_key_jwt", "key": "k", "secret": { "env": "SECRET" } } },
            |                                                                                                     ^~~~~~~~
      routes.json:8:78: exchanges.c.client.certificate: goes with the method "private_key_jwt" or "tls_client_auth" only
          8 |     "c": { "tokenService": "corp", "client": { "id": "gw", "method": "none", "certificate": "c", "algorithm": "RS256", "assertionAudience": "a" } }
            |                                                                              ^~~~~~~~~~~~~
      routes.json:8:98: exchanges.c.client.algorithm: goes with the method "private_key_jwt" only
          8 |     "c": { "tokenService": "corp", "client": { "id": "gw", "method": "none", "certificate": "c", "algorithm": "RS256", "assertionAudience": "a" } }
            |                                                                                                  ^~~~~~~~~~~
      routes.json:8:120: exchanges.c.client.assertionAudience: goes with the method "private_key_jwt" only
          8 |     "c": { "tokenService": "corp", "client": { "id": "gw", "method": "none", "certificate": "c", "algorithm": "RS256", "assertionAudience": "a" } }
            |                                                                                                                        ^~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a method that nobody knows",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "corp", "client": { "id": "gw", "method": "private_key_jtw", "key": "k", "algorithm": "HS256" } }
            }
          """#
        )
      ]),
      #"""
      routes.json:7:73: exchanges.corp.client.method: expected "client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth" or "none"; did you mean "private_key_jwt"?
          7 |     "corp": { "tokenService": "corp", "client": { "id": "gw", "method": "private_key_jtw", "key": "k", "algorithm": "HS256" } }
            |                                                                         ^~~~~~~~~~~~~~~~~
      routes.json:7:117: exchanges.corp.client.algorithm: "HS256" is never accepted: anyone could sign with it
          7 |     "corp": { "tokenService": "corp", "client": { "id": "gw", "method": "private_key_jtw", "key": "k", "algorithm": "HS256" } }
            |                                                                                                                     ^~~~~~~
      """#),
    .init(
      "a certificate shown in the clear",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "http://127.0.0.1/token", "client": { "id": "gw", "method": "tls_client_auth", "key": "k", "certificate": "c" } }
            }
          """#
        )
      ]),
      #"""
      routes.json:7:31: exchanges.corp.tokenService: tls_client_auth needs an https:// URL
          7 |     "corp": { "tokenService": "http://127.0.0.1/token", "client": { "id": "gw", "method": "tls_client_auth", "key": "k", "certificate": "c" } }
            |                               ^~~~~~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "what RFC 8693 alone can say",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "corp", "grant": "client-credentials", "requestedTokenType": "urn:x", "actorToken": { "env": "SECRET" }, "subjectTokenType": "urn:y", "actorTokenType": "urn:z", "client": { "id": "gw", "method": "none" } }
            }
          """#
        ),
        (
          "routes",
          #"""
          [
              { "match": { "path": "/" }, "exchange": "strip", "forward": { "to": "orders" } }
            ]
          """#
        ),
      ]),
      #"""
      routes.json:6:70: exchanges.corp.requestedTokenType: goes with the grant "token-exchange" only
          6 | …": { "tokenService": "corp", "grant": "client-credentials", "requestedTokenType": "urn:x", "actorToken": { "env": "SECRET" }, "subjectTokenType": "urn:y", "acto…
            |                                                              ^~~~~~~~~~~~~~~~~~~~
      routes.json:6:101: exchanges.corp.actorToken: goes with the grant "token-exchange" only
          6 | …rant": "client-credentials", "requestedTokenType": "urn:x", "actorToken": { "env": "SECRET" }, "subjectTokenType": "urn:y", "actorTokenType": "‹redacted›", "cli…
            |                                                              ^~~~~~~~~~~~
      routes.json:6:136: exchanges.corp.subjectTokenType: goes with the grant "token-exchange" only
          6 | …stedTokenType": "urn:x", "actorToken": { "env": "SECRET" }, "subjectTokenType": "urn:y", "actorTokenType": "‹redacted›", "client": { "id": "gw", "method": "none…
            |                                                              ^~~~~~~~~~~~~~~~~~
      routes.json:6:165: exchanges.corp.actorTokenType: goes with the grant "token-exchange" only
          6 | …orToken": { "env": "SECRET" }, "subjectTokenType": "urn:y", "actorTokenType": "‹redacted›", "client": { "id": "gw", "method": "none" } }
            |                                                              ^~~~~~~~~~~~~~~~
      """#),
    .init(
      "an actor's type without an actor",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "corp", "actorTokenType": "urn:z", "parameters": { "requested_token_use": "x", "actor_token": "y" }, "client": { "id": "gw", "method": "none" } }
            }
          """#
        )
      ]),
      #"""
      routes.json:7:39: exchanges.corp.actorTokenType: goes with "actorToken" only
          7 |     "corp": { "tokenService": "corp", "actorTokenType": "‹redacted›", "parameters": { "requested_token_use": "x", "actor_token": "‹redacted›" }, "client": { "id…
            |                                       ^~~~~~~~~~~~~~~~
      routes.json:7:82: exchanges.corp.parameters.requested_token_use: "requested_token_use" has a key of its own: grant
          7 | …e": "corp", "actorTokenType": "‹redacted›", "parameters": { "requested_token_use": "x", "actor_token": "‹redacted›" }, "client": { "id": "gw", "method": "none" …
            |                                                              ^~~~~~~~~~~~~~~~~~~~~
      routes.json:7:110: exchanges.corp.parameters.actor_token: "actor_token" has a key of its own: actorToken
          7 | …: "‹redacted›", "parameters": { "requested_token_use": "x", "actor_token": "‹redacted›" }, "client": { "id": "gw", "method": "none" } }
            |                                                              ^~~~~~~~~~~~~
      """#),
    .init(
      "a target that on-behalf-of can't say",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "corp", "grant": "on-behalf-of", "client": { "id": "gw", "method": "none" } }
            }
          """#
        ),
        (
          "routes",
          #"""
          [
              { "match": { "path": "/" }, "exchange": { "audience": "a", "resource": ["b"], "scope": "s" }, "admit": { "system": "exchange" }, "forward": { "to": "orders" } }
            ]
          """#
        ),
      ]),
      #"""
      routes.json:9:47: routes[0].exchange.audience: on-behalf-of takes none; write "scope", e.g. "api://orders/.default"
          9 |     { "match": { "path": "/" }, "exchange": { "audience": "a", "resource": ["b"], "scope": "s" }, "admit": { "system": "exchange" }, "forward": { "to": "orders"…
            |                                               ^~~~~~~~~~
      routes.json:9:64: routes[0].exchange.resource: on-behalf-of takes none; write "scope", e.g. "api://orders/.default"
          9 | … { "match": { "path": "/" }, "exchange": { "audience": "a", "resource": ["b"], "scope": "s" }, "admit": { "system": "exchange" }, "forward": { "to": "orders" } …
            |                                                              ^~~~~~~~~~
      routes.json:9:120: routes[0].admit.system: can't succeed: on-behalf-of takes people's tokens only
          9 | …a", "resource": ["b"], "scope": "s" }, "admit": { "system": "exchange" }, "forward": { "to": "orders" } }
            |                                                              ^~~~~~~~~~
      """#),
    .init(
      "checks that can't be made",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "corp", "verify": { "signature": "yes", "subject": { "caller": "oid" } }, "client": { "id": "gw", "method": "none" } }
            }
          """#
        )
      ]),
      #"""
      routes.json:7:64: exchanges.corp.verify.signature: expected true or false, found text
          7 |     "corp": { "tokenService": "corp", "verify": { "signature": "yes", "subject": { "caller": "oid" } }, "client": { "id": "gw", "method": "none" } }
            |                                                                ^~~~~
      routes.json:7:82: exchanges.corp.verify.subject.issued: missing; the same in the issued token
          7 |     "corp": { "tokenService": "corp", "verify": { "signature": "yes", "subject": { "caller": "oid" } }, "client": { "id": "gw", "method": "none" } }
            |                                                                                  ^
      """#),
    .init(
      "exchanges in each other's places",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "corp", "client": { "id": "gw", "method": "none" } },
              "own": { "tokenService": "corp", "grant": "client-credentials", "client": { "id": "gw", "method": "none" } }
            }
          """#
        ),
        (
          "routes",
          #"""
          [
              { "match": { "path": "/a" }, "exchange": { "with": "own" }, "forward": { "to": "orders" } },
              { "match": { "path": "/b" }, "authenticate": "none", "clientCredentials": { "with": "corp" }, "forward": { "to": "orders" } }
            ]
          """#
        ),
      ]),
      #"""
      routes.json:10:56: routes[0].exchange.with: its grant is client-credentials: it goes in "clientCredentials"
          10 |     { "match": { "path": "/a" }, "exchange": { "with": "own" }, "forward": { "to": "orders" } },
             |                                                        ^~~~~
      routes.json:11:89: routes[1].clientCredentials.with: its grant is token-exchange: it goes in "exchange"
          11 |     { "match": { "path": "/b" }, "authenticate": "none", "clientCredentials": { "with": "corp" }, "forward": { "to": "orders" } }
             |                                                                                         ^~~~~~
      """#),
    .init(
      "several exchanges of a grant, or none",
      file([
        (
          "exchanges",
          #"""
          {
              "own": { "tokenService": "corp", "grant": "client-credentials", "client": { "id": "gw", "method": "none" } },
              "own2": { "tokenService": "corp", "grant": "client-credentials", "client": { "id": "gw", "method": "none" } }
            }
          """#
        ),
        (
          "routes",
          #"""
          [
              { "match": { "path": "/a" }, "authenticate": "none", "clientCredentials": { "audience": "a" }, "forward": { "to": "orders" } },
              { "match": { "path": "/b" }, "exchange": { "audience": "a" }, "forward": { "to": "orders" } }
            ]
          """#
        ),
      ]),
      #"""
      routes.json:10:79: routes[0].clientCredentials.with: missing; which exchange: "own" or "own2"
          10 |     { "match": { "path": "/a" }, "authenticate": "none", "clientCredentials": { "audience": "a" }, "forward": { "to": "orders" } },
             |                                                                               ^
      routes.json:11:46: routes[1].exchange.with: missing; no exchange has the grant "token-exchange" or "on-behalf-of"
          11 |     { "match": { "path": "/b" }, "exchange": { "audience": "a" }, "forward": { "to": "orders" } }
             |                                              ^
      """#),
    .init(
      "an own token where none belongs",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "corp", "client": { "id": "gw", "method": "none" } },
              "own": { "tokenService": "corp", "grant": "client-credentials", "client": { "id": "gw", "method": "none" } }
            }
          """#
        ),
        (
          "routes",
          #"""
          [
              { "match": { "path": "/a" }, "exchange": "strip", "clientCredentials": { "audience": "a" }, "forward": { "to": "orders" } },
              { "match": { "path": "/b" }, "authenticate": "none", "exchange": "strip", "clientCredentials": {}, "forward": { "to": "orders" } }
            ]
          """#
        ),
      ]),
      #"""
      routes.json:10:55: routes[0].clientCredentials: only with "admit": {"system": "client-credentials"}, or on a public route
          10 |     { "match": { "path": "/a" }, "exchange": "strip", "clientCredentials": { "audience": "a" }, "forward": { "to": "orders" } },
             |                                                       ^~~~~~~~~~~~~~~~~~~
      routes.json:11:58: routes[1].exchange: a public route has either "exchange" or "clientCredentials"
          11 |     { "match": { "path": "/b" }, "authenticate": "none", "exchange": "strip", "clientCredentials": {}, "forward": { "to": "orders" } }
             |                                                          ^~~~~~~~~~
      """#),
    .init(
      "an own token that any system would get",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "corp", "client": { "id": "gw", "method": "none" } },
              "own": { "tokenService": "corp", "grant": "client-credentials", "client": { "id": "gw", "method": "none" } }
            }
          """#
        ),
        (
          "routes",
          #"""
          [
              { "match": { "path": "/a" }, "authenticate": { "scope": [], "realm": "r" }, "admit": { "system": "client-credentials", "person": "client-credentials" }, "exchange": "strip", "clientCredentials": {}, "forward": { "to": "orders" } }
            ]
          """#
        ),
      ]),
      #"""
      routes.json:10:102: routes[0].admit.system: needs authenticate.scope, anyScope or claims: not every system may act as the gateway
          10 | …icate": { "scope": [], "realm": "r" }, "admit": { "system": "client-credentials", "person": "client-credentials" }, "exchange": "strip", "clientCredentials": {}…
             |                                                              ^~~~~~~~~~~~~~~~~~~~
      routes.json:10:134: routes[0].admit.person: expected "exchange" or "reject"
          10 | …"r" }, "admit": { "system": "client-credentials", "person": "client-credentials" }, "exchange": "strip", "clientCredentials": {}, "forward": { "to": "orders" } …
             |                                                              ^~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "systems without an own token",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "corp", "client": { "id": "gw", "method": "none" } },
              "own": { "tokenService": "corp", "grant": "client-credentials", "client": { "id": "gw", "method": "none" } }
            }
          """#
        ),
        (
          "routes",
          #"""
          [
              { "match": { "path": "/a" }, "authenticate": { "scope": "jobs" }, "admit": { "system": "client-credentials" }, "exchange": "strip", "forward": { "to": "orders" } }
            ]
          """#
        ),
      ]),
      #"""
      routes.json:10:5: routes[0].clientCredentials: missing; the gateway's own token, for admit.system
          10 |     { "match": { "path": "/a" }, "authenticate": { "scope": "jobs" }, "admit": { "system": "client-credentials" }, "exchange": "strip", "forward": { "to": "orde…
             |     ^
      """#),
    .init(
      "a caller in a field of another meaning",
      file([
        (
          "exchanges",
          #"""
          {
              "corp": { "tokenService": "corp", "client": { "id": "gw", "method": "none" } },
              "own": { "tokenService": "corp", "grant": "client-credentials", "client": { "id": "gw", "method": "none" } }
            }
          """#
        ),
        (
          "routes",
          #"""
          [
              { "match": { "path": "/0" }, "authenticate": { "scope": "jobs" }, "admit": { "system": "client-credentials" }, "exchange": "strip", "clientCredentials": { "callerHeader": "X_Forwarded_For" }, "forward": { "to": "orders" } },
              { "match": { "path": "/1" }, "authenticate": { "scope": "jobs" }, "admit": { "system": "client-credentials" }, "exchange": "strip", "clientCredentials": { "callerHeader": "Connection" }, "forward": { "to": "orders" } },
              { "match": { "path": "/2" }, "authenticate": { "scope": "jobs" }, "admit": { "system": "client-credentials" }, "exchange": "strip", "clientCredentials": { "callerHeader": "a b" }, "forward": { "to": "orders" } }
            ]
          """#
        ),
      ]),
      #"""
      routes.json:10:176: routes[0].clientCredentials.callerHeader: a field with another meaning
          10 | …"exchange": "strip", "clientCredentials": { "callerHeader": "X_Forwarded_For" }, "forward": { "to": "orders" } },
             |                                                              ^~~~~~~~~~~~~~~~~
      routes.json:11:176: routes[1].clientCredentials.callerHeader: a field with another meaning
          11 | …"exchange": "strip", "clientCredentials": { "callerHeader": "Connection" }, "forward": { "to": "orders" } },
             |                                                              ^~~~~~~~~~~~
      routes.json:12:176: routes[2].clientCredentials.callerHeader: not a header's name
          12 | …"exchange": "strip", "clientCredentials": { "callerHeader": "a b" }, "forward": { "to": "orders" } }
             |                                                              ^~~~~
      """#),
  ]
}
