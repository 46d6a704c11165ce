import Wire

extension Kind where Value == HTTPURL {
  /// Where tokens, keys or secrets travel: https, or http that stays on this machine.
  static var protectedURL: Kind {
    Kind(.string) { setting in
      guard let url = Kind.url.read(setting) else { return nil }
      guard url.origin.isSecure || url.origin.isLoopback else {
        return setting.refused(
          "http:// is only taken on loopback addresses",
          suggestion: "https\(setting.node.string?.string.dropFirst(4) ?? "")")
      }
      return url
    }
  }

  static var url: Kind {
    Kind(.string) { setting in
      guard let text = setting.node.string else {
        return setting.refused("expected a URL, found \(setting.found)")
      }
      do throws(HTTPURL.Fault) {
        return try HTTPURL(text.string)
      } catch {
        return setting.refused(error.sentence)
      }
    }
  }
}

extension Kind where Value == HTTPOrigin {
  /// A server: scheme, host and port only.
  static var origin: Kind {
    Kind(.string) { setting in
      if let text = setting.node.string?.string, !text.contains("://"),
        let meant = try? HTTPURL("http://\(text)"), meant.suffix.isEmpty
      {
        return setting.refused(
          HTTPURL.Fault.scheme.sentence, suggestion: meant.origin.description)
      }
      guard let url = Kind<HTTPURL>.url.read(setting) else { return nil }
      guard url.suffix.isEmpty else {
        return setting.refused(
          "expected scheme, host and port only", suggestion: url.origin.description)
      }
      return url.origin
    }
  }
}

extension HTTPURL.Fault {
  /// What is wrong, for people.
  fileprivate var sentence: String {
    switch self {
    case .scheme: "expected a URL that begins with https:// or http://"
    case .userinfo: "a URL here holds no user or password"
    case .host: "no host name or address after the scheme"
    case .port: "expected a port from 1 to 65535 after the host"
    case .fragment: "a URL here has no fragment (\"#\")"
    case .character: "a character that must be percent-encoded in a URL, or a broken \"%\""
    }
  }
}

extension Kind where Value == ListenAddress {
  /// `host:port` or `[v6]:port`.
  static var listenAddress: Kind {
    Kind(.string) { setting in
      let expected = "expected an address such as \"0.0.0.0:8443\" or \"[::]:8443\""
      guard let text = setting.node.string else {
        let port = setting.node.integer.flatMap { UInt16(exactly: $0) }
        return setting.refused(
          "\(expected), found \(setting.found)", suggestion: port.map { "0.0.0.0:\($0)" })
      }
      for form in ["unix:", "systemd:"] where text.hasPrefix(UTF8Text(form)) {
        return setting.refused("\"\(form)\" is for listeners; here it is host and port")
      }
      if let port = HostAndPort.port(text.bytes) {
        return setting.refused(expected, suggestion: "0.0.0.0:\(port)")
      }
      guard let (host, digits) = HostAndPort.split(text.bytes) else {
        let fault = text.string.contains("://") ? "it is no URL" : "IPv6 stands in brackets"
        return setting.refused("\(expected): \(fault)")
      }
      guard let digits else { return setting.refused("\(expected): the port is missing") }
      guard let port = HostAndPort.port(digits) else {
        return setting.refused("expected a port from 0 to 65535 after the host")
      }
      guard !host.isEmpty, !host.elementsEqual("*".utf8) else {
        return setting.refused(expected, suggestion: "0.0.0.0:\(port)")
      }
      guard let name = HostName(host) else {
        return setting.refused("\(expected): no such host name or address")
      }
      return ListenAddress(host: name, port: port, place: setting.place)
    }
  }
}

extension Kind where Value == HostName {
  static var hostName: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      return HostName(text.bytes) ?? setting.refused("expected a host name without a port")
    }
  }
}

extension Kind where Value == RouteHost {
  static var routeHost: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      return RouteHost(text)
        ?? setting.refused(
          "expected a host such as \"api.example.com\" or \"*.example.com\"")
    }
  }
}

extension Kind where Value == PathPattern {
  static var path: Kind {
    Kind(.string) { setting in
      guard let text = Kind<UTF8Text>.text.read(setting) else { return nil }
      do throws(PathPattern.Fault) {
        let pattern = try PathPattern(text)
        if let name = pattern.colonName {
          setting.reading.warn(
            setting.place,
            "\":\(name)\" matches these characters and nothing else; one segment, whatever it "
              + "says, is \"{\(name)}\"")
        }
        return pattern
      } catch {
        let meant: String? =
          switch error {
          case .notAbsolute: "/\(text)"
          case .wildcardNotLast: allBelow(text.string)
          default: nil
          }
        return setting.refused(
          error.sentence,
          suggestion: meant.flatMap { (try? PathPattern(UTF8Text($0)))?.text })
      }
    }
  }
}

/// `/orders*` and `/orders/**` as they are written here: `/orders/*`.
private func allBelow(_ text: String) -> String? {
  guard let star = text.firstIndex(of: "*"), text[star...].allSatisfy({ $0 == "*" }) else {
    return nil
  }
  let front = text[..<star]
  return front.hasSuffix("/") ? "\(front)*" : "\(front)/*"
}

extension PathPattern {
  /// The name in a segment that other routers would take for a parameter: `:id`.
  fileprivate var colonName: String? {
    for case .literal(let text) in segments where text.bytes.first == UInt8(ascii: ":") {
      if text.bytes.count > 1 { return String(text.string.dropFirst()) }
    }
    return nil
  }
}

extension PathPattern.Fault {
  /// What is wrong, for people.
  fileprivate var sentence: String {
    switch self {
    case .notAbsolute: "a path begins with \"/\""
    case .query: "a path is matched without its query (\"?\") and fragment (\"#\")"
    case .emptySegment: "\"//\" never matches: empty segments are merged first"
    case .dotSegment: "\".\" and \"..\" never match: they are resolved first"
    case .wildcardNotLast:
      "\"*\" stands for the rest and only as the last segment; one segment is \"{name}\""
    case .brokenParameter:
      "a parameter is a whole segment: \"{name}\", of letters, digits, \"_\" and \"-\""
    case .parameterTwice: "a parameter's name occurs twice"
    case .brokenEscape: "\"%\" is followed by two hexadecimal digits"
    case .forbiddenCharacter: "backslashes and control characters are refused in every path"
    }
  }
}

extension Kind where Value == AddressRange {
  /// A block of addresses that may speak for others.
  static var proxyRange: Kind {
    Kind(.string) { setting in
      let expected = "expected a CIDR such as \"10.0.0.0/8\""
      guard let text = setting.node.string else {
        return setting.refused("\(expected), found \(setting.found)")
      }
      do throws(AddressRange.Fault) {
        let range = try AddressRange(text.string)
        guard range.prefixLength > 0 else {
          return setting.refused("trusts everyone: any caller could claim any address")
        }
        return range
      } catch .hostBitsSet(let block) {
        return setting.refused(
          "bits are set after the prefix", suggestion: block.description)
      } catch .prefixTooLong {
        return setting.refused("\(expected): the prefix is longer than the address")
      } catch {
        return setting.refused(expected)
      }
    }
  }
}
