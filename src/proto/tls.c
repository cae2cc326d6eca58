#include "proto/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_ctx {
	SSL_CTX *ssl;
	X509 *ca;
	tls_keylog_fn keylog;
	void *arg;
};

struct tls {
	struct tls_ctx *ctx;
	SSL *ssl;
	BIO *in, *out;          /* owned by ssl */
	enum tls_state state;
	bool said_goodbye;
	uint64_t heard;
	char why[128];
	char text[192];
};

static void keylog_line(const SSL *ssl, const char *line)
{
	struct tls_ctx *ctx = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	ctx->keylog(ctx->arg, line);
}

static X509 *pem_cert(const struct buf *pem)
{
	BIO *bio = BIO_new_mem_buf(pem->p, (int)pem->n);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return cert;
}

/* Whatever the server speaks is spoken with it: what is judged is how it ends, not how strong it is. */
static void accept_anything(SSL_CTX *ssl)
{
	SSL_CTX_set_security_level(ssl, 0);
	SSL_CTX_set_min_proto_version(ssl, TLS1_VERSION);
	SSL_CTX_set_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_NONE, NULL);        /* looked at afterwards: see check_certificate() */
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
}

struct tls_ctx *tls_ctx_new(const struct tls_ca *ca, tls_keylog_fn keylog, void *arg, struct err *reterr)
{
	struct tls_ctx *ctx = calloc(1, sizeof *ctx);

	if (ctx)
		ctx->ssl = SSL_CTX_new(TLS_client_method());
	if (ctx && ctx->ssl)
		ctx->ca = pem_cert(&ca->ca);
	if (!ctx || !ctx->ca || !X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx->ssl), ctx->ca)) {
		tls_ctx_free(ctx);
		err_set(reterr, ERR_HARNESS, ENOMEM, "cannot set up TLS");
		return NULL;
	}
	ctx->keylog = keylog;
	ctx->arg = arg;
	SSL_CTX_set_app_data(ctx->ssl, ctx);
	if (keylog)
		SSL_CTX_set_keylog_callback(ctx->ssl, keylog_line);
	accept_anything(ctx->ssl);
	return ctx;
}

void tls_ctx_free(struct tls_ctx *ctx)
{
	if (!ctx)
		return;
	X509_free(ctx->ca);
	SSL_CTX_free(ctx->ssl);
	free(ctx);
}

static void set_alpn(SSL *ssl, const char *alpn)
{
	unsigned char wire[64];
	size_t n = strlen(alpn);

	if (n >= sizeof wire)
		return;
	wire[0] = (unsigned char)n;
	memcpy(wire + 1, alpn, n);
	SSL_set_alpn_protos(ssl, wire, (unsigned)n + 1);
}

struct tls *tls_new(struct tls_ctx *ctx, const char *alpn)
{
	struct tls *t = calloc(1, sizeof *t);

	if (!t)
		abort();        /* as every allocation of the run: this worker makes one BROKEN verdict */
	t->ctx = ctx;
	t->ssl = SSL_new(ctx->ssl);
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (!t->ssl || !t->in || !t->out)
		abort();
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_connect_state(t->ssl);
	SSL_set_tlsext_host_name(t->ssl, "localhost");
	if (alpn)
		set_alpn(t->ssl, alpn);
	return t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	free(t);
}

enum tls_state tls_state(const struct tls *t)
{
	return t->state;
}

/* What OpenSSL wants to say to the server. */
static void flush_out(struct tls *t, struct buf *out)
{
	char *p;
	long n = BIO_get_mem_data(t->out, &p);

	if (n > 0)
		buf_add(out, p, (size_t)n);
	BIO_reset(t->out);
}

static void broken(struct tls *t, const char *while_what)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	t->state = TLS_BROKEN;
	snprintf(t->why, sizeof t->why, "%s: %s", while_what, reason ? reason : "protocol error");
	ERR_clear_error();
}

static const char *alpn_chosen(const struct tls *t, char *out, size_t size)
{
	const unsigned char *p;
	unsigned n;

	SSL_get0_alpn_selected(t->ssl, &p, &n);
	snprintf(out, size, "%.*s", (int)n, p ? (const char *)p : "");
	return n ? out : "none";
}

