/* proto/tls.c against OpenSSL's own server, in memory: whatever the pieces, the same text; how it ends is told. */
#include <check.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "proto/tls.h"

static struct tls_ca ca;
static struct tls_ctx *ctx;
static SSL_CTX *server_ctx;
static SSL *server;
static struct tls *t;
static unsigned keys;

static void keylog(void *arg, const char *line)
{
	(void)arg;
	keys += strlen(line) > 100 && strchr(line, ' ') != NULL;
}

static int choose(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in, unsigned in_n, void *arg)
{
	(void)ssl, (void)arg, (void)in_n;
	*out = in + 1;
	*n = in[0];
	return SSL_TLSEXT_ERR_OK;
}

static void use_pem(SSL_CTX *c, const struct tls_ca *from)
{
	BIO *cert = BIO_new_mem_buf(from->cert.p, (int)from->cert.n), *key = BIO_new_mem_buf(from->key.p, (int)from->key.n);
	X509 *x = PEM_read_bio_X509(cert, NULL, NULL, NULL);
	EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);

	ck_assert_int_eq(SSL_CTX_use_certificate(c, x), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(c, k), 1);
	X509_free(x);
	EVP_PKEY_free(k);
	BIO_free(cert);
	BIO_free(key);
}

static void server_with(const struct tls_ca *cert, int version)
{
	server_ctx = SSL_CTX_new(TLS_server_method());
	use_pem(server_ctx, cert);
	SSL_CTX_set_max_proto_version(server_ctx, version);
	SSL_CTX_set_alpn_select_cb(server_ctx, choose, NULL);
	server = SSL_new(server_ctx);
	SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_accept_state(server);
}

static void setup(void)
{
	struct err err = {0};

	keys = 0;
	ck_assert_msg(tls_ca_make(&ca, &err) == 0, "%s", err.what);
	ctx = tls_ctx_new(&ca, keylog, NULL, &err);
	ck_assert_ptr_nonnull(ctx);
	t = tls_new(ctx, "http/1.1");
}

static void teardown(void)
{
	tls_free(t);
	SSL_free(server);
	SSL_CTX_free(server_ctx);
	server = NULL;
	server_ctx = NULL;
	tls_ctx_free(ctx);
	tls_ca_free(&ca);
}

/* What the server has to say, in pieces of n bytes, and the answers back. */
static void to_client(size_t n, struct buf *plain)
{
	char *p;
	long all = BIO_get_mem_data(SSL_get_wbio(server), &p);
	struct buf copy = {0};

	buf_add(&copy, p, (size_t)all);
	BIO_reset(SSL_get_wbio(server));
	for (size_t at = 0; at < copy.n; at += n) {
		struct buf out = {0};

		tls_feed(t, (uint8_t *)copy.p + at, copy.n - at < n ? copy.n - at : n, plain, &out);
		if (out.n)
			BIO_write(SSL_get_rbio(server), out.p, (int)out.n);
		buf_free(&out);
	}
	buf_free(&copy);
}

static void shake(size_t piece)
{
	struct buf out = {0}, plain = {0};

	tls_start(t, &out);
	ck_assert_uint_gt(out.n, 100);
	ck_assert_int_eq(out.p[0], 22);
	BIO_write(SSL_get_rbio(server), out.p, (int)out.n);
	buf_free(&out);
	for (int i = 0; i < 4 && tls_state(t) == TLS_SHAKING; i++) {
		SSL_do_handshake(server);
		to_client(piece, &plain);
	}
	SSL_do_handshake(server);
	ck_assert_uint_eq(plain.n, 0);
	buf_free(&plain);
}

static const size_t pieces[] = {1, 7, 1000, 100000};

START_TEST(handshake)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	int version = versions[_i / 4];

	server_with(&ca, version);
	shake(pieces[_i % 4]);
	ck_assert_msg(tls_state(t) == TLS_OPEN, "%s", tls_why(t));
	ck_assert_int_eq(tls_version(t), version);
	ck_assert_msg(strstr(tls_text(t), "ALPN http/1.1, certificate of this run's CA") != NULL, "%s", tls_text(t));
	ck_assert_uint_ge(keys, version == TLS1_3_VERSION ? 4 : 1);
	ck_assert_uint_gt(tls_heard(t), 500);
}
END_TEST

