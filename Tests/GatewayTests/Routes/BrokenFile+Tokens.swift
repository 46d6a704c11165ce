extension BrokenFile {
  static let tokens: [BrokenFile] = [
    .init(
      "an issuer over http",
      file(
        "issuers",
        #"{ "corp": { "issuer": "http://login.example.com", "audiences": "api" } }"#),
      #"""
      routes.json:6:36: issuers.corp.issuer: http:// is only taken on loopback addresses; did you mean "https://login.example.com"?
          6 |   "issuers": { "corp": { "issuer": "http://login.example.com", "audiences": "api" } }
            |                                    ^~~~~~~~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "an issuer without audiences",
      file(
        "issuers",
        #"{ "corp": { "issuer": "https://a" } }"#),
      #"""
      routes.json:6:24: issuers.corp.audiences: missing; aud must hold one of them, or "any"
          6 |   "issuers": { "corp": { "issuer": "https://a" } }
            |                        ^
      """#),
    .init(
      "a required key misspelled",
      file(
        "issuers",
        #"{ "corp": { "issuer": "https://a", "audience": "api" } }"#),
      #"""
      routes.json:6:49: issuers.corp.audience: unknown key; did you mean "audiences"?
          6 |   "issuers": { "corp": { "issuer": "https://a", "audience": "api" } }
            |                                                 ^~~~~~~~~~
      """#),
    .init(
      "any among others",
      file(
        "issuers",
        #"{ "corp": { "issuer": "https://a", "audiences": ["any"] } }"#),
      #"""
      routes.json:6:63: issuers.corp.audiences[0]: "any" stands alone, without a list
          6 |   "issuers": { "corp": { "issuer": "https://a", "audiences": ["any"] } }
            |                                                               ^~~~~
      """#),
    .init(
      "the same issuer twice",
      file(
        "issuers",
        #"""
        {
            "corp": { "issuer": "https://a", "audiences": "x" },
            "b.c": { "issuer": "https://a", "audiences": "y" }
          }
        """#),
      #"""
      routes.json:8:24: issuers["b.c"].issuer: the same issuer as issuers.corp
          8 |     "b.c": { "issuer": "https://a", "audiences": "y" }
            |                        ^~~~~~~~~~~
      """#),
    .init(
      "signatures that anyone could make",
      file(
        "issuers",
        #"{ "corp": { "issuer": "https://a", "audiences": "x", "algorithms": ["HS256", "RS255"] } }"#
      ),
      #"""
      routes.json:6:82: issuers.corp.algorithms[0]: "HS256" is never accepted: anyone could sign with it
          6 |   "issuers": { "corp": { "issuer": "https://a", "audiences": "x", "algorithms": ["HS256", "RS255"] } }
            |                                                                                  ^~~~~~~
      routes.json:6:91: issuers.corp.algorithms[1]: expected "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512" or "EdDSA"; did you mean "RS256"?
          6 |   "issuers": { "corp": { "issuer": "https://a", "audiences": "x", "algorithms": ["HS256", "RS255"] } }
            |                                                                                           ^~~~~~~
      """#),
    .init(
      "an issuer that can't be discovered",
      file(
        "issuers",
        #"{ "corp": { "issuer": "urn:corp", "audiences": "x" } }"#),
      #"""
      routes.json:6:24: issuers.corp.discovery: missing; this issuer is no URL, so it needs "discovery" or "jwks"
          6 |   "issuers": { "corp": { "issuer": "urn:corp", "audiences": "x" } }
            |                        ^
      """#),
    .init(
      "a token endpoint that can't be discovered",
      file(
        "issuers",
        #"{ "corp": { "issuer": "urn:corp", "audiences": "x", "jwks": "k.json" } }"#),
      #"""
      routes.json:3:42: exchanges.corp.tokenService: the issuer "corp" has no discovery document; give it "discovery", or write the token endpoint's URL here
          3 |   "exchanges": {"corp": {"tokenService": "corp", "client": {"id": "gw", "secret": {"env": "SECRET"}}}},
            |                                          ^~~~~~
      """#),
    .init(
      "keys over http",
      file(
        "issuers",
        #"{ "corp": { "issuer": "https://a", "audiences": "x", "jwks": "http://a/k" } }"#),
      #"""
      routes.json:6:75: issuers.corp.jwks: http:// is only taken on loopback addresses; did you mean "https://a/k"?
          6 |   "issuers": { "corp": { "issuer": "https://a", "audiences": "x", "jwks": "http://a/k" } }
            |                                                                           ^~~~~~~~~~~~
      """#),
    .init(
      "a claim that is no pointer",
      file(
        "issuers",
        #"{ "corp": { "issuer": "https://a", "audiences": "x", "audienceClaim": "/a~b" } }"#),
      #"""
      routes.json:6:84: issuers.corp.audienceClaim: not a JSON Pointer: "~" is written "~0" and "/" "~1"
          6 |   "issuers": { "corp": { "issuer": "https://a", "audiences": "x", "audienceClaim": "/a~b" } }
            |                                                                                    ^~~~~~
      """#),
    .init(
      "an unknown preset",
      file(
        "issuers",
        #"""
        { "corp": { "issuer": "https://a", "audiences": "x",
            "identities": { "system": ["keyclock"] } } }
        """#),
      #"""
      routes.json:7:32: issuers.corp.identities.system[0]: no such preset; did you mean "keycloak"?
          7 |     "identities": { "system": ["keyclock"] } } }
            |                                ^~~~~~~~~~
      """#),
    .init(
      "a rule with two tests",
      file(
        "issuers",
        #"""
        { "corp": { "issuer": "https://a", "audiences": "x", "identities": {
            "system": [{ "claim": "sub", "prefix": "svc-", "suffix": "@svc" }] } } }
        """#),
      #"""
      routes.json:7:16: issuers.corp.identities.system[0]: expected one of "equals", "equalsClaim", "prefix", "suffix" or "absent"
          7 |     "system": [{ "claim": "sub", "prefix": "svc-", "suffix": "@svc" }] } } }
            |                ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a rule without a claim",
      file(
        "issuers",
        #"""
        { "corp": { "issuer": "https://a", "audiences": "x", "identities": {
            "person": [{ "absent": true }, { "all": [] }] } } }
        """#),
      #"""
      routes.json:7:16: issuers.corp.identities.person[0].claim: missing; the claim that is looked at
          7 |     "person": [{ "absent": true }, { "all": [] }] } } }
            |                ^
      routes.json:7:45: issuers.corp.identities.person[1].all: expected at least one
          7 |     "person": [{ "absent": true }, { "all": [] }] } } }
            |                                             ^~
      """#),
    .init(
      "an issuer of another name",
      file(
        "exchanges",
        #"""
        { "corp": {
            "tokenService": "crop",
            "client": { "id": "gw", "secret": { "env": "SECRET" } }
          } }
        """#),
      #"""
      routes.json:7:21: exchanges.corp.tokenService: there is no issuer of this name; did you mean "corp"?
          7 |     "tokenService": "crop",
            |                     ^~~~~~
      """#),
    .init(
      "a token service over http",
      file(
        "exchanges",
        #"""
        { "corp": {
            "tokenService": "http://sts.example.com/token",
            "client": { "id": "gw", "secret": { "env": "SECRET" } }
          } }
        """#),
      #"""
      routes.json:7:21: exchanges.corp.tokenService: http:// is only taken on loopback addresses; did you mean "https://sts.example.com/token"?
          7 |     "tokenService": "http://sts.example.com/token",
            |                     ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a secret that is not set",
      file(
        "exchanges",
        #"""
        { "corp": {
            "tokenService": "corp",
            "client": { "id": "gw", "secret": { "env": "NOWHERE" } }
          } }
        """#),
      #"""
      routes.json:8:39: exchanges.corp.client.secret: the environment variable "NOWHERE" is not set
          8 |     "client": { "id": "gw", "secret": { "env": "NOWHERE" } }
            |                                       ^~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a secret's file that is not there",
      file(
        "exchanges",
        #"""
        { "corp": {
            "tokenService": "corp",
            "client": { "id": "gw", "secret": { "file": "run/secret" } }
          } }
        """#),
      #"""
      routes.json:8:49: exchanges.corp.client.secret.file: cannot read run/secret: no such file or directory (ENOENT)
          8 |     "client": { "id": "gw", "secret": { "file": "run/secret" } }
            |                                                 ^~~~~~~~~~~~
      """#),
    .init(
      "a secret kept in two places",
      file(
        "exchanges",
        #"""
        { "corp": {
            "tokenService": "corp",
            "client": { "id": "gw", "secret": { "env": "SECRET", "file": "a" } }
          } }
        """#),
      #"""
      routes.json:8:39: exchanges.corp.client.secret: expected "env" or "file", not both
          8 |     "client": { "id": "gw", "secret": { "env": "SECRET", "file": "a" } }
            |                                       ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
      """#),
    .init(
      "a secret beside a mistake",
      file(
        "exchanges",
        #"""
        { "corp": {
            "tokenService": "corp",
            "client": { "secret": "hunter2", "di": "gw" }
          } }
        """#),
      #"""
      routes.json:8:38: exchanges.corp.client.di: unknown key; did you mean "id"?
          8 |     "client": { "secret": "‹redacted›", "di": "gw" }
            |                                         ^~~~
      """#),
    .init(
      "a secret under a misspelled key",
      file(
        "exchanges",
        #"""
        { "corp": {
            "tokenService": "corp",
            "client": { "id": "gw", "secert": "hunter2" }
          } }
        """#),
      #"""
      routes.json:8:29: exchanges.corp.client.secert: unknown key; did you mean "secret"?
          8 |     "client": { "id": "gw", "secert": "‹redacted›" }
            |                             ^~~~~~~~
      """#),
    .init(
      "a form field that has a key",
      file(
        "exchanges",
        #"""
        { "corp": {
            "tokenService": "corp", "parameters": { "audience": "x" },
            "client": { "id": "gw", "secret": { "env": "SECRET" } }
          } }
        """#),
      #"""
      routes.json:7:45: exchanges.corp.parameters.audience: "audience" has a key of its own: the route's exchange.audience
          7 |     "tokenService": "corp", "parameters": { "audience": "x" },
            |                                             ^~~~~~~~~~
      """#),
    .init(
      "checks of what comes back",
      file(
        "exchanges",
        #"""
        { "corp": {
            "tokenService": "corp", "verify": { "audience": [], "subject": "sub", "signature": true },
            "client": { "id": "gw", "secret": { "env": "SECRET" } }
          } }
        """#),
      #"""
      routes.json:7:53: exchanges.corp.verify.audience: expected at least one
          7 |     "tokenService": "corp", "verify": { "audience": [], "subject": "sub", "signature": true },
            |                                                     ^~
      routes.json:7:68: exchanges.corp.verify.subject: expected "same" or "any"
          7 |     "tokenService": "corp", "verify": { "audience": [], "subject": "sub", "signature": true },
            |                                                                    ^~~~~
      """#),
    .init(
      "more than a token's life",
      file(
        "exchanges",
        #"""
        { "corp": {
            "tokenService": "corp", "cache": { "refreshAhead": 1.5 },
            "client": { "id": "gw", "secret": { "env": "SECRET" } }
          } }
        """#),
      #"""
      routes.json:7:56: exchanges.corp.cache.refreshAhead: expected a number from 0.0 to 0.9
          7 |     "tokenService": "corp", "cache": { "refreshAhead": 1.5 },
            |                                                        ^~~
      """#),
  ]
}
