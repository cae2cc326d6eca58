/* What an HTTP/2 server sends: any input is safe, and however it is split the result is the same.
 * Input: one byte chooses protocol and request, one seeds the splits, the rest is what the server sent. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mux.h"

#define NONCE "0123456789abcdef"

struct seen {
	struct answer an[2];
	_Alignas(8) uint8_t st[2][128];
	struct mux_session *s;
	unsigned settings, resets, goaways, above, pongs, broken;
	bool closes;            /* the host closes the session at the first reset */
	bool closed;
};

static void on_settings(void *arg, uint32_t max)
{
	(void)max;
	((struct seen *)arg)->settings++;
}

static void on_pong(void *arg, uint64_t number)
{
	(void)number;
	((struct seen *)arg)->pongs++;
}

static void on_goaway_begins(void *arg)
{
	(void)arg;
}

static void on_goaway(void *arg, int32_t last, uint32_t code, const char *text)
{
	(void)last, (void)code;
	if (strlen(text) > 64)
		abort();
	((struct seen *)arg)->goaways++;
}

static void on_above(void *arg, int32_t id)
{
	(void)id;
	((struct seen *)arg)->above++;
}

static void on_sent(void *arg, struct mux_stream *st, uint64_t bytes)
{
	(void)arg, (void)st, (void)bytes;
}

static void on_progress(void *arg, struct mux_stream *st)
{
	(void)arg;
	if ((st->an->state == ANSWER_BAD) != (st->an->bad != NULL))
		abort();
}

static void on_reset(void *arg, struct mux_stream *st, uint32_t code)
{
	struct seen *seen = arg;

	(void)st, (void)code;
	seen->resets++;
	if (seen->closes && !seen->closed) {
		seen->closed = true;
		proto_by_name("http2")->mux->close(seen->s);
	}
}

static void on_broken(void *arg, const char *why)
{
	if (!why)
		abort();
	if (++((struct seen *)arg)->broken > 1)
		abort();
}

static const struct mux_host host = {
	.settings = on_settings, .pong = on_pong, .goaway_begins = on_goaway_begins, .goaway = on_goaway, .above = on_above,
	.sent = on_sent, .progress = on_progress, .reset = on_reset, .broken = on_broken,
};

static void run(const uint8_t *p, size_t n, uint8_t how, uint32_t seed, struct seen *seen)
{
	const struct proto *proto = proto_by_name(how & 1 ? "grpc" : "http2");
	struct request rq = {.line = how & 1 ? "grpc a.B/C" : how & 2 ? "HEAD /" : "GET /", .host = "h",
		.msg = how & 1 ? (const uint8_t *)"\0\0\0\0" : NULL, .n_msg = how & 1 ? 5 : 0};
	struct buf out = {0};
	struct err err;

	memset(seen, 0, sizeof *seen);
	seen->closes = how & 8;
	seen->s = proto->mux->open(&host, seen, how & 4);
	for (unsigned i = 0; i < 2; i++) {
		struct mux_stream *st = (struct mux_stream *)seen->st[i];

		st->an = &seen->an[i];
		if (proto->mux->submit(seen->s, st, &rq, NONCE, MUX_WHOLE, &err) < 0)
			abort();
	}
	proto->mux->output(seen->s, &out);
	for (size_t at = 0, len; at < n && !seen->closed; at += len) {
		len = n - at;
		if (seed) {
			seed = seed * 1664525 + 1013904223;
			len = 1 + (seed >> 16) % (seed & 0x8000 ? 3 : 40);
			len = len < n - at ? len : n - at;
		}
		uint8_t *piece = malloc(len);   /* of its own, so that ASan sees a read beyond it */

		memcpy(piece, p + at, len);
		proto->mux->feed(seen->s, piece, len);
		free(piece);
	}
	if (!seen->closed) {
		buf_clear(&out);
		proto->mux->output(seen->s, &out);
		proto->mux->close(seen->s);
	}
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct seen whole, split;

	if (n < 2)
		return 0;
	run(p + 2, n - 2, p[0], 0, &whole);
	run(p + 2, n - 2, p[0], (uint32_t)p[0] << 8 | p[1] | 0x10000, &split);
	if (whole.settings != split.settings || whole.resets != split.resets || whole.goaways != split.goaways ||
	    whole.above != split.above || whole.pongs != split.pongs || whole.broken != split.broken)
		abort();
	for (unsigned i = 0; i < 2; i++) {
		const struct answer *a = &whole.an[i], *b = &split.an[i];

		if (a->state != b->state || a->status != b->status || a->body != b->body || a->hash != b->hash ||
		    a->length != b->length || a->grpc != b->grpc || a->messages != b->messages)
			abort();
		if (a->state == ANSWER_DONE && a->length >= 0 && !(p[0] & 3) && a->body != (uint64_t)a->length)
			abort();
	}
	return 0;
}
