/* HTTP/2: sessions and streams on nghttp2, which does HPACK, flow control and the settings. */
#include "proto/http2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/body.h"

#define H2_WINDOW (1 << 20)
#define H2_SESSION_WINDOW (1 << 24)

struct h2_stream *h2_stream(struct mux_session *s, int32_t id)
{
	struct h2_stream *st = nghttp2_session_get_stream_user_data(s->ng, id);

	/* its owner may have gone on to the next stream */
	return st && st->m.id == id ? st : NULL;
}

void h2_enter(struct mux_session *s)
{
	s->busy++;
}

void h2_leave(struct mux_session *s)
{
	if (--s->busy || !s->doomed)
		return;
	nghttp2_session_del(s->ng);
	buf_free(&s->held);
	buf_free(&s->pongs);
	free(s);
}

/* ---- what goes out ---- */

static ssize_t read_body(nghttp2_session *ng, int32_t id, uint8_t *out, size_t n, uint32_t *flags,
			 nghttp2_data_source *source, void *arg)
{
	struct h2_stream *st = source->ptr;
	uint64_t most = st->upto < st->body ? st->upto : st->body;

	(void)ng, (void)id, (void)arg;
	if (st->at == most && st->upto != MUX_WHOLE) {
		st->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	if (n > most - st->at)
		n = (size_t)(most - st->at);
	for (size_t i = 0; i < n; i++)
		out[i] = st->msg ? st->msg[st->at + i] : (uint8_t)st->nonce[(st->at + i) % NONCE_LEN];
	st->at += n;
	if (st->at == st->body && st->upto == MUX_WHOLE)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

/* All that may go of this one has gone. */
static int on_sent(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct mux_session *s = arg;
	struct h2_stream *st = f->hd.stream_id ? h2_stream(s, f->hd.stream_id) : NULL;

	(void)ng;
	if (f->hd.type == NGHTTP2_GOAWAY && f->goaway.error_code && !s->broken) {
		/* nghttp2 ends the connection, for what came is against the protocol: it says why to the server */
		snprintf(s->why, sizeof s->why, "%s: %.*s", nghttp2_http2_strerror(f->goaway.error_code),
			 (int)f->goaway.opaque_data_len, f->goaway.opaque_data ? (const char *)f->goaway.opaque_data : "");
		s->broken = true;
		s->host->broken(s->arg, s->why);
	}
	if (!st || (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA) || s->cut == f->hd.stream_id)
		return 0;
	if (f->hd.flags & NGHTTP2_FLAG_END_STREAM || (st->upto != MUX_WHOLE && st->at == st->upto))
		s->host->sent(s->arg, &st->m, st->head_n + st->at);
	return 0;
}

/* The HEADERS frame at p (n bytes of payload) becomes HEADERS without END_HEADERS and CONTINUATION; the second waits. */
static void cut_head(struct mux_session *s, const uint8_t *p, size_t n, struct buf *out)
{
	size_t half = n / 2, rest = n - half;
	uint8_t first[H2_FRAME_HEADER], second[H2_FRAME_HEADER] = {(uint8_t)(rest >> 16), (uint8_t)(rest >> 8), (uint8_t)rest,
		NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS};

	memcpy(first, p, sizeof first);
	first[0] = (uint8_t)(half >> 16);
	first[1] = (uint8_t)(half >> 8);
	first[2] = (uint8_t)half;
	first[4] &= (uint8_t)~NGHTTP2_FLAG_END_HEADERS;
	memcpy(second + 5, p + 5, 4);
	buf_add(out, first, sizeof first);
	buf_add(out, p + H2_FRAME_HEADER, half);
	buf_add(&s->held, second, sizeof second);
	buf_add(&s->held, p + H2_FRAME_HEADER + half, rest);
	s->holding = true;
}

static void put(struct mux_session *s, const uint8_t *p, size_t n, struct buf *out)
{
	if (s->holding) {
		buf_add(&s->held, p, n);
		return;
	}
	size_t len = n >= H2_FRAME_HEADER ? (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2] : 0;
	int32_t id = n >= H2_FRAME_HEADER ? (int32_t)((uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8]) : 0;

	if (!s->cut || p[3] != NGHTTP2_HEADERS || id != s->cut || len + H2_FRAME_HEADER > n) {
		buf_add(out, p, n);
		return;
	}
	struct h2_stream *st = h2_stream(s, id);

	cut_head(s, p, len, out);
	s->cut = 0;
	if (len + H2_FRAME_HEADER < n)
		put(s, p + H2_FRAME_HEADER + len, n - H2_FRAME_HEADER - len, out);
	s->held_of = st;
	if (st)
		s->host->sent(s->arg, &st->m, len / 2);
}

static void h2_output(struct mux_session *s, struct buf *out)
{
	const uint8_t *p;
	ssize_t n;

	h2_enter(s);
	if (!s->holding && s->held.n) {
		buf_add(out, s->held.p, s->held.n);
		buf_free(&s->held);
		if (s->held_of)
			s->host->sent(s->arg, &s->held_of->m, s->held_of->head_n);
	}
	if (!s->holding && s->pongs.n) {
		buf_add(out, s->pongs.p, s->pongs.n);
		buf_free(&s->pongs);
	}
	while (!s->doomed && (n = nghttp2_session_mem_send(s->ng, &p)) > 0)
		put(s, p, (size_t)n, out);
	h2_leave(s);
}

/* ---- the session ---- */

static nghttp2_session *session_new(struct mux_session *s)
{
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	nghttp2_session *ng = NULL;

	if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
		abort();
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, h2_on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, h2_on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_on_data);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, h2_on_invalid);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	/* heads and lengths are judged here, not refused there: a cut answer must not look like a protocol error */
	nghttp2_option_set_no_http_messaging(opt, 1);
	nghttp2_option_set_peer_max_concurrent_streams(opt, 100000);
	if (s->slow)
		nghttp2_option_set_no_auto_window_update(opt, 1);
	if (nghttp2_session_client_new2(&ng, cb, s, opt))
		abort();
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
	return ng;
}

