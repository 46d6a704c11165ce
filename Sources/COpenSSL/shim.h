// OpenSSL 3 as Swift can import it: its headers, and inline wrappers for what it spells as macros.
#ifndef TOLLGATE_COPENSSL_H
#define TOLLGATE_COPENSSL_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#endif
