package import Gateway

/// What `tollgate demo` says while it serves: where things are, and lines to paste.
package struct Guide {
  private let system: DemoSystem
  private let paint: Paint

  package init(_ system: DemoSystem, paint: Paint) {
    self.system = system
    self.paint = paint
  }

  package var text: String {
    let sections = [
      places,
      heading("A person: checked, exchanged for the service's own token, forwarded"),
      "TOKEN=\(token("ann"))",
      call("orders/42", "$TOKEN"),
      heading("The second service gets another token; the first one's is cached by now"),
      call("billing/7", "$TOKEN"),
      heading("What the service says to that token without the gateway: 401"),
      "curl \(system.services[0].url)/orders/42 -H \"Authorization: Bearer $TOKEN\"",
      heading("A system: 403 system_identity, and the token service is not even asked"),
      call("orders/42", token("system")),
      heading("No token, an expired, a forged, a wrong audience's, an unsigned one: 401"),
      call("orders/42", nil),
      call("orders/42", token("expired")),
      call("orders/42", token("forged")),
      call("orders/42", token("wrong-audience")),
      call("orders/42", token("unsigned")),
      heading("No route: 404"),
      call("nothing/here", "$TOKEN"),
      heading("What the token service was asked so far, and tokens the way OAuth gives them"),
      "curl \(system.providerURL)/counts",
      "curl \(system.providerURL)/token -d grant_type=\(TokenEndpoint.Grant.person.rawValue)"
        + " -d user=bob",
      "curl \(system.providerURL)/token -u \(DemoClient.systemID):\(DemoClient.systemSecret)"
        + " -d grant_type=\(TokenEndpoint.Grant.clientCredentials.rawValue)",
      "",
      paint.dim(
        "Next: look into the routes file, its comments say what is what; `tollgate check ROUTES`"
          + " checks one,\n`tollgate demo --once` all of the above; README.md says the rest."
          + "\nThe access log follows, a line a request. Ctrl-C ends the demo."),
      "",
    ]
    return sections.joined(separator: "\n")
  }

  private var places: String {
    var lines = [
      paint.bold("Tollgate's demo, on this machine only. Paste the lines into another terminal."),
      "",
      "  gateway            \(system.gatewayURL)",
      "  identity provider  \(system.providerURL), the token service too",
    ]
    for service in system.services {
      let name = "service \(service.name)"
      let gap = String(repeating: " ", count: max(1, 19 - name.utf8.count))
      lines.append("  \(name)\(gap)\(service.url)")
    }
    if let admin = system.gateway.adminAddress {
      lines.append("  status page        http://\(admin)/status; also: tollgate top \(admin)")
    }
    lines.append("  routes file        \(system.routesPath), gone when this ends")
    return lines.joined(separator: "\n")
  }

  private func heading(_ text: String) -> String { "\n" + paint.bold("# \(text)") }

  private func token(_ name: String) -> String {
    "$(curl -s \(system.providerURL)/tokens/\(name))"
  }

  private func call(_ path: String, _ token: String?) -> String {
    let line = "curl --cacert \(system.certificatePath) \(system.gatewayURL)/\(path)"
    guard let token else { return line }
    return line + " -H \"Authorization: Bearer \(token)\""
  }
}