START_TEST(text_and_end)
{
	struct buf plain = {0}, out = {0};
	char *big = malloc(300000), back[64];

	server_with(&ca, TLS1_3_VERSION);
	shake(100000);
	memset(big, 'x', 300000);
	tls_write(t, "GET /", 5, &out);
	ck_assert_uint_ge(out.n, 5 + 22);
	BIO_write(SSL_get_rbio(server), out.p, (int)out.n);
	ck_assert_int_eq(SSL_read(server, back, sizeof back), 5);
	SSL_write(server, big, 300000);
	SSL_shutdown(server);
	to_client(pieces[_i], &plain);
	ck_assert_uint_eq(plain.n, 300000);
	ck_assert(!memcmp(plain.p, big, plain.n));
	ck_assert_int_eq(tls_state(t), TLS_CLOSED);
	buf_clear(&out);
	tls_goodbye(t, &out);
	ck_assert_uint_eq(out.n, 24);
	tls_goodbye(t, &out);
	tls_write(t, "x", 1, &out);
	ck_assert_uint_eq(out.n, 24);
	buf_free(&out);
	buf_free(&plain);
	free(big);
}
END_TEST

/* One bit of a record is turned over: not a byte of it comes through. */
START_TEST(wrong_record)
{
	struct buf plain = {0}, out = {0};
	char *p;

	server_with(&ca, TLS1_3_VERSION);
	shake(100000);
	SSL_write(server, "whole answer", 12);
	long n = BIO_get_mem_data(SSL_get_wbio(server), &p);

	p[n - 1] ^= 1;
	to_client(100000, &plain);
	ck_assert_int_eq(tls_state(t), TLS_BROKEN);
	ck_assert_uint_eq(plain.n, 0);
	ck_assert_msg(strstr(tls_why(t), "bad record mac") != NULL, "%s", tls_why(t));
	buf_free(&plain);
	buf_free(&out);
}
END_TEST

START_TEST(not_tls)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	struct buf plain = {0}, out = {0};

	tls_start(t, &out);
	tls_feed(t, (const uint8_t *)http, sizeof http - 1, &plain, &out);
	ck_assert_int_eq(tls_state(t), TLS_BROKEN);
	ck_assert_msg(strstr(tls_why(t), "TLS handshake: ") == tls_why(t) && strlen(tls_why(t)) > 20, "%s", tls_why(t));
	ck_assert_uint_eq(plain.n, 0);
	buf_free(&plain);
	buf_free(&out);
}
END_TEST

/* Somebody else's certificate is taken and said to be unverified. */
START_TEST(certificate_of_another)
{
	struct tls_ca other;
	struct err err = {0};

	ck_assert_int_eq(tls_ca_make(&other, &err), 0);
	server_with(&other, TLS1_3_VERSION);
	shake(100000);
	ck_assert_int_eq(tls_state(t), TLS_OPEN);
	ck_assert_msg(strstr(tls_text(t), "a certificate of its own, not verified") != NULL, "%s", tls_text(t));
	tls_ca_free(&other);
}
END_TEST

START_TEST(recognised)
{
	static const uint8_t alert[] = {21, 3, 1, 0, 2, 2, 80}, half[] = {21, 3, 1, 0, 2}, hello[] = {22, 3, 1, 0, 2, 2, 80};

	ck_assert(tls_recognise(alert, sizeof alert));
	ck_assert(!tls_recognise(half, sizeof half));
	ck_assert(!tls_recognise(hello, sizeof hello));
	ck_assert(!tls_recognise((const uint8_t *)"HTTP/1.1 400", 12));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls");
	TCase *c = tcase_create("tls");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, handshake, 0, 8);
	tcase_add_loop_test(c, text_and_end, 0, 4);
	tcase_add_test(c, wrong_record);
	tcase_add_test(c, not_tls);
	tcase_add_test(c, certificate_of_another);
	tcase_add_test(c, recognised);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);

	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
