import Testing
import Wire

private func parse(_ text: String) -> Result<String, Authority.Fault> {
  do throws(Authority.Fault) {
    let authority = try Authority(Array(text.utf8))
    var written: [UInt8] = []
    authority.append(to: &written)
    return .success("\(String(decoding: written, as: UTF8.self)) \(authority.kind)")
  } catch {
    return .failure(error)
  }
}

struct AuthorityTests {
  @Test(arguments: [
    ("a", "a name"), ("Example.COM", "example.com name"), ("example.com.", "example.com name"),
    ("example.com.:80", "example.com:80 name"), ("a:1", "a:1 name"), ("a:65535", "a:65535 name"),
    ("my_service-1.x", "my_service-1.x name"), ("1a.2b", "1a.2b name"), ("0x.a", "0x.a name"),
    ("127.0.0.1", "127.0.0.1 ipv4"), ("127.0.0.1.", "127.0.0.1 ipv4"),
    ("10.0.0.255:8080", "10.0.0.255:8080 ipv4"), ("[::1]", "[::1] ipv6"),
    ("[::]:443", "[::]:443 ipv6"), ("[2001:DB8:0:0:0:0:0:A]", "[2001:db8::a] ipv6"),
    ("[::ffff:1.2.3.4]:80", "1.2.3.4:80 ipv4"),
  ])
  func `reads an authority in the one form that compares`(_ text: String, _ expected: String) {
    #expect(parse(text) == .success(expected))
  }

  @Test(arguments: [
    ("", Authority.Fault.empty), (":80", .hostInvalid), (".", .hostInvalid), (".a", .hostInvalid),
    ("a..b", .hostInvalid), ("a..", .hostInvalid), ("a b", .hostInvalid), ("a/b", .hostInvalid),
    ("a%41", .hostInvalid), ("é", .hostInvalid), ("a,b", .hostInvalid), ("a\\b", .hostInvalid),
    ("a\0", .hostInvalid), ("*.a", .hostInvalid), ("a?b", .hostInvalid), ("a#b", .hostInvalid),
    ("1", .hostInvalid), ("127.1", .hostInvalid), ("1.2.3.256", .hostInvalid),
    ("010.0.0.1", .hostInvalid), ("1.2.3.4.5", .hostInvalid), ("a.1", .hostInvalid),
    ("0x7f000001", .hostInvalid), ("0x", .hostInvalid), ("0xg", .hostInvalid),
    ("a.0X1", .hostInvalid),
    ("::1", .hostInvalid), ("[::1", .hostInvalid), ("[]", .hostInvalid),
    ("[1.2.3.4]", .hostInvalid),
    ("[a]", .hostInvalid), ("[fe80::1%25eth0]", .hostInvalid), ("[v1.a]", .hostInvalid),
    ("a[::1]", .hostInvalid), ("[::1]a", .portInvalid), ("[::1].", .portInvalid),
    ("a:", .portInvalid), ("a:0", .portInvalid), ("a:080", .portInvalid), ("a:65536", .portInvalid),
    ("a:999999", .portInvalid), ("a:8x", .portInvalid), ("a:+8", .portInvalid),
    ("a:80:80", .portInvalid), ("a: 80", .portInvalid),
    ("u@a", .userInfo), ("u:p@a", .userInfo), ("@a", .userInfo), ("u:1@a:80", .userInfo),
    ("[::1]@a", .userInfo), ("[u@a", .userInfo),
  ])
  func `refuses what is none`(_ text: String, _ fault: Authority.Fault) {
    #expect(parse(text) == .failure(fault))
  }

  @Test func `bounds the host`() {
    let label = String(repeating: "a", count: 50) + "."
    #expect(parse(String(repeating: label, count: 5)) != .failure(.hostInvalid))
    #expect(parse(String(repeating: label, count: 6)) == .failure(.hostInvalid))
  }

  @Test func `compares with the port that a missing one means`() throws {
    func authority(_ text: String) throws -> Authority { try Authority(Array(text.utf8)) }
    #expect(try authority("A.").isSame(as: authority("a:80"), defaultPort: 80))
    #expect(try !authority("a").isSame(as: authority("a:80"), defaultPort: 443))
    #expect(try !authority("a").isSame(as: authority("b"), defaultPort: 80))
  }

  @Test func `has the host that a routes file's name has`() throws {
    for text in ["[::1]:8080", "127.0.0.1", "A.b.", "[::ffff:1.2.3.4]"] {
      let authority = try Authority(Array(text.utf8))
      let bare = text.split(separator: "]")[0].drop { $0 == "[" }
      #expect(HostName(Array(bare.utf8))?.text == String(decoding: authority.host, as: UTF8.self))
    }
  }

  @Test func `leaves the default port out`() throws {
    var text: [UInt8] = []
    try Authority(Array("a:443".utf8)).append(to: &text, omitting: 443)
    try Authority(Array(":b:80".utf8.dropFirst())).append(to: &text, omitting: 443)
    #expect(text.elementsEqual("ab:80".utf8))
  }
}
