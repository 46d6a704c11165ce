import COpenSSL

/// Bytes that nobody can guess, from OpenSSL's generator, which the kernel seeds.
package enum RandomBytes {
  /// `count` new random bytes. An error is not to be survived by using anything else.
  package static func make(count: Int) throws(CryptoFault) -> [UInt8] {
    precondition(count >= 0 && count <= Int(CInt.max), "an unreasonable number of random bytes")
    guard count > 0 else { return [] }
    return try ErrorQueue.clean { () throws(CryptoFault) in
      var bytes = [UInt8](repeating: 0, count: count)
      let done = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
        unsafe RAND_bytes(buffer.baseAddress, CInt(buffer.count))
      }
      guard done == 1 else { throw .callFailed("RAND_bytes") }
      return bytes
    }
  }
}
