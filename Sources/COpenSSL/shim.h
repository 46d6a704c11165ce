// OpenSSL 3 as Swift can import it: its headers, and inline wrappers for what it spells as macros,
// as variadic functions or as typed stacks. No logic: each wrapper is the macro it is named after,
// `SSL_set_mode` being `tollgate_SSL_set_mode`.
#ifndef TOLLGATE_COPENSSL_H
#define TOLLGATE_COPENSSL_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

// SSL_CTX

static inline long tollgate_SSL_CTX_set_mode(SSL_CTX *c, long mode) {
  return SSL_CTX_set_mode(c, mode);
}
static inline long tollgate_SSL_CTX_clear_mode(SSL_CTX *c, long mode) {
  return SSL_CTX_clear_mode(c, mode);
}
static inline int tollgate_SSL_CTX_set_min_proto_version(SSL_CTX *c, int version) {
  return (int)SSL_CTX_set_min_proto_version(c, version);
}
static inline int tollgate_SSL_CTX_set_max_proto_version(SSL_CTX *c, int version) {
  return (int)SSL_CTX_set_max_proto_version(c, version);
}
static inline int tollgate_SSL_CTX_get_min_proto_version(SSL_CTX *c) {
  return (int)SSL_CTX_get_min_proto_version(c);
}
static inline int tollgate_SSL_CTX_get_max_proto_version(SSL_CTX *c) {
  return (int)SSL_CTX_get_max_proto_version(c);
}
static inline long tollgate_SSL_CTX_set_session_cache_mode(SSL_CTX *c, long mode) {
  return SSL_CTX_set_session_cache_mode(c, mode);
}
static inline long tollgate_SSL_CTX_sess_set_cache_size(SSL_CTX *c, long count) {
  return SSL_CTX_sess_set_cache_size(c, count);
}
static inline long tollgate_SSL_CTX_set_read_ahead(SSL_CTX *c, int on) {
  return SSL_CTX_set_read_ahead(c, on);
}
static inline long tollgate_SSL_CTX_set_max_send_fragment(SSL_CTX *c, long bytes) {
  return SSL_CTX_set_max_send_fragment(c, bytes);
}
static inline int tollgate_SSL_CTX_set1_groups_list(SSL_CTX *c, const char *list) {
  return (int)SSL_CTX_set1_groups_list(c, (char *)list);
}
static inline int tollgate_SSL_CTX_set1_sigalgs_list(SSL_CTX *c, const char *list) {
  return (int)SSL_CTX_set1_sigalgs_list(c, (char *)list);
}
static inline int tollgate_SSL_CTX_set_dh_auto(SSL_CTX *c, int on) {
  return (int)SSL_CTX_set_dh_auto(c, on);
}
static inline long tollgate_SSL_CTX_set_tlsext_servername_callback(
    SSL_CTX *c, int (*callback)(SSL *, int *, void *)) {
  return SSL_CTX_set_tlsext_servername_callback(c, callback);
}
static inline long tollgate_SSL_CTX_set_tlsext_servername_arg(SSL_CTX *c, void *argument) {
  return SSL_CTX_set_tlsext_servername_arg(c, argument);
}
// A function in 3.0, but one whose callback type Swift spells badly.
typedef int (*tollgate_ticket_key_callback)(
    SSL *, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int encrypt);
static inline int tollgate_SSL_CTX_set_tlsext_ticket_key_evp_cb(
    SSL_CTX *c, tollgate_ticket_key_callback callback) {
  return SSL_CTX_set_tlsext_ticket_key_evp_cb(c, callback);
}
static inline long tollgate_SSL_CTX_set_tlsext_ticket_keys(SSL_CTX *c, void *keys, long bytes) {
  return SSL_CTX_set_tlsext_ticket_keys(c, keys, bytes);
}
// The chain's reference goes to the context (add0) or a new one is taken (add1).
static inline int tollgate_SSL_CTX_add0_chain_cert(SSL_CTX *c, X509 *certificate) {
  return (int)SSL_CTX_add0_chain_cert(c, certificate);
}
static inline int tollgate_SSL_CTX_add1_chain_cert(SSL_CTX *c, X509 *certificate) {
  return (int)SSL_CTX_add1_chain_cert(c, certificate);
}
static inline int tollgate_SSL_CTX_clear_chain_certs(SSL_CTX *c) {
  return (int)SSL_CTX_clear_chain_certs(c);
}
static inline int tollgate_SSL_CTX_set1_verify_cert_store(SSL_CTX *c, X509_STORE *store) {
  return (int)SSL_CTX_set1_verify_cert_store(c, store);
}

// SSL

static inline long tollgate_SSL_set_mode(SSL *s, long mode) { return SSL_set_mode(s, mode); }
static inline long tollgate_SSL_clear_mode(SSL *s, long mode) { return SSL_clear_mode(s, mode); }
static inline int tollgate_SSL_set_min_proto_version(SSL *s, int version) {
  return (int)SSL_set_min_proto_version(s, version);
}
static inline int tollgate_SSL_set_max_proto_version(SSL *s, int version) {
  return (int)SSL_set_max_proto_version(s, version);
}
static inline int tollgate_SSL_set_tlsext_host_name(SSL *s, const char *name) {
  return (int)SSL_set_tlsext_host_name(s, name);
}
static inline int tollgate_SSL_want_read(const SSL *s) { return SSL_want_read(s); }
static inline int tollgate_SSL_want_write(const SSL *s) { return SSL_want_write(s); }
// A new reference, or NULL; the caller frees it.
static inline X509 *tollgate_SSL_get_peer_certificate(const SSL *s) {
  return SSL_get1_peer_certificate(s);
}
static inline const char *tollgate_SSL_get_cipher_name(const SSL *s) {
  return SSL_get_cipher_name(s);
}
static inline int tollgate_SSL_get_negotiated_group(SSL *s) {
  return (int)SSL_get_negotiated_group(s);
}
static inline int tollgate_SSL_set_app_data(SSL *s, void *value) {
  return SSL_set_app_data(s, value);
}
static inline void *tollgate_SSL_get_app_data(const SSL *s) { return SSL_get_app_data(s); }

