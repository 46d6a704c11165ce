extension BrokenFile {
  static let whole: [BrokenFile] = [
    .init(
      "an empty file",
      "",
      #"""
      routes.json:1:1: nothing here; expected a JSON value
          1 |
            | ^
      """#),
    .init(
      "a file that ends early",
      #"""
      {
        "routes": [

      """#,
      #"""
      routes.json:2:13: this list is never closed; expected "]"
          2 |   "routes": [
            |             ^
      """#),
    .init(
      "a missing comma",
      #"""
      {
        "workers": 1
        "routes": []
      }

      """#,
      #"""
      routes.json:3:3: expected "," or "}"
          3 |   "routes": []
            |   ^
      """#),
    .init(
      "a name without quotes",
      #"""
      {
        workers: 1
      }

      """#,
      #"""
      routes.json:2:3: expected a name in double quotes, or "}"
          2 |   workers: 1
            |   ^~~~~~~
      """#),
    .init(
      "single quotes",
      #"""
      {
        "workers": 'auto'
      }

      """#,
      #"""
      routes.json:2:14: strings are written in double quotes
          2 |   "workers": 'auto'
            |              ^
      """#),
    .init(
      "a string that runs on",
      #"""
      {
        "workers": "auto,
      }

      """#,
      #"""
      routes.json:2:14: this string is not closed on its line; expected '"'
          2 |   "workers": "auto,
            |              ^~~~~~
      """#),
    .init(
      "a backslash that JSON does not know",
      #"""
      { "accessLog": { "path": "C:\log" } }

      """#,
      #"""
      routes.json:1:29: not an escape that JSON knows; a backslash is written "\\"
          1 | { "accessLog": { "path": "C:\log" } }
            |                             ^~
      """#),
    .init(
      "a key given twice",
      #"""
      {
        "workers": 1,
        "workers": 2
      }

      """#,
      #"""
      routes.json:3:3: this name occurs twice in the same object
          3 |   "workers": 2
            |   ^~~~~~~~~
      """#),
    .init(
      "a comment never closed",
      #"""
      { /* "workers": 1 }

      """#,
      #"""
      routes.json:1:3: this comment is never closed; expected "*/"
          1 | { /* "workers": 1 }
            |   ^~
      """#),
    .init(
      "a list in place of the file's object",
      #"""
      []

      """#,
      #"""
      routes.json:1:1: expected an object, found a list
          1 | []
            | ^~
      """#),
    .init(
      "an empty object",
      #"""
      {}

      """#,
      #"""
      routes.json:1:1: listeners: missing; where callers connect
          1 | {}
            | ^
      routes.json:1:1: routes: missing; which requests go where
          1 | {}
            | ^
      """#),
    .init(
      "a name that is not set in the environment",
      file(
        "workers",
        #""${NCPU}""#),
      #"""
      routes.json:7:14: workers: the environment variable "NCPU" is not set; ${NCPU:-x} gives it a default
          7 |   "workers": "${NCPU}"
            |              ^~~~~~~~~
      """#),
    .init(
      "a substitution never closed",
      file(
        "accessLog",
        #"{ "path": "${LOG" }"#),
      #"""
      routes.json:7:26: accessLog.path: "${" is never closed; a literal one is written "$${"
          7 |   "accessLog": { "path": "${LOG" }
            |                          ^~~~~~~
      """#),
    .init(
      "a substitution without a name",
      file(
        "accessLog",
        #"{ "path": "${LOG:x}" }"#),
      #"""
      routes.json:7:26: accessLog.path: expected ${NAME} or ${NAME:-default}; a literal "${" is written "$${"
          7 |   "accessLog": { "path": "${LOG:x}" }
            |                          ^~~~~~~~~~
      """#),
    .init(
      "a key that no one knows",
      file(
        "shutdown",
        #"{ "wait": "3s" }"#),
      #"""
      routes.json:7:17: shutdown.wait: unknown key; known here: delay, grace
          7 |   "shutdown": { "wait": "3s" }
            |                 ^~~~~~
      """#),
    .init(
      "a key of another case",
      file(
        "trustedproxies",
        "[]"),
      #"""
      routes.json:7:3: trustedproxies: unknown key; did you mean "trustedProxies"?
          7 |   "trustedproxies": []
            |   ^~~~~~~~~~~~~~~~
      """#),
  ]
}
