import TestSupport
import Testing
import Wire

@testable import Gateway

extension PathTree {
  /// A tree of patterns as a routes file writes them; each stands for its index.
  convenience init(_ patterns: [String], ignoringCase: Bool = false) throws {
    var made = PathPatterns(ignoringCase: ignoringCase)
    for (index, pattern) in patterns.enumerated() {
      let read = try PathPattern(UTF8Text(pattern)).segments
      let segments = read.map { segment -> PathPatterns.Segment in
        switch segment {
        case .literal(let text): .literal(text.bytes)
        case .parameter: .parameter
        case .rest: .rest
        }
      }
      made.insert(segments, value: index)
    }
    self.init(made)
  }

  func find(_ path: String) -> [Int]? {
    let bytes = Array(path.utf8)
    return find(bytes.span) { _ in true }.map { $0.map { self[$0] } }
  }
}

struct PathTreeTests {
  private static let patterns = [
    "/", "/orders", "/orders/*", "/orders/{id}", "/orders/{id}/lines", "/orders/new/lines/last",
    "/orders/{id}/*", "/a/{x}/c", "/a/b/d", "/deep/{x}/{y}/z", "/deep/p/*", "/only/*",
  ]

  @Test(
    arguments: [
      ("/", "/"), ("/orders", "/orders"), ("/orders/", "/orders"), ("/orders/7", "/orders/{id}"),
      ("/orders/7/", "/orders/{id}"), ("/orders/7/lines", "/orders/{id}/lines"),
      ("/orders/7/lines/", "/orders/{id}/lines"), ("/orders/7/more", "/orders/{id}/*"),
      ("/orders/7/lines/1", "/orders/{id}/*"), ("/orders/new", "/orders/{id}"),
      ("/orders/new/lines", "/orders/{id}/lines"),
      ("/orders/new/lines/last", "/orders/new/lines/last"),
      ("/orders/new/lines/first", "/orders/{id}/*"),
      // The literal leads nowhere: back to the parameter.
      ("/a/b/c", "/a/{x}/c"), ("/a/b/d", "/a/b/d"), ("/a/x/d", nil), ("/a/b", nil),
      ("/deep/p/q/z", "/deep/p/*"), ("/deep/o/q/z", "/deep/{x}/{y}/z"), ("/deep/o/q/y", nil),
      ("/only", "/only/*"), ("/only/", "/only/*"), ("/only/a/b/c", "/only/*"), ("/onl", nil),
      ("/onlyx", nil), ("/Orders", nil), ("/other", nil), ("/order", nil),
    ] as [(String, String?)])
  func `the most specific pattern wins, segment by segment`(
    _ path: String, _ pattern: String?
  ) throws {
    let tree = try PathTree(Self.patterns)
    let expected = pattern.flatMap { Self.patterns.firstIndex(of: $0) }.map { [$0] }
    #expect(tree.find(path) == expected)
  }

  @Test func `a parameter is never an empty segment`() throws {
    let tree = try PathTree(["/{x}", "/a/{y}/c"])
    #expect(tree.find("/") == nil)
    #expect(tree.find("/a/") == [0])
    #expect(tree.find("/a//c") == nil)
  }

  @Test func `patterns of one form share a place`() throws {
    let tree = try PathTree(["/{x}/*", "/{y}/*", "/{z}"])
    #expect(tree.find("/a/b") == [0, 1])
    #expect(tree.find("/a") == [2])
  }

  @Test func `a pattern that does not count gives way to a less specific one`() throws {
    let tree = try PathTree(["/a/b", "/a/{x}", "/a/*", "/*"])
    let path = Array("/a/b".utf8)
    for refused in 0..<4 {
      let found = tree.find(path.span) { tree[$0.lowerBound] > refused }
      #expect(found.map { tree[$0.lowerBound] } == (refused < 3 ? refused + 1 : nil))
    }
  }

  @Test func `ignores case in ASCII letters only, where it is told to`() throws {
    let patterns = ["/Orders/a", "/orders/b", "/ORDERS/c/*", "/x[y/z"]
    let tree = try PathTree(patterns)
    let loose = try PathTree(patterns, ignoringCase: true)
    for (path, index) in [("/oRDERS/A", 0), ("/ORDers/B", 1), ("/orders/C/d", 2), ("/X[Y/Z", 3)] {
      #expect(loose.find(path) == [index], "\(path)")
      #expect(tree.find(path) == nil, "\(path)")
    }
    #expect(loose.find("/x{y/z") == nil)
    #expect(loose.find("/Orders/b") == [1])
    #expect(tree.find("/Orders/b") == nil)
  }

  @Test func `finds each of ten thousand literals and none beside`() throws {
    let names = (0..<10_000).map { "/literal-\($0)" }
    let tree = try PathTree(names)
    for (index, name) in names.enumerated() { #expect(tree.find(name) == [index]) }
    #expect(tree.find("/literal-10000") == nil)
  }
}
