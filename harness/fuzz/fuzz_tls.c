/* TLS from a hostile server: any input is safe, and nothing of it is plain text, because nobody without the keys can make a record.
 * Input: two bytes choose splits and how far an honest server's handshake came first; the rest is what follows it. */
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/tls.h"

static struct tls_ca ca;
static struct tls_ctx *ctx;
static SSL_CTX *server_ctx;

static void once(void)
{
	struct err err = {0};

	if (ctx)
		return;
	if (tls_ca_make(&ca, &err) < 0 || !(ctx = tls_ctx_new(&ca, NULL, NULL, &err)))
		abort();
	BIO *cert = BIO_new_mem_buf(ca.cert.p, (int)ca.cert.n), *key = BIO_new_mem_buf(ca.key.p, (int)ca.key.n);
	X509 *x = PEM_read_bio_X509(cert, NULL, NULL, NULL);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);

	server_ctx = SSL_CTX_new(TLS_server_method());
	if (SSL_CTX_use_certificate(server_ctx, x) != 1 || SSL_CTX_use_PrivateKey(server_ctx, k) != 1)
		abort();
	X509_free(x);
	EVP_PKEY_free(k);
	BIO_free(cert);
	BIO_free(key);
}

/* The first n bytes of an honest flight; and all of it, and the end of the handshake, when n is large. */
static void honest(struct tls *t, struct buf *hello, size_t n, struct buf *plain)
{
	SSL *server = SSL_new(server_ctx);
	struct buf out = {0};
	char *p;

	SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_accept_state(server);
	for (int round = 0; round < 2; round++) {
		BIO_write(SSL_get_rbio(server), hello->p, (int)hello->n);
		buf_clear(hello);
		SSL_do_handshake(server);
		long all = BIO_get_mem_data(SSL_get_wbio(server), &p);
		size_t part = (size_t)all < n ? (size_t)all : n;

		tls_feed(t, (const uint8_t *)p, part, plain, hello);
		BIO_reset(SSL_get_wbio(server));
		if (!hello->n)
			break;
	}
	buf_free(&out);
	SSL_free(server);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf out = {0}, plain = {0};

	if (n < 2)
		return 0;
	once();
	struct tls *t = tls_new(ctx, p[0] & 1 ? "h2" : NULL);
	size_t step = 1 + p[0] / 2, before = p[1] == 255 ? SIZE_MAX : (size_t)p[1] * 8;

	tls_start(t, &out);
	if (before)
		honest(t, &out, before, &plain);
	for (size_t at = 2; at < n; at += step) {
		size_t len = n - at < step ? n - at : step;
		uint8_t *piece = malloc(len);   /* of its own, so that ASan sees a read beyond it */

		for (size_t i = 0; i < len; i++)
			piece[i] = p[at + i];
		tls_feed(t, piece, len, &plain, &out);
		free(piece);
	}
	if (plain.n)
		abort();
	if ((tls_state(t) == TLS_BROKEN) != (*tls_why(t) != '\0'))
		abort();
	tls_write(t, "GET /", 5, &out);
	tls_goodbye(t, &out);
	tls_free(t);
	buf_free(&out);
	buf_free(&plain);
	return 0;
}
