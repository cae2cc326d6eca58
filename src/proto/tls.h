/* TLS around any protocol, by OpenSSL over memory BIOs: bytes in, bytes out, no sockets. Only the client's end. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* A certificate authority that is thrown away: made anew for each run, all as PEM. The certificate is for 127.0.0.1, ::1 and
 * localhost, and is followed by the authority's, so that the file is a chain. */
struct tls_ca {
	struct buf ca, cert, key;
};
int tls_ca_make(struct tls_ca *ret, struct err *reterr);
void tls_ca_free(struct tls_ca *ca);

/* One line of the key log (the format of SSLKEYLOGFILE), without its newline. */
typedef void (*tls_keylog_fn)(void *arg, const char *line);

/* What the connections of a run share. */
struct tls_ctx;
struct tls_ctx *tls_ctx_new(const struct tls_ca *ca, tls_keylog_fn keylog, void *arg, struct err *reterr);
void tls_ctx_free(struct tls_ctx *ctx);

enum tls_state {
	TLS_SHAKING,
	TLS_OPEN,
	TLS_CLOSED,     /* the server's close_notify came: it will write no more */
	TLS_BROKEN,     /* see tls_why() */
};

struct tls;
/* alpn: the name of the protocol inside (http/1.1, h2), NULL: it has none. */
struct tls *tls_new(struct tls_ctx *ctx, const char *alpn);
void tls_free(struct tls *t);
enum tls_state tls_state(const struct tls *t);
/* Append the ClientHello to out. */
void tls_start(struct tls *t, struct buf *out);
/* Take bytes of the server, any bytes: what they held goes to plain, what must go back at once to out. */
void tls_feed(struct tls *t, const uint8_t *p, size_t n, struct buf *plain, struct buf *out);
/* Records of n bytes of plain text. Nothing before the handshake is done, or after our close_notify. */
void tls_write(struct tls *t, const void *p, size_t n, struct buf *out);
/* Our close_notify: we write no more. */
void tls_goodbye(struct tls *t, struct buf *out);

/* Bytes of handshake that the server has sent so far. */
uint64_t tls_heard(const struct tls *t);
/* 0x0303, 0x0304; 0 until the handshake is done. */
int tls_version(const struct tls *t);
/* "TLSv1.3, TLS_AES_128_GCM_SHA256, ALPN h2, certificate of this run's CA", once the handshake is done. */
const char *tls_text(const struct tls *t);
/* Why it is broken; "" if it is not. */
const char *tls_why(const struct tls *t);
/* Does this first flight of bytes come from a server that expected TLS? An alert in answer to plain text. */
bool tls_recognise(const uint8_t *p, size_t n);
