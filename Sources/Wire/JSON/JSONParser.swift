/// Reads a whole JSON text into a tree that knows where everything stood.
///
/// Responsible for what RFC 8259 leaves to the reader: the text is well-formed UTF-8, no object
/// holds a name twice (also when only equal after unescaping, which is how two readers of one
/// token come to disagree), surrogates come in pairs, nothing follows the value, and size, depth
/// and count are bounded. Time and memory are linear in the text. What a value means is its
/// reader's business.
///
/// The commented dialect, for files that people write, adds `//` and `/* */` comments, trailing
/// commas and an ignored byte order mark.
package struct JSONParser: Sendable {
  package enum Dialect: Sendable {
    case strict
    case commented
  }

  private let dialect: Dialect
  private let bytesMax: Int
  private let depthMax: Int
  private let nodesMax: Int

  /// - Parameters:
  ///   - bytesMax: the longest text read.
  ///   - depthMax: the most objects and lists inside one another; never more than 128 count, so
  ///     that neither reading nor freeing the tree can exhaust a stack.
  ///   - nodesMax: the most values, an object's names counted as well.
  package init(_ dialect: Dialect, bytesMax: Int, depthMax: Int = 32, nodesMax: Int = 100_000) {
    self.dialect = dialect
    self.bytesMax = bytesMax
    self.depthMax = min(depthMax, 128)
    self.nodesMax = nodesMax
  }

  package func parse(_ bytes: [UInt8]) throws(JSONFault) -> JSONNode {
    try parse(bytes.span)
  }

  package func parse(_ bytes: Span<UInt8>) throws(JSONFault) -> JSONNode {
    guard bytes.count <= bytesMax else {
      throw JSONFault(kind: .tooLong(bytesMax: bytesMax), range: bytesMax..<bytes.count)
    }
    var scan = JSONScan(
      allowsComments: dialect == .commented, depthMax: depthMax, nodesMax: nodesMax)
    return try scan.document(bytes)
  }
}
