import COpenSSL

/// Collects what `write` writes; false from it is a failure.
func withMemoryBIO(
  _ write: (OpaquePointer) -> Bool
) throws(CryptoFault) -> [UInt8] {
  guard let memory = unsafe BIO_new(BIO_s_mem()) else { throw .callFailed("BIO_new") }
  defer { unsafe BIO_free(memory) }
  guard unsafe write(memory) else { throw .callFailed("PEM_write_bio") }
  var bytes: UnsafeMutablePointer<CChar>?
  let count = unsafe tollgate_BIO_get_mem_data(memory, &bytes)
  guard count > 0, let bytes = unsafe bytes else { throw .callFailed("BIO_get_mem_data") }
  return unsafe [UInt8](UnsafeRawBufferPointer(start: bytes, count: count))
}
