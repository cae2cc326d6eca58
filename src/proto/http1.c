/* HTTP/1.x: the answer reader behind the head. By hand: where exactly an answer was cut is what we exist for. */
#include "proto/http1.h"

#include <string.h>

#include "proto/body.h"

static void http1_start(void *state, const struct request *rq, const char nonce[NONCE_LEN + 1], struct answer *an)
{
	struct http1 *st = state;

	*st = (struct http1){.length = -1, .flags = H1_FIRST};
	if (rq->line && !strncmp(rq->line, "HEAD ", 5))
		st->flags |= H1_IS_HEAD;
	else if (rq->line && !strncmp(rq->line, "CONNECT ", 8))
		st->flags |= H1_IS_CONNECT;
	memcpy(st->nonce, nonce, NONCE_LEN);
	*an = (struct answer){.echo_bad_at = -1, .hash = FNV1A_START};
}

/* Events end with a blank line: do the bytes so far? Only the last four can say. */
static void take_events(struct http1 *st, const uint8_t *p, size_t n)
{
	if (n > 4) {
		p += n - 4;
		n = 4;
		st->after_cr = false;
	}
	for (size_t i = 0; i < n; i++) {
		bool pair = p[i] == '\n' && st->after_cr, end = p[i] == '\n' || p[i] == '\r';

		if (!end)
			st->ends = 0;
		else if (!pair && st->ends < 2)
			st->ends++;
		st->after_cr = p[i] == '\r';
	}
}

/* A stream of events that does not end between two of them. */
static void look_at_end(const struct http1 *st, struct answer *an)
{
	if (st->flags & H1_EVENTS && an->body && st->ends < 2)
		an->note = "its last event is cut";
}

static size_t take_body(struct http1 *st, const uint8_t *p, size_t n, struct answer *an)
{
	if (st->step != H1_UNTIL_CLOSE && n > st->left)
		n = (size_t)st->left;
	/* Bytes that are checked one by one need no hash, and big answers are mostly these. */
	if (an->echo && an->echo_bad_at < 0) {
		size_t good = echo_check(st->nonce, an->body, p, n);

		if (good < n)
			an->echo_bad_at = (int64_t)(an->body + good);
	} else if (!an->echo) {
		an->hash = fnv1a(an->hash, p, n);
	}
	an->body += n;
	if (st->flags & H1_EVENTS)
		take_events(st, p, n);
	if (st->step == H1_UNTIL_CLOSE)
		return n;
	st->left -= n;
	if (!st->left && st->step == H1_BODY)
		an->state = ANSWER_DONE;
	else if (!st->left)
		st->step = H1_DATA_CR;
	return n;
}

static int hex_digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

static void size_byte(struct http1 *st, uint8_t c, struct answer *an)
{
	int digit = hex_digit(c);

	if (digit < 0 && !st->n) {
		http1_bad(an, "chunk size is not a hexadecimal number (RFC 9112 7.1)");
	} else if (digit < 0) {
		st->step = c == '\r' ? H1_CHUNK_LF : H1_CHUNK_EXT;
		if (c != '\r' && c != ';' && c != ' ' && c != '\t')
			http1_bad(an, c == '\n' ? "chunk line ends without CR (RFC 9112 7.1)" :
				      "chunk size is not a hexadecimal number (RFC 9112 7.1)");
	} else if (st->n == 16 || st->number > INT64_MAX >> 4) {
		http1_bad(an, "chunk size is overlong (RFC 9112 7.1)");
	} else {
		st->number = st->number << 4 | (uint64_t)digit;
		st->n++;
	}
}

/* The size line of a chunk is complete. */
static void chunk_begin(struct http1 *st)
{
	st->left = st->number;
	st->step = H1_CHUNK_DATA;
	if (!st->left) {
		st->flags |= H1_TRAILER | H1_FIRST;
		st->step = H1_LINE_START;
	}
	st->number = 0;
	st->n = 0;
	st->chunk_line = 0;
}

/* Chunk framing. RFC 9112 2.2 lets a lone LF pass in heads only, so here it is an error. */
static void chunk_byte(struct http1 *st, uint8_t c, struct answer *an)
{
	if (++st->chunk_line > HTTP1_CHUNK_LINE_MAX) {
		http1_bad(an, "chunk extension longer than 4 KiB (our limit; RFC 9112 7.1.1)");
	} else if (st->step == H1_CHUNK_SIZE) {
		size_byte(st, c, an);
	} else if (st->step == H1_CHUNK_EXT) {
		if (c == '\n')
			http1_bad(an, "chunk line ends without CR (RFC 9112 7.1)");
		else if (c == '\r')
			st->step = H1_CHUNK_LF;
	} else if (st->step == H1_CHUNK_LF) {
		if (c != '\n')
			http1_bad(an, "CR without LF in a chunk line (RFC 9112 7.1)");
		else
			chunk_begin(st);
	} else if (c != (st->step == H1_DATA_CR ? '\r' : '\n')) {
		http1_bad(an, "no CRLF where a chunk's size says that it ends (RFC 9112 7.1)");
	} else {
		st->step = st->step == H1_DATA_CR ? H1_DATA_LF : H1_CHUNK_SIZE;
	}
}

static size_t http1_feed(void *state, const uint8_t *p, size_t n, struct answer *an, struct buf *reply)
{
	struct http1 *st = state;
	size_t used = 0;

	(void)reply;
	while (used < n && an->state != ANSWER_DONE && an->state != ANSWER_BAD) {
		if (st->step < H1_BODY)
			http1_head_byte(st, p[used++], an);
		else if (st->step == H1_BODY || st->step == H1_CHUNK_DATA || st->step == H1_UNTIL_CLOSE)
			used += take_body(st, p + used, n - used, an);
		else
			chunk_byte(st, p[used++], an);
	}
	an->bytes += used;
	if (an->state == ANSWER_DONE)
		look_at_end(st, an);
	return used;
}

static void http1_eof(void *state, struct answer *an)
{
	if (an->state == ANSWER_BODY)
		look_at_end(state, an);
	if (an->state == ANSWER_BODY && an->until_close)
		an->state = ANSWER_DONE;
}

static bool http1_recognise(const uint8_t *p, size_t n)
{
	return n >= 7 && !memcmp(p, "HTTP/1.", 7);
}

const struct proto proto_http1 = {
	.name = "http1",
	.alpn = "http/1.1",
	.help = "HTTP/1.0 and HTTP/1.1; request: METHOD TARGET",
	.state_size = sizeof(struct http1),
	.has_heads = true,
	.pipelines = true,
	.probe = "GET /",
	.render = http1_render,
	.start = http1_start,
	.feed = http1_feed,
	.eof = http1_eof,
	.recognise = http1_recognise,
};