struct mux_session *h2_open(const struct mux_host *host, void *arg, bool slow, bool grpc)
{
	struct mux_session *s = calloc(1, sizeof *s);
	nghttp2_settings_entry set[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW},
	};

	if (!s)
		abort();        /* as every allocation here */
	*s = (struct mux_session){.host = host, .arg = arg, .slow = slow, .grpc = grpc, .last = -1};
	s->ng = session_new(s);
	/* slow readers leave the windows at the 65,535 bytes of RFC 9113 6.9.2 */
	nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, set, slow ? 1 : 2);
	if (!slow)
		nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0, H2_SESSION_WINDOW);
	return s;
}

static void h2_close(struct mux_session *s)
{
	h2_enter(s);
	s->doomed = true;
	h2_leave(s);
}

static int h2_submit(struct mux_session *s, struct mux_stream *m, const struct request *rq,
		     const char nonce[NONCE_LEN + 1], uint64_t upto, struct err *reterr)
{
	struct h2_stream *st = (struct h2_stream *)m;
	nghttp2_data_provider body = {.source.ptr = st, .read_callback = read_body};
	struct h2_head h = {0};
	int rc = s->grpc ? grpc_head(rq, nonce, &h, reterr) : http2_head(rq, nonce, &h, reterr);

	if (rc < 0)
		goto out;
	memcpy(st->nonce, nonce, NONCE_LEN);
	*m->an = (struct answer){.echo_bad_at = -1, .hash = FNV1A_START, .length = -1};
	st->grpc_status = -1;
	st->grpc = s->grpc;
	st->msg = rq->msg;
	st->body = s->grpc ? rq->n_msg : rq->body;
	st->no_body = !s->grpc && !strncmp(rq->line, "HEAD ", 5);
	st->upto = upto == MUX_HALF_HEAD ? MUX_WHOLE : upto;
	for (size_t i = 0; i < h.n; i++)
		st->head_n += (uint32_t)(h.v[i].namelen + h.v[i].valuelen);
	m->id = nghttp2_submit_request(s->ng, NULL, h.v, h.n, 
				       st->body || st->upto != MUX_WHOLE || s->grpc ? &body : NULL, st);
	if (m->id < 0)
		rc = err_set(reterr, ERR_HARNESS, 0, "nghttp2 takes no request: %s", nghttp2_strerror(m->id));
	else if (upto == MUX_HALF_HEAD)
		s->cut = m->id;
out:
	buf_free(&h.text);
	return rc;
}

