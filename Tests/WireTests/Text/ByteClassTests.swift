import Testing

@testable import Wire

struct ByteClassTests {
  @Test func `the table is what RFC 9110 §5.6.2 says`() {
    let letters = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    let digits = Set("0123456789".utf8)
    let others = Set("!#$%&'*+-.^_`|~".utf8)
    for byte in UInt8.min...UInt8.max {
      let isToken = letters.contains(byte) || digits.contains(byte) || others.contains(byte)
      #expect(ByteClass.isToken(byte) == isToken)
      #expect(ByteClass.isLetter(byte) == letters.contains(byte))
      #expect(ByteClass.isDigit(byte) == digits.contains(byte))
      let lower = Array(String(UnicodeScalar(byte)).lowercased().utf8)
      #expect(ByteClass.lowercased(byte) == (byte < 0x80 ? lower[0] : byte))
      let folded = byte == UInt8(ascii: "_") ? UInt8(ascii: "-") : ByteClass.lowercased(byte)
      #expect(ByteClass.tokenFold[Int(byte)] == (isToken ? folded : 0))
      #expect(ByteClass.hexValue(byte) == UInt8(String(UnicodeScalar(byte)), radix: 16))
    }
  }
}

struct ByteScanTests {
  @Test func `finds the first control character wherever it stands`() {
    for count in 0..<40 {
      for control in [0, 0x09, 0x0A, 0x1F, 0x7F] as [UInt8] {
        for at in 0..<max(count, 1) {
          // Bytes that differ from a control character by a bit, or by a borrow, around it.
          for filler in [0x20, 0x21, 0x7E, 0x80, 0xFF, 0x9F] as [UInt8] {
            var bytes = [UInt8](repeating: filler, count: count)
            #expect(ByteScan.firstControl(in: bytes.span, from: 0, to: count) == count)
            guard count > 0 else { continue }
            bytes[at] = control
            #expect(ByteScan.firstControl(in: bytes.span, from: 0, to: count) == at)
            #expect(ByteScan.firstControl(in: bytes.span, from: at + 1, to: count) == count)
            if at > 0 { #expect(ByteScan.firstControl(in: bytes.span, from: 0, to: at) == at) }
          }
        }
      }
    }
  }

  @Test func `sees every byte as what it is`() {
    for byte in UInt8.min...UInt8.max {
      let bytes = [UInt8](repeating: byte, count: 16)
      let isControl = byte < 0x20 || byte == 0x7F
      #expect(ByteScan.firstControl(in: bytes.span, from: 0, to: 16) == (isControl ? 0 : 16))
    }
  }
}
