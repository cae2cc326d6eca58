/* HTTP/1.1 requests. What the user writes wins over every default. */
#include "proto/http1.h"

#include <string.h>
#include <strings.h>

/* More than any server takes; keeps a typing error from eating the memory. */
#define BODY_MAX (UINT64_C(1) << 30)

static const struct kv *user_header(const struct request *rq, const char *name)
{
	for (size_t i = 0; i < rq->n_headers; i++)
		if (rq->headers[i].key && !strcasecmp(rq->headers[i].key, name))
			return &rq->headers[i];
	return NULL;
}

static void add_default(const struct request *rq, struct buf *out, const char *name, const char *before,
			const char *value, const char *after)
{
	if (user_header(rq, name))
		return;
	buf_adds(out, name);
	buf_adds(out, ": ");
	buf_adds(out, before);
	buf_adds(out, value);
	buf_adds(out, after);
	buf_add(out, "\r\n", 2);
}

/* Field names and values may hold nothing that ends the line: a request smuggled in by a typing error
 * would make every verdict about it wrong. */
static int add_user_headers(const struct request *rq, struct buf *out, struct err *reterr)
{
	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct kv *kv = &rq->headers[i];

		if (!kv->key || !*kv->key || strpbrk(kv->key, "\r\n: \t"))
			return err_at(reterr, kv->at, "'%s' is not the name of a header field",
				      kv->key ? kv->key : "");
		if (!kv->value)
			continue;       /* the default of this name is taken away, nothing replaces it */
		if (strpbrk(kv->value, "\r\n"))
			return err_at(reterr, kv->at, "the value of header %s has a line break in it", kv->key);
		buf_adds(out, kv->key);
		buf_adds(out, ": ");
		buf_adds(out, kv->value);
		buf_add(out, "\r\n", 2);
	}
	return 0;
}

static int add_request_line(const char *line, struct buf *out, struct err *reterr)
{
	size_t method = line ? strcspn(line, " \t\r\n") : 0;
	const char *target = method ? line + method + (line[method] == ' ') : "";
	size_t len = strcspn(target, " \t\r\n");
	const char *version = target + len;

	bool versioned = !strcmp(version, " HTTP/1.1") || !strcmp(version, " HTTP/1.0");

	if (!method || !len || target == line + method || (*version && !versioned))
		return err_set(reterr, ERR_USAGE, 0,
			       "'%s' is not an HTTP/1 request: write METHOD TARGET, for example 'GET /healthz'",
			       line ? line : "");
	buf_adds(out, line);
	buf_adds(out, versioned ? "\r\n" : " HTTP/1.1\r\n");
	return 0;
}

static void add_body(const char *nonce, uint64_t n, struct buf *out)
{
	size_t start = out->n, len = (size_t)n, have = len < NONCE_LEN ? len : NONCE_LEN;

	buf_reserve(out, len);
	memcpy(out->p + start, nonce, have);
	while (have < len) {
		size_t more = have < len - have ? have : len - have;

		memcpy(out->p + start + have, out->p + start, more);
		have += more;
	}
	out->n += len;
	out->p[out->n] = '\0';
}

static bool takes_body(const char *line)
{
	return !strncmp(line, "POST ", 5) || !strncmp(line, "PUT ", 4) || !strncmp(line, "PATCH ", 6);
}

int http1_render(const struct request *rq, const char nonce[NONCE_LEN + 1], struct buf *out, struct cuts *ret,
		 struct err *reterr)
{
	size_t start = out->n;

	if (rq->body > BODY_MAX)
		return err_set(reterr, ERR_USAGE, 0, "a request body of %llu bytes: at most 1 GiB is sent",
			       (unsigned long long)rq->body);
	if (add_request_line(rq->line, out, reterr) < 0)
		goto fail;
	size_t fields = out->n;

	add_default(rq, out, "Host", "", rq->host ? rq->host : "localhost", "");
	add_default(rq, out, "User-Agent", "drainspec (", nonce, ")");
	add_default(rq, out, "X-Drainspec-Nonce", "", nonce, "");
	if (add_user_headers(rq, out, reterr) < 0)
		goto fail;
	const struct kv *coding = user_header(rq, "Transfer-Encoding");
	bool chunked = coding && coding->value && !strcasecmp(coding->value, "chunked");

	if (rq->expect_continue)
		add_default(rq, out, "Expect", "", "100-continue", "");
	if (!coding && !user_header(rq, "Content-Length") && (rq->body || takes_body(rq->line)))
		buf_printf(out, "Content-Length: %llu\r\n", (unsigned long long)rq->body);
	const char *eol = out->n > fields ? memchr(out->p + fields, '\r', out->n - fields) : NULL;

	buf_add(out, "\r\n", 2);
	struct cuts cuts = {.head_end = out->n - start};

	/* Inside the first field line; without any, between the request line and the end of the head. */
	cuts.half_header = fields - start + (eol ? (size_t)(eol - (out->p + fields)) / 2 : 0);
	if (chunked && rq->body)
		buf_printf(out, "%llx\r\n", (unsigned long long)rq->body);
	cuts.half_body = out->n - start + (size_t)rq->body / 2;
	add_body(nonce, rq->body, out);
	if (chunked)
		buf_adds(out, rq->body ? "\r\n0\r\n\r\n" : "0\r\n\r\n");
	cuts.end = out->n - start;
	*ret = cuts;
	return 0;
fail:
	out->n = start;
	if (out->p)
		out->p[start] = '\0';
	return -1;
}
