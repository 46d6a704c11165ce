package import Wire

/// What is used of an issuer's metadata (OpenID Connect Discovery 1.0 §3, RFC 8414 §2).
package struct DiscoveryDocument: Sendable, Equatable {
  package static let bytesMax = 256 << 10

  /// `jwks_uri`.
  package let keySet: HTTPURL?
  /// `token_endpoint`.
  package let tokenEndpoint: HTTPURL?
  /// The same for clients that show themselves by a certificate (RFC 8705 §5): another host or
  /// port, since asking for one would trouble browsers.
  package let certificateTokenEndpoint: HTTPURL?

  /// Reads the answer to a request for the document. Its `issuer` must be the one that was asked
  /// for, byte for byte (OpenID Connect Discovery §4.3): else one tenant could speak for another.
  /// What it points to must be https, or on this machine; a member of another kind refuses the
  /// whole.
  package init(
    _ document: Span<UInt8>, issuer: UTF8Text
  ) throws(DiscoveryFault) {
    let parser = JSONParser(.strict, bytesMax: Self.bytesMax, depthMax: 16, nodesMax: 8_192)
    let root: JSONNode
    do throws(JSONFault) { root = try parser.parse(document) } catch { throw .json(error) }
    let named = root["issuer"]?.string
    guard named == issuer else { throw .issuerDiffers(named: named) }
    keySet = try Self.endpoint("jwks_uri", in: root)
    tokenEndpoint = try Self.endpoint("token_endpoint", in: root)
    certificateTokenEndpoint = try root["mtls_endpoint_aliases"].flatMap {
      aliases throws(DiscoveryFault) in try Self.endpoint("token_endpoint", in: aliases)
    }
  }

  private static func endpoint(
    _ name: String, in root: JSONNode
  ) throws(DiscoveryFault) -> HTTPURL? {
    guard let node = root[UTF8Text(name)] else { return nil }
    guard let text = node.string else { throw .notAURL(member: name) }
    let url: HTTPURL
    do throws(HTTPURL.Fault) { url = try HTTPURL(text.string) } catch {
      throw .notAURL(member: name)
    }
    guard url.origin.isSecure || url.origin.isLoopback else { throw .notSecure(member: name) }
    return url
  }
}

/// Why a discovery document is of no use.
package enum DiscoveryFault: Error, Equatable, Sendable, CustomStringConvertible {
  case json(JSONFault)
  /// Its `issuer` is another, or it has none.
  case issuerDiffers(named: UTF8Text?)
  case notAURL(member: String)
  /// http to another machine.
  case notSecure(member: String)

  package var description: String {
    switch self {
    case .json(let fault): fault.description
    case .issuerDiffers(nil): "it names no issuer"
    case .issuerDiffers(let named?): "its issuer is another: \(Self.quoted(named))"
    case .notAURL(let member): "its \(member) is not a URL"
    case .notSecure(let member): "its \(member) is not https"
    }
  }

  /// Others' words, for a line of ours.
  private static func quoted(_ text: UTF8Text) -> String {
    var quoted: [UInt8] = []
    JSONWriter.appendString(UTF8Text(Array(text.bytes.prefix(200))), to: &quoted)
    return String(decoding: quoted, as: UTF8.self)
  }
}