// The options are macros over a cast, which Swift does not see.
static const uint64_t tollgate_SSL_OP_NO_RENEGOTIATION = SSL_OP_NO_RENEGOTIATION;
static const uint64_t tollgate_SSL_OP_NO_COMPRESSION = SSL_OP_NO_COMPRESSION;
static const uint64_t tollgate_SSL_OP_NO_TICKET = SSL_OP_NO_TICKET;
static const uint64_t tollgate_SSL_OP_CIPHER_SERVER_PREFERENCE = SSL_OP_CIPHER_SERVER_PREFERENCE;
static const uint64_t tollgate_SSL_OP_PRIORITIZE_CHACHA = SSL_OP_PRIORITIZE_CHACHA;
static const uint64_t tollgate_SSL_OP_IGNORE_UNEXPECTED_EOF = SSL_OP_IGNORE_UNEXPECTED_EOF;
static const uint64_t tollgate_SSL_OP_NO_ANTI_REPLAY = SSL_OP_NO_ANTI_REPLAY;
static const uint64_t tollgate_SSL_OP_ENABLE_KTLS = SSL_OP_ENABLE_KTLS;
static const uint64_t tollgate_SSL_OP_NO_ENCRYPT_THEN_MAC = SSL_OP_NO_ENCRYPT_THEN_MAC;
static const uint64_t tollgate_SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION =
    SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION;

// A macro over others: a name in the manner of RFC 2253, in ASCII.
static const unsigned long tollgate_XN_FLAG_RFC2253 = XN_FLAG_RFC2253;

// BIO

static inline long tollgate_BIO_get_mem_data(BIO *b, char **bytes) {
  return BIO_get_mem_data(b, bytes);
}
static inline int tollgate_BIO_reset(BIO *b) { return (int)BIO_reset(b); }
static inline int tollgate_BIO_pending(BIO *b) { return (int)BIO_pending(b); }
static inline long tollgate_BIO_set_mem_eof_return(BIO *b, int value) {
  return BIO_set_mem_eof_return(b, value);
}
static inline int tollgate_BIO_should_retry(BIO *b) { return BIO_should_retry(b); }

// Errors and memory

static inline int tollgate_ERR_GET_LIB(unsigned long code) { return ERR_GET_LIB(code); }
static inline int tollgate_ERR_GET_REASON(unsigned long code) { return ERR_GET_REASON(code); }
static inline void tollgate_OPENSSL_free(void *memory) { OPENSSL_free(memory); }

// Keys and certificates

static inline EVP_PKEY *tollgate_EVP_RSA_gen(size_t bits) {
  return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", bits);
}
static inline EVP_PKEY *tollgate_EVP_EC_gen(const char *curve) {
  return EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
}
// Ed25519, Ed448, X25519…: what takes no parameter.
static inline EVP_PKEY *tollgate_EVP_PKEY_gen(const char *type) {
  return EVP_PKEY_Q_keygen(NULL, NULL, type);
}
static inline int tollgate_X509_num(const STACK_OF(X509) *stack) { return sk_X509_num(stack); }
static inline X509 *tollgate_X509_value(const STACK_OF(X509) *stack, int index) {
  return sk_X509_value(stack, index);
}
// The names of a certificate, as a stack that the caller frees with the call below; or NULL.
static inline GENERAL_NAMES *tollgate_X509_get_subject_alternative_names(const X509 *certificate) {
  return (GENERAL_NAMES *)X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}
static inline void tollgate_GENERAL_NAMES_free(GENERAL_NAMES *names) { GENERAL_NAMES_free(names); }
static inline int tollgate_GENERAL_NAME_num(const GENERAL_NAMES *names) {
  return sk_GENERAL_NAME_num(names);
}
static inline const GENERAL_NAME *tollgate_GENERAL_NAME_value(
    const GENERAL_NAMES *names, int index) {
  return sk_GENERAL_NAME_value(names, index);
}
// GEN_DNS, GEN_IPADD…; and the bytes where the kind is held as a string of octets, else NULL.
static inline int tollgate_GENERAL_NAME_kind(const GENERAL_NAME *name) { return name->type; }
static inline const unsigned char *tollgate_GENERAL_NAME_bytes(
    const GENERAL_NAME *name, int *count) {
  switch (name->type) {
  case GEN_DNS:
  case GEN_URI:
  case GEN_EMAIL:
    *count = ASN1_STRING_length(name->d.ia5);
    return ASN1_STRING_get0_data(name->d.ia5);
  case GEN_IPADD:
    *count = ASN1_STRING_length(name->d.iPAddress);
    return ASN1_STRING_get0_data(name->d.iPAddress);
  default:
    *count = 0;
    return NULL;
  }
}

#endif
