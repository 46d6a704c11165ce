import FuzzSupport
import Wire

/// Paths, authorities and URLs: each has one spelling, and that is what it is read as again.
@c(LLVMFuzzerTestOneInput)
func addresses(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  unsafe fuzz(start, count) { input in
    checkPath(input)
    checkAuthority(input)
    checkURL(input)
  }
}

private func normalised(_ raw: [UInt8]) -> NormalisedPath? {
  var path = NormalisedPath()
  do throws(PathFault) {
    try PathNormaliser.normalise(raw.span, into: &path)
    return path
  } catch {
    return nil
  }
}

private func checkPath(_ raw: [UInt8]) {
  guard let path = normalised(raw) else { return }
  for spelling in [path.merged, path.unmerged ?? path.merged] {
    check(spelling.first == UInt8(ascii: "/"), "a path begins with a slash")
    check(spelling.allSatisfy { (0x21...0x7E).contains($0) }, "a path is visible ASCII")
    let segments = spelling.split(separator: UInt8(ascii: "/"))
    let dots: [[UInt8]] = [Array(".".utf8), Array("..".utf8)]
    check(!segments.contains { dots.contains(Array($0)) }, "no dot segment is left")
    check(normalised(spelling)?.merged == path.merged, "what is normal is normal again")
  }
  check(!zip(path.merged, path.merged.dropFirst()).contains { $0 == 47 && $1 == 47 }, "merged")
}

private func checkAuthority(_ text: [UInt8]) {
  guard let authority = try? Authority(text) else { return }
  var written: [UInt8] = []
  authority.append(to: &written)
  check((try? Authority(written)) == authority, "an authority written is the same again")
}

private func checkURL(_ text: [UInt8]) {
  guard let url = try? HTTPURL(String(decoding: text, as: UTF8.self)) else { return }
  check((try? HTTPURL(url.description)) == url, "a URL written is the same again")
  let authority = Array(url.origin.authority.utf8)
  guard let read = try? Authority(authority) else { return }
  var written: [UInt8] = []
  read.append(to: &written)
  check(written == authority, "a URL's authority is what Host says")
}
