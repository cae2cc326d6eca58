/* A client of ours and nghttp2's server, bytes going between them in any pieces. */
#pragma once
#include <check.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mux.h"

#define NONCE "0123456789abcdef"
#define FRAME(text) (const uint8_t *)(text), sizeof(text) - 1

/* ---- the client and what it is told ---- */

static struct client {
	const struct proto *proto;
	struct mux_session *s;
	struct answer an[4];
	_Alignas(8) uint8_t st[4][128];
	struct request rq;
	uint32_t max_streams, settings, sent, resets, code, goaways, above, pongs;
	int32_t last;
	uint64_t sent_bytes, pong;
	const char *broken;
	int race;               /* stream to open when a GOAWAY begins, -1: none */
} c;

/* ---- the server ---- */

static nghttp2_session *server;
static struct seen {
	int32_t id;
	char path[128];
	size_t body;
	bool ended;
} seen[8];
static unsigned n_seen;

static inline struct mux_stream *stream(unsigned i)
{
	return (struct mux_stream *)c.st[i];
}

static inline int submit(unsigned i, uint64_t upto)
{
	struct err err;

	memset(c.st[i], 0, sizeof c.st[i]);
	stream(i)->an = &c.an[i];
	return c.proto->mux->submit(c.s, stream(i), &c.rq, NONCE, upto, &err);
}

static inline void on_settings(void *arg, uint32_t max)
{
	(void)arg;
	c.settings++;
	c.max_streams = max;
}

static inline void on_pong(void *arg, uint64_t number)
{
	(void)arg;
	c.pongs++;
	c.pong = number;
}

static inline void on_goaway_begins(void *arg)
{
	(void)arg;
	if (c.race >= 0)
		ck_assert_int_eq(submit((unsigned)c.race, MUX_WHOLE), 0);
}

static inline void on_goaway(void *arg, int32_t last, uint32_t code, const char *text)
{
	(void)arg, (void)text;
	c.goaways++;
	c.last = last;
	c.code = code;
}

static inline void on_above(void *arg, int32_t id)
{
	(void)arg, (void)id;
	c.above++;
}

static inline void on_sent(void *arg, struct mux_stream *st, uint64_t bytes)
{
	(void)arg, (void)st;
	c.sent++;
	c.sent_bytes = bytes;
}

static inline void on_progress(void *arg, struct mux_stream *st)
{
	(void)arg, (void)st;
}

static inline void on_reset(void *arg, struct mux_stream *st, uint32_t code)
{
	(void)arg, (void)st;
	c.resets++;
	c.code = code;
}

static inline void on_broken(void *arg, const char *why)
{
	(void)arg;
	ck_assert_ptr_null(c.broken);
	c.broken = why;
}

static const struct mux_host host = {
	.settings = on_settings, .pong = on_pong, .goaway_begins = on_goaway_begins, .goaway = on_goaway, .above = on_above,
	.sent = on_sent, .progress = on_progress, .reset = on_reset, .broken = on_broken,
};

static inline struct seen *seen_of(int32_t id)
{
	for (unsigned i = 0; i < n_seen; i++)
		if (seen[i].id == id)
			return &seen[i];
	ck_assert_uint_lt(n_seen, 8);
	seen[n_seen].id = id;
	return &seen[n_seen++];
}

static inline int s_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name, size_t nl, const uint8_t *value, size_t vl,
		    uint8_t flags, void *arg)
{
	(void)ng, (void)flags, (void)arg, (void)nl;
	if (!strcmp((const char *)name, ":path"))
		memcpy(seen_of(f->hd.stream_id)->path, value, vl);
	return 0;
}

static inline int s_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	(void)ng, (void)flags, (void)p, (void)arg;
	seen_of(id)->body += n;
	return 0;
}

static inline int s_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	(void)ng, (void)arg;
	if (f->hd.stream_id && f->hd.flags & NGHTTP2_FLAG_END_STREAM && (f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS))
		seen_of(f->hd.stream_id)->ended = true;
	return 0;
}

static inline void start(const char *protocol, bool slow)
{
	nghttp2_session_callbacks *cb;

	memset(&c, 0, sizeof c);
	memset(seen, 0, sizeof seen);
	n_seen = 0;
	c.race = -1;
	c.last = -1;
	c.proto = proto_by_name(protocol);
	c.rq = (struct request){.line = "GET /x", .host = "127.0.0.1:1"};
	c.s = c.proto->mux->open(&host, &c, slow);
	ck_assert_int_eq(nghttp2_session_callbacks_new(&cb), 0);
	nghttp2_session_callbacks_set_on_header_callback(cb, s_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, s_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, s_frame);
	nghttp2_session_server_new(&server, cb, NULL);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(server, NGHTTP2_FLAG_NONE, NULL, 0);
}

static inline void end(void)
{
	c.proto->mux->close(c.s);
	nghttp2_session_del(server);
}

/* Both ends talk until they have nothing to say; what the server says comes in pieces of so many bytes. */
static inline void talk_in(size_t piece)
{
	for (bool more = true; more;) {
		struct buf out = {0};
		const uint8_t *p;
		ssize_t n;

		c.proto->mux->output(c.s, &out);
		more = out.n > 0;
		if (out.n)
			ck_assert_int_eq(nghttp2_session_mem_recv(server, (uint8_t *)out.p, out.n), (ssize_t)out.n);
		buf_free(&out);
		while ((n = nghttp2_session_mem_send(server, &p)) > 0) {
			more = true;
			for (size_t at = 0, k; at < (size_t)n; at += k) {
				k = (size_t)n - at < piece ? (size_t)n - at : piece;

				uint8_t *copy = malloc(k);      /* of its own, so that ASan sees a read beyond it */

				memcpy(copy, p + at, k);
				c.proto->mux->feed(c.s, copy, k);
				free(copy);
			}
		}
	}
}

static inline void talk(void)
{
	talk_in(SIZE_MAX);
}

struct body {
	const char *text;
	size_t at;
	bool trailers;
};

static inline ssize_t body_of(nghttp2_session *ng, int32_t id, uint8_t *out, size_t n, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct body *b = source->ptr;
	size_t left = strlen(b->text) - b->at;

	(void)ng, (void)id, (void)arg;
	n = n < left ? n : left;
	memcpy(out, b->text + b->at, n);
	b->at += n;
	if (b->at == strlen(b->text))
		*flags |= NGHTTP2_DATA_FLAG_EOF | (b->trailers ? NGHTTP2_DATA_FLAG_NO_END_STREAM : 0);
	return (ssize_t)n;
}

#define NV(n, v) {(uint8_t *)(n), (uint8_t *)(v), sizeof(n) - 1, strlen(v), NGHTTP2_NV_FLAG_NONE}

static inline void answer(int32_t id, const char *status, const char *length, const char *nonce, struct body *b)
{
	nghttp2_nv nv[] = {NV(":status", status), NV("content-length", length), NV("x-drainspec-nonce", nonce)};
	nghttp2_data_provider data = {.source.ptr = b, .read_callback = body_of};

	ck_assert_int_eq(nghttp2_submit_response(server, id, nv, 3, b ? &data : NULL), 0);
}

/* A text with its length, the NULs in it counted. */
#define SIZED(text) text, sizeof(text) - 1