/* Was it issued by our authority? Then it must verify; a certificate of the target's own is not ours to judge. */
static const char *check_certificate(struct tls *t)
{
	X509 *peer = SSL_get1_peer_certificate(t->ssl);
	bool ours = peer && !X509_NAME_cmp(X509_get_issuer_name(peer), X509_get_subject_name(t->ctx->ca));
	bool named = peer && X509_check_ip_asc(peer, "127.0.0.1", 0) == 1;
	long result = SSL_get_verify_result(t->ssl);

	X509_free(peer);
	if (!ours)
		return "a certificate of its own, not verified";
	if (result == X509_V_OK && named)
		return "certificate of this run's CA";
	t->state = TLS_BROKEN;
	snprintf(t->why, sizeof t->why, "its certificate is of this run's CA, but does not verify: %s",
		 result != X509_V_OK ? X509_verify_cert_error_string(result) : "not for 127.0.0.1");
	return "a certificate that does not verify";
}

static void shake(struct tls *t)
{
	char alpn[64];

	ERR_clear_error();
	int rc = SSL_do_handshake(t->ssl);

	if (rc != 1) {
		int why = SSL_get_error(t->ssl, rc);

		if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
			broken(t, "TLS handshake");
		return;
	}
	t->state = TLS_OPEN;
	const char *certificate = check_certificate(t);

	snprintf(t->text, sizeof t->text, "%s, %s, ALPN %s, %s", SSL_get_version(t->ssl), SSL_get_cipher_name(t->ssl),
		 alpn_chosen(t, alpn, sizeof alpn), certificate);
}

static void read_plain(struct tls *t, struct buf *plain)
{
	while (t->state == TLS_OPEN) {
		size_t n = 0;

		buf_reserve(plain, 16 * 1024);
		ERR_clear_error();
		int rc = SSL_read_ex(t->ssl, plain->p + plain->n, 16 * 1024, &n);

		if (rc == 1) {
			plain->n += n;
			plain->p[plain->n] = '\0';
			continue;
		}
		switch (SSL_get_error(t->ssl, rc)) {
		case SSL_ERROR_WANT_READ:
		case SSL_ERROR_WANT_WRITE:
			return;
		case SSL_ERROR_ZERO_RETURN:
			t->state = TLS_CLOSED;
			return;
		default:
			broken(t, "TLS");
			return;
		}
	}
}

void tls_start(struct tls *t, struct buf *out)
{
	shake(t);
	flush_out(t, out);
}

void tls_feed(struct tls *t, const uint8_t *p, size_t n, struct buf *plain, struct buf *out)
{
	if (t->state == TLS_CLOSED || t->state == TLS_BROKEN || !n)
		return;
	if (BIO_write(t->in, p, (int)n) != (int)n)
		abort();        /* no memory */
	if (t->state == TLS_SHAKING) {
		t->heard += n;
		shake(t);
	}
	read_plain(t, plain);
	flush_out(t, out);
}

void tls_write(struct tls *t, const void *p, size_t n, struct buf *out)
{
	size_t written;

	if (!n || t->said_goodbye || (t->state != TLS_OPEN && t->state != TLS_CLOSED))
		return;
	ERR_clear_error();
	/* a memory BIO takes everything */
	if (SSL_write_ex(t->ssl, p, n, &written) != 1)
		broken(t, "TLS");
	flush_out(t, out);
}

void tls_goodbye(struct tls *t, struct buf *out)
{
	if (t->said_goodbye || (t->state != TLS_OPEN && t->state != TLS_CLOSED))
		return;
	t->said_goodbye = true;
	ERR_clear_error();
	SSL_shutdown(t->ssl);   /* 0: the server's is still to come */
	ERR_clear_error();
	flush_out(t, out);
}

uint64_t tls_heard(const struct tls *t)
{
	return t->heard;
}

int tls_version(const struct tls *t)
{
	return t->state == TLS_SHAKING ? 0 : SSL_version(t->ssl);
}

const char *tls_text(const struct tls *t)
{
	return t->text;
}

const char *tls_why(const struct tls *t)
{
	return t->why;
}

/* RFC 8446, 5.1: an alert record (21), legacy version 3.x, two bytes of it. */
bool tls_recognise(const uint8_t *p, size_t n)
{
	return n >= 7 && p[0] == 21 && p[1] == 3 && p[2] <= 4 && p[3] == 0 && p[4] == 2 && (p[5] == 1 || p[5] == 2);
}
