import Testing
import Wire

/// `merged`, and what else was found, in text that a test can compare.
private func normalise(_ text: String) -> Result<String, PathFault> {
  var path = NormalisedPath()
  // A path before it must leave nothing behind.
  do throws(PathFault) {
    try PathNormaliser.normalise(Array("/%2F;//x/../%41".utf8).span, into: &path)
  } catch {
    Issue.record("\(error)")
  }
  do throws(PathFault) {
    try PathNormaliser.normalise(Array(text.utf8).span, into: &path)
  } catch {
    return .failure(error)
  }
  let found: [String?] = [
    String(decoding: path.merged, as: UTF8.self),
    path.unmerged.map { "unmerged=\(String(decoding: $0, as: UTF8.self))" },
    path.hasEncodedSlash ? "slash" : nil, path.hasParameters ? "parameters" : nil,
  ]
  #expect((path.unmerged != nil) == path.hadEmptySegments)
  return .success(found.compactMap { $0 }.joined(separator: " "))
}

struct PathNormaliserTests {
  @Test(arguments: [
    ("", "/"), ("/", "/"), ("/a", "/a"), ("/a/", "/a/"), ("/a/b.c/~d-e_f", "/a/b.c/~d-e_f"),
    ("/:@!$&'()*+,=", "/:@!$&'()*+,="), ("/{a}|[b]\"<>^`", "/{a}|[b]\"<>^`"),
    // Dot segments, RFC 3986 §5.2.4.
    ("/a/./b", "/a/b"), ("/a/../b", "/b"), ("/a/b/..", "/a/"), ("/a/b/.", "/a/b/"),
    ("/a/..", "/"), ("/.", "/"), ("/./", "/"), ("/a/b/c/./../../g", "/a/g"),
    ("/a/.../b", "/a/.../b"), ("/.a/..b/c./d..", "/.a/..b/c./d.."),
    ("/.well-known/x", "/.well-known/x"),
    ("/a/%2e/b", "/a/b"), ("/a/%2E%2e/b", "/b"), ("/a/.%2E/b", "/b"), ("/a/%2e.", "/"),
    // Escapes.
    ("/%7euser/%41%5A%61%7a%30%39%2D%5f", "/~user/AZaz09-_"), ("/%c3%a9", "/%C3%A9"),
    ("/%3a%3B%2b%20%7B", "/%3A%3B%2B%20%7B"), ("/%e9", "/%E9"), ("/%C0x", "/%C0x"),
    ("/%25", "/%25"), ("/%25a", "/%25a"), ("/100%25/x", "/100%25/x"), ("/%2541", "/%2541"),
    // Encoded slashes and parameters are characters of their segment.
    ("/a%2fb", "/a%2Fb slash"), ("/a%2Fb/c", "/a%2Fb/c slash"), ("/a;b=c/d", "/a;b=c/d parameters"),
    ("/a/b%2f/../c", "/a/c slash"), ("/;", "/; parameters"), ("/a.;b", "/a.;b parameters"),
    // Empty segments.
    ("//", "/ unmerged=//"), ("//a", "/a unmerged=//a"), ("/a//b", "/a/b unmerged=/a//b"),
    ("/a//", "/a/ unmerged=/a//"), ("///a///b///", "/a/b/ unmerged=///a///b///"),
    ("/a//.", "/a/ unmerged=/a//"), ("/a//./b", "/a/b unmerged=/a//b"),
    ("/a//b/../c", "/a/c unmerged=/a//c"), ("/a/./b//%63", "/a/b/c unmerged=/a/b//c"),
  ])
  func `brings a path into normal form`(_ text: String, _ expected: String) {
    #expect(normalise(text) == .success(expected))
  }

