import COpenSSL
func probe(_ c: OpaquePointer) { _ = unsafe tollgate_SSL_CTX_set_mode(c, 1); _ = unsafe EVP_sha256(); _ = tollgate_SSL_OP_NO_TICKET }
