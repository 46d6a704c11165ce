import Crypto
import JOSE
import OAuth
import Wire

/// The one issuer that the tokens here are checked against.
struct Issuer: Sendable {
  static let nowMs: Int64 = 1_780_000_000_000

  /// The public halves of keys that were thrown away: what they signed lies in `seeds`, and
  /// nothing else will ever be signed by them.
  static let published = Array(
    """
    {"keys":[{"kty":"RSA","kid":"r","n":"6-k9-TKjafsg-DcoNZ5G_VkPcm21-2oPcMF8STLar\
    bUj4wwgVTk951cFdXcXP5cDdV9-jAefET6XJPTHnHjqiIvIKFSEwoBKoRKY3XtVmhPrE2Qe5M0WS_K\
    tcBqBM6M1DiNpssV4Jh_iSwGfKw3KfFWVCAiWtPexEdh3BvjKzKRjj3KjgG7tNmJYprjdJA53vJBgi\
    Be3Jt_5abonI4yteO8OzdEy2_fLjlMTuxx4FI-Gz783xb7Jv39INMcp_cIOIqAoVnqQDXgJd1P9jnD\
    P7IXKErmusdtUl-1Ym7QKpqgOF0BmhF8LJ9yGN0kRszVjlpmCxtIySKmISTlwt7zV2Q","e":"AQAB\
    "},{"kty":"EC","kid":"e","crv":"P-256","x":"2_-1_FimQPcJ5Q8oVwNpE6A9f0N4820cgq\
    -is1UIssg","y":"48KRytoFUYqhD0_ZliIIgocoWD2Rl01IuXi7sBAcVMk","use":"sig"},{"kt\
    y":"OKP","kid":"d","crv":"Ed25519","x":"NpJrjwYFxIA_CLwewV-CPrxsm4uSdah9xaV9C8\
    Mc8E0","alg":"EdDSA"}]}\

    """.utf8)

  /// All that was ever signed with them, by the algorithm.
  static let signed: Set<[UInt8]> = Set(
    [("ES256", "e"), ("EdDSA", "d"), ("RS256", "r"), ("PS256", "r")].map { algorithm, keyID in
      let header = "{\"alg\":\"\(algorithm)\",\"kid\":\"\(keyID)\"}"
      let payload = "{\"iss\":\"i\",\"aud\":\"a\",\"exp\":4102444800,\"sub\":\"s\"}"
      return Base64URL.encode(Array(header.utf8)) + Array(".".utf8)
        + Base64URL.encode(Array(payload.utf8))
    })

  static let settings = IssuerSettings(
    name: "fuzzed", issuer: "i", discovery: nil, keys: .discovery, jwksRefreshMs: 300_000,
    ca: nil, timeoutMs: 5_000, audiences: .list(["a"]),
    audienceClaim: ClaimName(member: "aud"), algorithms: Set(SignatureAlgorithm.allCases),
    types: nil, clockSkewMs: 30_000, maxAgeMs: nil,
    identities: IdentityRules(system: presets, person: presets), digestInput: [1],
    place: ConfigPlace(file: "routes.json", range: 0..<0, key: ""))

  private static let presets = IdentityPreset.allCases.map(IdentityRule.preset)

  let keys: JWKSet
  let signer: JWSSigner
  /// The signer's own.
  let ownKeys: JWKSet
  let rules: IssuerRules
  /// The keys' numbers once more: the leak sanitizer does not see through the tags of what an enum
  /// in a global points to.
  private let reachable: [[UInt8]]

  init() throws {
    let digester = try Digester()
    keys = try JWKSet(Self.published.span, digester: digester)
    signer = JWSSigner(key: try PrivateKey(generate: .ed25519), keyID: "k")
    ownKeys = try JWKSet(signer.makeKeySet().span, digester: digester)
    rules = IssuerRules(Self.settings, digester: digester)
    reachable = ((keys.keys + ownKeys.keys).map(\.key.numbers) + [signer.key.numbers]).flatMap {
      numbers -> [[UInt8]] in
      switch numbers {
      case .rsa(let modulus, let exponent): [modulus, exponent]
      case .ec(_, let x, let y): [x, y]
      case .ed25519(let point): [point]
      }
    }
  }
}
