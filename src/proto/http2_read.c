/* HTTP/2: what comes in. What is said about an answer is read from the frames by hand, as in http1.c: where exactly one was cut
 * is what we exist for. */
#include "proto/http2.h"

#include <string.h>

#include "proto/body.h"

static void h2_bad(struct h2_stream *st, const char *what)
{
	if (st->m.an->state == ANSWER_BAD)
		return;
	st->m.an->state = ANSWER_BAD;
	st->m.an->bad = what;
}

static void number_field(const uint8_t *p, size_t n, int64_t *ret)
{
	int64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9' || v > INT64_MAX / 10 - 1)
			return;
		v = v * 10 + (p[i] - '0');
	}
	if (n)
		*ret = v;
}

static bool is_name(const uint8_t *p, size_t n, const char *name)
{
	return strlen(name) == n && !memcmp(p, name, n);
}

static void answer_field(struct h2_stream *st, const uint8_t *name, size_t nl, const uint8_t *value, size_t vl)
{
	struct answer *an = st->m.an;
	int64_t number = -1;

	if (is_name(name, nl, ":status")) {
		number_field(value, vl, &number);
		st->status = number >= 100 && number <= 999 ? (int16_t)number : -1;
	} else if (is_name(name, nl, "content-length") && !st->trailers) {
		number_field(value, vl, &number);
		an->length = number;
	} else if (is_name(name, nl, "x-drainspec-nonce") && !st->trailers && !st->grpc) {
		an->echo = vl == NONCE_LEN && !memcmp(value, st->nonce, NONCE_LEN);
		if (!an->echo && vl == NONCE_LEN)
			an->echo_bad_at = 0;
	} else if (is_name(name, nl, "grpc-status")) {
		number_field(value, vl, &number);
		st->grpc_status = number >= 0 && number < 1000 ? (int32_t)number : 2;
	}
}

int h2_on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t nl,
		     const uint8_t *value, size_t vl, uint8_t flags, void *arg)
{
	struct h2_stream *st = h2_stream(arg, frame->hd.stream_id);

	(void)ng, (void)flags;
	if (!st || st->ended)
		return 0;
	st->m.an->bytes += nl + vl;
	answer_field(st, name, nl, value, vl);
	return 0;
}

int h2_on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct h2_stream *st = h2_stream(arg, frame->hd.stream_id);

	(void)ng;
	if (!st)
		return 0;
	st->trailers = st->m.an->state >= ANSWER_BODY;
	if (!st->trailers) {
		st->m.an->state = ANSWER_HEAD;
		st->m.an->length = -1;
		st->status = 0;
	}
	return 0;
}

/* END_STREAM: the answer is whole, if its length is what its head said. */
static void h2_end(struct mux_session *s, struct h2_stream *st)
{
	struct answer *an = st->m.an;

	if (st->ended || an->state == ANSWER_BAD)
		return;
	st->ended = true;
	if (an->state != ANSWER_BODY)
		h2_bad(st, "the stream ended without a final head (RFC 9113 8.1)");
	else if (an->length >= 0 && !st->no_body && an->body != (uint64_t)an->length)
		h2_bad(st, "the stream ended with another length than its content-length (RFC 9113 8.1.1)");
	else
		an->state = ANSWER_DONE;
	if (s->grpc && an->state == ANSWER_DONE)
		grpc_ended(st);
}

static void h2_head_done(struct mux_session *s, struct h2_stream *st, bool end)
{
	struct answer *an = st->m.an;

	if (st->trailers) {
		if (!end)
			h2_bad(st, "trailers do not end the stream (RFC 9113 8.1)");
		return;
	}
	if (st->status >= 100 && st->status < 200) {
		an->continued |= st->status == 100;
		an->state = ANSWER_NONE;
		return;
	}
	if (st->status < 200) {
		h2_bad(st, "a head without a :status (RFC 9113 8.3.2)");
		return;
	}
	an->status = st->status;
	an->state = ANSWER_BODY;
	if (st->no_body || an->status == 204 || an->status == 304)
		an->length = 0;
	if (s->grpc && an->status != 200)
		an->length = -1;
}

static uint32_t number32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void on_goaway(struct mux_session *s)
{
	char text[H2_OWN_MAX - 7];
	size_t n = s->own_n - 8;

	for (size_t i = 0; i < n; i++)
		text[i] = s->own[8 + i] >= ' ' && s->own[8 + i] < 127 ? (char)s->own[8 + i] : '.';
	text[n] = '\0';
	s->last = (int32_t)(number32(s->own) & 0x7fffffff);
	s->host->goaway(s->arg, s->last, number32(s->own + 4), text);
}

/* PING and GOAWAY are taken here and never shown to nghttp2, for which a session without streams is over when a GOAWAY has
 * come: it would answer no PING any more, and the server waits for that answer before it says which stream was the last. */
static bool is_own(const struct mux_session *s)
{
	return s->head[3] == NGHTTP2_PING || s->head[3] == NGHTTP2_GOAWAY;
}