static void h2_send(struct mux_session *s, struct mux_stream *m, uint64_t upto)
{
	struct h2_stream *st = (struct h2_stream *)m;

	st->upto = upto;
	s->cut = 0;
	s->holding = false;
	if (st->deferred) {
		st->deferred = false;
		nghttp2_session_resume_data(s->ng, m->id);
	}
}

static void h2_ping(struct mux_session *s, uint64_t number)
{
	uint8_t data[8];

	memcpy(data, &number, sizeof data);
	nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, data);
}

static void h2_read_on(struct mux_session *s, struct mux_stream *m)
{
	struct h2_stream *st = (struct h2_stream *)m;
	int32_t n = nghttp2_session_get_stream_effective_recv_data_length(s->ng, m->id);

	st->reading = true;
	if (s->slow && n > 0)
		nghttp2_session_consume(s->ng, m->id, (size_t)n);
}

static bool h2_shut(struct mux_session *s, const struct mux_stream *m)
{
	int32_t n = nghttp2_session_get_stream_effective_recv_data_length(s->ng, m->id);

	return (n > 0 && n >= nghttp2_session_get_stream_effective_local_window_size(s->ng, m->id)) ||
	       nghttp2_session_get_effective_recv_data_length(s->ng) >=
		       nghttp2_session_get_effective_local_window_size(s->ng);
}

static struct mux_session *http2_open(const struct mux_host *host, void *arg, bool slow)
{
	return h2_open(host, arg, slow, false);
}

/* The server's first frame: SETTINGS of stream 0, which a preface is answered with; some send it before. */
static bool http2_recognise(const uint8_t *p, size_t n)
{
	return n >= H2_FRAME_HEADER && !p[0] && p[3] == NGHTTP2_SETTINGS && !p[4] && !(p[5] | p[6] | p[7] | p[8]) &&
	       (p[1] << 8 | p[2]) % 6 == 0;
}

static const struct mux http2_mux = {
	.open = http2_open, .close = h2_close, .submit = h2_submit, .send = h2_send, .ping = h2_ping,
	.read_on = h2_read_on, .shut = h2_shut, .feed = h2_feed, .output = h2_output, .code = nghttp2_http2_strerror,
};

static struct mux_session *grpc_open(const struct mux_host *host, void *arg, bool slow)
{
	return h2_open(host, arg, slow, true);
}

static const struct mux grpc_mux = {
	.open = grpc_open, .close = h2_close, .submit = h2_submit, .send = h2_send, .ping = h2_ping,
	.read_on = h2_read_on, .shut = h2_shut, .feed = h2_feed, .output = h2_output, .code = nghttp2_http2_strerror,
};

/* Of HTTP/2 it cannot be told by its first bytes: the form of the request says it. */
static bool grpc_recognise(const uint8_t *p, size_t n)
{
	(void)p, (void)n;
	return false;
}

const struct proto proto_grpc = {
	.name = "grpc",
	.alpn = "h2",
	.help = "gRPC over HTTP/2; request: grpc package.Service/Method MESSAGE..., each as JSON (with --proto FILE.desc) or 0xBYTES",
	.state_size = sizeof(struct h2_stream),
	.recognise = grpc_recognise,
	.mux = &grpc_mux,
};

const struct proto proto_http2 = {
	.name = "http2",
	.alpn = "h2",
	.help = "HTTP/2 with prior knowledge (h2c); request: METHOD TARGET",
	.state_size = sizeof(struct h2_stream),
	.has_heads = true,
	.recognise = http2_recognise,
	.mux = &http2_mux,
};
