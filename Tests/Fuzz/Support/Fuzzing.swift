/// Hands one input of libFuzzer's to a target.
package func fuzz(
  _ start: UnsafePointer<UInt8>?, _ count: Int, _ target: ([UInt8]) -> Void
) -> CInt {
  target(unsafe Array(UnsafeBufferPointer(start: start, count: count)))
  return 0
}

/// A property: where it does not hold, the fuzzer keeps the input.
package func check(_ holds: Bool, _ property: @autoclosure () -> String) {
  if !holds { fatalError(property()) }
}