static void own_frame(struct mux_session *s)
{
	static const uint8_t pong[H2_FRAME_HEADER] = {0, 0, 8, NGHTTP2_PING, NGHTTP2_FLAG_ACK};
	uint64_t number;

	if (s->own_n < 8 || (s->head[3] == NGHTTP2_PING && s->head[2] != 8)) {
		s->broken = true;
		s->host->broken(s->arg, "a PING or GOAWAY of a wrong length (RFC 9113 6.7, 6.8)");
	} else if (s->head[3] == NGHTTP2_GOAWAY) {
		on_goaway(s);
	} else if (s->head[4] & NGHTTP2_FLAG_ACK) {
		memcpy(&number, s->own, sizeof number);
		s->host->pong(s->arg, number);
	} else {
		buf_add(&s->pongs, pong, sizeof pong);
		buf_add(&s->pongs, s->own, 8);
	}
}

int h2_on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct mux_session *s = arg;
	struct h2_stream *st = f->hd.stream_id ? h2_stream(s, f->hd.stream_id) : NULL;
	bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;

	(void)ng;
	if (s->doomed)
		return 0;
	if (f->hd.type == NGHTTP2_SETTINGS && !(f->hd.flags & NGHTTP2_FLAG_ACK) && !s->heard) {
		s->heard = true;
		s->host->settings(s->arg, nghttp2_session_get_remote_settings(s->ng,
					  NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
	}
	if (!st)
		return 0;
	if (f->hd.type == NGHTTP2_HEADERS)
		h2_head_done(s, st, end);
	else if (f->hd.type == NGHTTP2_RST_STREAM && !st->ended)
		s->host->reset(s->arg, &st->m, f->rst_stream.error_code);
	if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA)
		return 0;
	if (end)
		h2_end(s, st);
	if (!s->doomed)
		s->host->progress(s->arg, &st->m);
	return 0;
}

int h2_on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	struct mux_session *s = arg;
	struct h2_stream *st = h2_stream(s, id);

	(void)flags;
	if (!st || s->doomed)
		return 0;
	struct answer *an = st->m.an;

	an->bytes += n;
	if (an->state != ANSWER_BODY)
		h2_bad(st, "DATA before a head (RFC 9113 8.1)");
	if (an->echo && an->echo_bad_at < 0) {
		size_t good = echo_check(st->nonce, an->body, p, n);

		if (good < n)
			an->echo_bad_at = (int64_t)(an->body + good);
	} else if (!an->echo) {
		an->hash = fnv1a(an->hash, p, n);
	}
	an->body += n;
	if (st->grpc)
		grpc_data(st, p, n);
	if (s->slow && st->reading)
		nghttp2_session_consume(ng, id, n);
	if (an->state == ANSWER_BAD && !s->doomed)
		s->host->progress(s->arg, &st->m);
	return 0;
}

/* A frame that the protocol forbids: from here on nothing that comes can be trusted. */
int h2_on_invalid(nghttp2_session *ng, const nghttp2_frame *f, int code, void *arg)
{
	struct mux_session *s = arg;

	(void)ng, (void)f;
	if (s->broken || s->doomed)
		return 0;
	s->broken = true;
	s->host->broken(s->arg, nghttp2_strerror(code));
	return 0;
}

/* The header of a frame is here. */
static void frame_begins(struct mux_session *s)
{
	uint32_t id = number32(s->head + 5) & 0x7fffffff;
	uint8_t type = s->head[3];

	s->frame_left = (uint32_t)s->head[0] << 16 | (uint32_t)s->head[1] << 8 | s->head[2];
	if (!s->heard && (type != NGHTTP2_SETTINGS || id)) {
		s->broken = true;
		s->host->broken(s->arg, "the server's first frame is no SETTINGS: it does not speak HTTP/2 here (RFC 9113 3.4)");
	} else if (type == NGHTTP2_GOAWAY) {
		s->host->goaway_begins(s->arg);
	} else if (s->last >= 0 && id > (uint32_t)s->last &&
		   (type == NGHTTP2_HEADERS || type == NGHTTP2_DATA)) {
		s->host->above(s->arg, (int32_t)id);
	}
}

static void take(struct mux_session *s, const uint8_t *p, size_t n)
{
	ssize_t used = nghttp2_session_mem_recv(s->ng, p, n);

	if (used >= 0 || s->broken || s->doomed)
		return;
	s->broken = true;
	s->host->broken(s->arg, nghttp2_strerror((int)used));
}

/* Frame by frame, so that what must happen before a frame is looked at can. */
void h2_feed(struct mux_session *s, const uint8_t *p, size_t n)
{
	h2_enter(s);
	while (n && !s->broken && !s->doomed) {
		size_t k;

		if (s->frame_left) {
			k = n < s->frame_left ? n : s->frame_left;
			s->frame_left -= (uint32_t)k;
			if (is_own(s)) {
				size_t room = sizeof s->own - s->own_n, some = k < room ? k : room;

				memcpy(s->own + s->own_n, p, some);
				s->own_n += (unsigned)some;
				if (!s->frame_left)
					own_frame(s);
			} else {
				take(s, p, k);
			}
		} else {
			k = n < H2_FRAME_HEADER - s->head_n ? n : H2_FRAME_HEADER - s->head_n;
			memcpy(s->head + s->head_n, p, k);
			s->head_n += (unsigned)k;
			if (s->head_n == H2_FRAME_HEADER) {
				s->head_n = 0;
				frame_begins(s);
				s->own_n = 0;
				if (!s->broken && !s->doomed && !is_own(s))
					take(s, s->head, H2_FRAME_HEADER);
				else if (!s->broken && !s->doomed && !s->frame_left)
					own_frame(s);
			}
		}
		p += k;
		n -= k;
	}
	h2_leave(s);
}
