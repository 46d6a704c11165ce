import Testing

@testable import Wire

struct IPAddressTests {
  @Test(arguments: [
    ("0.0.0.0", "0.0.0.0"), ("127.0.0.1", "127.0.0.1"), ("255.255.255.255", "255.255.255.255"),
    ("::", "::"), ("::1", "::1"), ("1::", "1::"),
    ("2001:DB8::8:800:200C:417A", "2001:db8::8:800:200c:417a"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ("::ffff:192.0.2.1", "192.0.2.1"), ("::FFFF:c000:201", "192.0.2.1"),
    ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
    ("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
  ])
  func `reads addresses and writes them in their one form`(_ text: String, _ expected: String) {
    #expect(IPAddress(text)?.description == expected)
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1..2.3",
    "1.2.3.", "0x1.2.3.4", "1.2.3.1234", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
    "1::2::3", "::12345", "::g", "1:", ":1", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
    "::1.2.3", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%eth0", "[::1]",
    "1:2:3:4:5:6:7:", "::1:",
  ])
  func `refuses what is no address`(_ text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test func `takes bytes from the kernel`() {
    #expect(IPAddress(bytes: [10, 0, 0, 1])?.description == "10.0.0.1")
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 0, 0, 1]
    #expect(IPAddress(bytes: mapped) == IPAddress("10.0.0.1"))
    #expect(IPAddress(bytes: [1, 2, 3]) == nil)
  }

  @Test func `knows loopback`() {
    #expect(IPAddress("127.255.0.1")?.isLoopback == true)
    #expect(IPAddress("::1")?.isLoopback == true)
    #expect(IPAddress("::127.0.0.1")?.isLoopback == false)
    #expect(IPAddress("128.0.0.1")?.isLoopback == false)
  }
}

struct AddressRangesTests {
  @Test func `holds the addresses of its blocks and no others`() throws {
    let ranges = AddressRanges(
      try ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "::/64", "172.16.0.0/12"]
        .map(AddressRange.init))
    for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8:ffff::1", "172.31.0.1"] {
      #expect(ranges.contains(try #require(IPAddress(inside))), "\(inside)")
    }
    // An IPv6 block never holds an IPv4 caller, however its socket spells the address.
    for outside in [
      "9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "2001:db9::", "172.32.0.0",
      "::ffff:9.9.9.9", "255.255.255.255",
    ] {
      #expect(!ranges.contains(try #require(IPAddress(outside))), "\(outside)")
    }
    #expect(AddressRanges([]).isEmpty)
    #expect(!AddressRanges([]).contains(try #require(IPAddress("10.0.0.1"))))
  }

  @Test func `holds everything where the prefix is zero`() throws {
    let ranges = AddressRanges(try [AddressRange("0.0.0.0/0"), AddressRange("::/0")])
    for text in ["0.0.0.0", "255.255.255.255", "::", "ffff::"] {
      #expect(ranges.contains(try #require(IPAddress(text))))
    }
  }

  @Test func `takes a mapped block for its IPv4 one`() throws {
    #expect(try AddressRange("::ffff:10.0.0.0/104").description == "10.0.0.0/8")
    #expect(throws: AddressRange.Fault.prefixTooLong) { try AddressRange("::ffff:10.0.0.0/8") }
  }

  @Test(arguments: [
    "", "x", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/08", "10.0.0.0/-1", "/8", "1/2/3",
  ])
  func `refuses what is no block`(_ text: String) {
    #expect(throws: AddressRange.Fault.malformed) { try AddressRange(text) }
  }

  @Test func `says which block was probably meant`() throws {
    let block = try AddressRange("10.0.0.0/8")
    #expect(throws: AddressRange.Fault.hostBitsSet(block: block)) {
      try AddressRange("10.0.0.1/8")
    }
    #expect(throws: AddressRange.Fault.prefixTooLong) { try AddressRange("10.0.0.0/33") }
    #expect(throws: AddressRange.Fault.prefixTooLong) { try AddressRange("::/129") }
  }
}

struct HTTPURLTests {
  @Test(
    arguments: [
      ("http://orders:8080", "http", "orders", 8080, "orders:8080", "/"),
      (
        "HTTPS://Login.Example.COM./x?y=1", "https", "login.example.com", 443,
        "login.example.com", "/x?y=1"
      ),
      ("http://[2001:DB8::1]:81/", "http", "2001:db8::1", 81, "[2001:db8::1]:81", "/"),
      ("https://1.2.3.4:443?q", "https", "1.2.3.4", 443, "1.2.3.4", "/?q"),
      ("http://my_service/%7Ea", "http", "my_service", 80, "my_service", "/%7Ea"),
    ] as [(String, String, String, UInt16, String, String)])
  func `takes a URL apart`(
    _ text: String, _ scheme: String, _ host: String, _ port: UInt16, _ authority: String,
    _ target: String
  ) throws {
    let url = try HTTPURL(text)
    #expect(url.origin.scheme == scheme)
    #expect(url.origin.host == host)
    #expect(url.origin.port == port)
    #expect(url.origin.authority == authority)
    #expect(url.target == target)
  }

  @Test(
    arguments: [
      ("orders:8080", .scheme), ("ftp://x", .scheme), ("", .scheme), ("http:/x", .scheme),
      ("http://", .host), ("http:///x", .host), ("http://a b", .host), ("http://a..b", .host),
      ("http://-a", .host), ("http://1.2.3", .host), ("http://1.2.3.256", .host),
      ("http://0x7f000001", .host), ("http://a.0X1", .host), ("http://0x", .host),
      ("http://[::1", .host), ("http://[::1]x", .host), ("http://[1.2.3.4]", .host),
      ("http://::1", .host), ("http://é", .host), ("http://a%41", .host), ("http://a\u{0}", .host),
      ("http://a:", .port), ("http://a:0", .port), ("http://a:65536", .port),
      ("http://a:x", .port), ("http://a:-1", .port),
      ("http://u:p@a", .userinfo), ("http://a/#f", .fragment), ("http://a#f", .fragment),
      ("http://a/b c", .character), ("http://a/%4", .character), ("http://a/%zz", .character),
      ("http://a/é", .character), ("http://a/\\", .character), ("http://a/%", .character),
    ] as [(String, HTTPURL.Fault)])
  func `refuses what is no URL of a service`(_ text: String, _ fault: HTTPURL.Fault) {
    #expect(throws: fault) { try HTTPURL(text) }
  }

  @Test(arguments: [
    ("http://127.0.0.1", true), ("http://127.9.9.9:1", true), ("http://[::1]", true),
    ("http://localhost", true), ("http://a.LOCALHOST.", true), ("http://alocalhost", false),
    ("http://10.0.0.1", false), ("http://localhost.example.com", false),
    ("http://127.0.0.1.example.com", false),
  ])
  func `knows what stays on this machine`(_ text: String, _ expected: Bool) throws {
    #expect(try HTTPURL(text).origin.isLoopback == expected)
  }
}
