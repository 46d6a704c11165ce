/// Writes commands: arrays of bulk strings, the one form that needs no quoting.
package enum RESPCommand {
  package static func write(_ words: [[UInt8]]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(words.reduce(16) { $0 + $1.count + 16 })
    bytes.append(UInt8(ascii: "*"))
    Decimal.append(UInt64(words.count), to: &bytes)
    bytes.append(0x0D)
    bytes.append(0x0A)
    for word in words {
      bytes.append(UInt8(ascii: "$"))
      Decimal.append(UInt64(word.count), to: &bytes)
      bytes.append(0x0D)
      bytes.append(0x0A)
      bytes.append(contentsOf: word)
      bytes.append(0x0D)
      bytes.append(0x0A)
    }
    return bytes
  }
}