  @Test(arguments: [
    ("a", PathFault.notAbsolute), ("*", .notAbsolute), ("%2Fa", .notAbsolute), (".", .notAbsolute),
    ("/a b", .characterInvalid), ("/a#b", .characterInvalid), ("/a?b", .characterInvalid),
    ("/é", .characterInvalid), ("/a\0", .controlCharacter), ("/a\tb", .controlCharacter),
    ("/a\u{7F}", .controlCharacter), ("/a%00", .controlCharacter), ("/%1f", .controlCharacter),
    ("/%0d%0a", .controlCharacter), ("/%7F", .controlCharacter), ("/%C2%85", .controlCharacter),
    ("/a\\b", .backslash), ("/..\\a", .backslash), ("/a%5cb", .backslash), ("/a%5Cb", .backslash),
    ("/%", .escapeInvalid), ("/%2", .escapeInvalid), ("/%2g", .escapeInvalid),
    ("/%g2", .escapeInvalid),
    ("/%%32f", .escapeInvalid), ("/%u002f", .escapeInvalid), ("/% 2", .escapeInvalid),
    ("/%+2f", .escapeInvalid),
    ("/%c0%af", .overlongEncoding), ("/%C0%AE%C0%AE/", .overlongEncoding),
    ("/%c1%9c", .overlongEncoding),
    ("/%e0%80%af", .overlongEncoding), ("/%F0%80%80%AF", .overlongEncoding),
    ("/%252f", .doubleEncoding), ("/%252F", .doubleEncoding), ("/%255c", .doubleEncoding),
    ("/%252e", .doubleEncoding), ("/%2500", .doubleEncoding), ("/%250a", .doubleEncoding),
    ("/%257f", .doubleEncoding), ("/%25252f", .doubleEncoding), ("/%25%32%66", .doubleEncoding),
    ("/%25%32f", .doubleEncoding), ("/a/%252e%252e/b", .doubleEncoding),
    ("/..", .climbsOut), ("/../a", .climbsOut), ("/a/../..", .climbsOut), ("/%2e%2e/a", .climbsOut),
    ("/./../a", .climbsOut), ("/a/../../a", .climbsOut),
    ("//..", .dotsBehindEmptySegment), ("/a//../b", .dotsBehindEmptySegment),
    ("/a/b/..//..", .dotsBehindEmptySegment), ("//a/../../b", .dotsBehindEmptySegment),
    ("/..;/a", .dotsHidden), ("/a/..;x=y/b", .dotsHidden), ("/.;/a", .dotsHidden),
    ("/%2e%2e;/a", .dotsHidden), ("/..%3b/a", .dotsHidden), ("/..%2fa", .dotsHidden),
    ("/a%2f..", .dotsHidden), ("/a%2F..%2Fb", .dotsHidden), ("/a%2f.%2fb", .dotsHidden),
    ("/a%2f%2e%2e", .dotsHidden), ("/a;..", .dotsHidden),
  ])
  func `refuses a path that another reader reads otherwise`(_ text: String, _ fault: PathFault) {
    #expect(normalise(text) == .failure(fault))
  }

  @Test func `changes nothing when it is done twice`() {
    var random = SplitMix64(seed: 99)
    let pieces = [
      "/", "/", "a", "b", ".", "..", "%2e", "%2F", ";", "%41", "%25", "%", "//", "~", "\\", "%c3",
      "2f", "%32", "/..", "/.", "%7b",
    ]
    var path = NormalisedPath()
    var again = NormalisedPath()
    var accepted = 0
    for _ in 0..<50_000 {
      var text = "/"
      for _ in 0..<(random.next() % 10) {
        text += pieces[Int(random.next() % UInt64(pieces.count))]
      }
      do throws(PathFault) {
        try PathNormaliser.normalise(Array(text.utf8).span, into: &path)
      } catch {
        continue
      }
      accepted += 1
      do throws(PathFault) {
        try PathNormaliser.normalise(path.merged.span, into: &again)
        #expect(again.merged == path.merged && !again.hadEmptySegments, "\(text)")
        let unmerged = path.unmerged ?? path.merged
        try PathNormaliser.normalise(unmerged.span, into: &again)
        // Merging before or after makes no difference in what is accepted.
        #expect(again.merged == path.merged && again.unmerged == path.unmerged, "\(text)")
      } catch {
        Issue.record("\(text): \(error)")
      }
    }
    #expect(accepted > 1000)
  }
}
