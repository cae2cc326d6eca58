/* Heads of HTTP/2 requests. What the user writes wins over every default, as in http1_render.c. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/http2.h"

#define H2_TEXT_MAX (16 * 1024)
/* More than any server takes; keeps a typing error from eating the memory. */
#define H2_BODY_MAX (UINT64_C(1) << 30)

static const char *keep(struct h2_head *h, const char *s, size_t n, bool lower)
{
	if (!h->text.p)
		buf_reserve(&h->text, H2_TEXT_MAX);
	char *at = h->text.p + h->text.n;

	buf_add(&h->text, s, n);
	buf_addc(&h->text, '\0');
	for (size_t i = 0; lower && i < n; i++)
		if (at[i] >= 'A' && at[i] <= 'Z')
			at[i] = (char)(at[i] | 0x20);
	return at;
}

static int add(struct h2_head *h, const char *name, size_t nl, const char *value, size_t vl, struct err *reterr)
{
	if (h->n == H2_MAX_FIELDS || h->text.n + nl + vl + 2 > H2_TEXT_MAX - 256)
		return err_set(reterr, ERR_USAGE, 0, "a head of more than %d fields or %d bytes", H2_MAX_FIELDS,
			       H2_TEXT_MAX);
	const char *n = keep(h, name, nl, true), *v = keep(h, value, vl, false);

	h->v[h->n++] = (nghttp2_nv){.name = (uint8_t *)n, .namelen = nl, .value = (uint8_t *)v, .valuelen = vl};
	return 0;
}

int h2_add(struct h2_head *h, const char *name, const char *value, struct err *reterr)
{
	return add(h, name, strlen(name), value, strlen(value), reterr);
}

/* Fields that speak of a connection have no place here (RFC 9113 8.2.2). */
static bool of_connection(const char *name)
{
	static const char *const names[] = {"Connection", "Transfer-Encoding", "Keep-Alive", "Upgrade", "Proxy-Connection"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcasecmp(name, names[i]))
			return true;
	return false;
}

static int h2_add_user(struct h2_head *h, const struct request *rq, struct err *reterr)
{
	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct kv *kv = &rq->headers[i];

		if (!kv->key || !*kv->key || strpbrk(kv->key, "\r\n: \t"))
			return err_at(reterr, kv->at, "'%s' is not the name of a header field", kv->key ? kv->key : "");
		if (of_connection(kv->key))
			return err_at(reterr, kv->at, "HTTP/2 has no header field '%s': a stream is not a connection",
				      kv->key);
		if (kv->value && strpbrk(kv->value, "\r\n"))
			return err_at(reterr, kv->at, "the value of header %s has a line break in it", kv->key);
		if (kv->value && strcasecmp(kv->key, "Host") && h2_add(h, kv->key, kv->value, reterr) < 0)
			return -1;
	}
	return 0;
}

static bool user_has(const struct request *rq, const char *name)
{
	for (size_t i = 0; i < rq->n_headers; i++)
		if (rq->headers[i].key && !strcasecmp(rq->headers[i].key, name))
			return true;
	return false;
}

static bool takes_body(const char *line)
{
	return !strncmp(line, "POST ", 5) || !strncmp(line, "PUT ", 4) || !strncmp(line, "PATCH ", 6);
}

static int pseudo(const struct request *rq, struct h2_head *h, const char *method, size_t nm, const char *path, size_t np,
		  struct err *reterr)
{
	const char *authority = rq->host ? rq->host : "localhost";

	for (size_t i = 0; i < rq->n_headers; i++)
		if (rq->headers[i].key && rq->headers[i].value && !strcasecmp(rq->headers[i].key, "Host"))
			authority = rq->headers[i].value;
	return add(h, ":method", 7, method, nm, reterr) < 0 || h2_add(h, ":scheme", "http", reterr) < 0 ||
	       h2_add(h, ":authority", authority, reterr) < 0 || add(h, ":path", 5, path, np, reterr) < 0 ? -1 : 0;
}

int h2_pseudo(const struct request *rq, struct h2_head *h, const char *method, const char *path, struct err *reterr)
{
	return pseudo(rq, h, method, strlen(method), path, strlen(path), reterr);
}

int h2_defaults(const struct request *rq, const char *nonce, struct h2_head *h, struct err *reterr)
{
	char text[64];

	snprintf(text, sizeof text, "drainspec (%.*s)", NONCE_LEN, nonce);
	if ((!user_has(rq, "User-Agent") && h2_add(h, "user-agent", text, reterr) < 0) ||
	    (!user_has(rq, "X-Drainspec-Nonce") && h2_add(h, "x-drainspec-nonce", nonce, reterr) < 0))
		return -1;
	return h2_add_user(h, rq, reterr);
}

int http2_head(const struct request *rq, const char *nonce, struct h2_head *h, struct err *reterr)
{
	const char *line = rq->line ? rq->line : "";
	size_t method = strcspn(line, " \t\r\n");
	const char *target = line + method + (line[method] == ' ');
	size_t len = strcspn(target, " \t\r\n");
	char number[24];

	if (!method || !len || target == line + method || target[len])
		return err_set(reterr, ERR_USAGE, 0,
			       "'%s' is not an HTTP/2 request: write METHOD TARGET, for example 'GET /healthz'", line);
	if (rq->body > H2_BODY_MAX)
		return err_set(reterr, ERR_USAGE, 0, "a request body of %llu bytes: at most 1 GiB is sent",
			       (unsigned long long)rq->body);
	if (pseudo(rq, h, line, method, target, len, reterr) < 0)
		return -1;
	snprintf(number, sizeof number, "%llu", (unsigned long long)rq->body);
	if ((rq->expect_continue && h2_add(h, "expect", "100-continue", reterr) < 0) ||
	    (!user_has(rq, "Content-Length") && (rq->body || takes_body(line)) &&
	     h2_add(h, "content-length", number, reterr) < 0))
		return -1;
	return h2_defaults(rq, nonce, h, reterr);
}
