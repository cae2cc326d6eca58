/* WebSocket (RFC 6455): an upgrade of HTTP/1.1, then frames until a Close. Pings are answered, a Close is echoed; the answer is
 * whole when the server's Close has come, for that is how this protocol ends a stream. */
#include "proto/websocket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/body.h"

struct ws_state {
	struct ws *w;
	char nonce[NONCE_LEN + 1];
	bool leaves, mute;              /* of the request */
};

extern const struct proto proto_http1;

static void ws_start(void *state, const struct request *rq, const char nonce[NONCE_LEN + 1], struct answer *an)
{
	struct ws_state *st = state;

	*st = (struct ws_state){.leaves = rq->leaves, .mute = rq->mute};
	memcpy(st->nonce, nonce, NONCE_LEN);
	*an = (struct answer){.echo_bad_at = -1, .hash = FNV1A_START, .length = -1};
}

static void ws_stop(void *state)
{
	struct ws_state *st = state;

	if (!st->w)
		return;
	buf_free(&st->w->fields);
	free(st->w);
	st->w = NULL;
}

static void ws_bad(struct answer *an, const char *what)
{
	an->state = ANSWER_BAD;
	an->bad = what;
}

static bool accepted(const struct ws_state *st)
{
	static const char name[] = "\nsec-websocket-accept:";
	char want[WS_ACCEPT_LEN + 1];
	const char *at = strcasestr(st->w->fields.p, name);

	if (!at)
		return false;
	at += sizeof name - 1;
	at += strspn(at, " \t");
	ws_accept(st->nonce, want);
	return !strncmp(at, want, WS_ACCEPT_LEN) && strchr("\r\n \t", at[WS_ACCEPT_LEN]);
}

/* The client offers no extension, unless the scenario's headers do; the server may take it or not. */
static bool deflates(const struct ws *w)
{
	static const char name[] = "\nsec-websocket-extensions:";
	const char *at = strcasestr(w->fields.p, name);

	if (!at)
		return false;
	at += sizeof name - 1;
	size_t n = strcspn(at, "\r\n");
	const char *found = strcasestr(at, "permessage-deflate");

	return found && found < at + n;
}

/* Until 101 it is an answer of HTTP/1.1, and if that never comes it stays one. */
static size_t feed_head(struct ws_state *st, const uint8_t *p, size_t n, struct answer *an)
{
	struct ws *w = st->w;
	struct buf none = {0};
	size_t used = proto_http1.feed(w->http, p, n, &w->head, &none);

	buf_free(&none);
	if (w->head.state <= ANSWER_HEAD || w->head.status == 101)
		buf_add(&w->fields, p, used);
	uint64_t bytes = an->bytes;

	*an = w->head;
	an->bytes = bytes + used;
	if (an->state != ANSWER_DONE || an->status != 101)
		return used;
	if (!accepted(st)) {
		ws_bad(an, "101, but Sec-WebSocket-Accept is missing or wrong (RFC 6455 4.2.2)");
		return used;
	}
	w->deflates = deflates(w);
	buf_free(&w->fields);
	w->open = true;
	an->state = ANSWER_BODY;
	an->length = -1;
	an->body = 0;
	an->continued = true;
	an->close = false;
	return used;
}

/* The first two bytes of a frame say how long its header is. */
static size_t header_len(const struct ws *w)
{
	unsigned len = w->n_header > 1 ? w->header[1] & 0x7f : 0;

	return len == 127 ? 10 : len == 126 ? 4 : 2;
}

static const char *wrong_header(const struct ws *w)
{
	bool control = w->opcode >= WS_CLOSE;

	/* a message is marked in its first frame alone (RFC 7692 6) */
	if (w->header[0] & (w->deflates && (w->opcode == WS_TEXT || w->opcode == WS_BINARY) ? 0x30 : 0x70))
		return "a reserved bit is set, and no extension was agreed on (RFC 6455 5.2)";
	if (w->header[1] & 0x80)
		return "a masked frame from a server (RFC 6455 5.1)";
	if ((w->opcode > WS_BINARY && w->opcode < WS_CLOSE) || w->opcode > WS_PONG)
		return "an unknown kind of frame (RFC 6455 5.2)";
	if (control && (!w->fin || w->left > WS_CONTROL_MAX))
		return "a control frame in pieces, or of more than 125 bytes (RFC 6455 5.5)";
	if (!control && w->in_message != (w->opcode == WS_CONTINUATION))
		return w->in_message ? "a new message inside an unfinished one (RFC 6455 5.4)" :
		       "a continuation of no message (RFC 6455 5.4)";
	if (w->left >> 63)
		return "a length of more than 63 bits (RFC 6455 5.2)";
	return NULL;
}

static void header_done(struct ws *w, struct answer *an)
{
	w->fin = w->header[0] & 0x80;
	w->opcode = w->header[0] & 0x0f;
	w->left = w->header[1] & 0x7f;
	if (w->n_header > 2) {
		w->left = 0;
		for (unsigned i = 2; i < w->n_header; i++)
			w->left = w->left << 8 | w->header[i];
	}
	const char *wrong = wrong_header(w);

	if (wrong) {
		ws_bad(an, wrong);
		return;
	}
	if (w->opcode < WS_CLOSE)
		w->in_message = true;
	w->in_payload = true;
	w->n_control = 0;
}

/* The words of a Close: its code and what of the reason can be printed. */
static void close_done(struct ws_state *st, struct answer *an, struct buf *reply)
{
	struct ws *w = st->w;
	size_t k;

	/* who has said Close already says it once */
	if (!st->leaves && !st->mute)
		ws_frame(reply, st->nonce, true, WS_CLOSE, w->control, w->n_control < 2 ? 0 : 2);
	an->state = ANSWER_DONE;
	an->note = w->note;
	if (w->n_control == 1) {
		ws_bad(an, "a Close with half a code (RFC 6455 5.5.1)");
		return;
	}
	if (!w->n_control) {
		snprintf(w->note, sizeof w->note, "Close without a code");
		return;
	}
	k = (size_t)snprintf(w->note, sizeof w->note, "Close %u ", w->control[0] << 8 | w->control[1]);
	for (unsigned i = 2; i < w->n_control && k < sizeof w->note - 1; i++)
		w->note[k++] = w->control[i] >= ' ' && w->control[i] < 127 ? (char)w->control[i] : '?';
	w->note[k] = '\0';
}

static void frame_done(struct ws_state *st, struct answer *an, struct buf *reply)
{
	struct ws *w = st->w;

	w->in_payload = false;
	w->n_header = 0;
	if (w->opcode == WS_CLOSE)
		close_done(st, an, reply);
	else if (w->opcode == WS_PING)
		ws_frame(reply, st->nonce, true, WS_PONG, w->control, w->n_control);
	else if (w->opcode < WS_CLOSE)
		w->in_message = !w->fin;
}

static size_t feed_payload(struct ws *w, const uint8_t *p, size_t n, struct answer *an)
{
	size_t used = n < w->left ? n : (size_t)w->left;

	w->left -= used;
	if (w->opcode >= WS_CLOSE) {
		memcpy(w->control + w->n_control, p, used);
		w->n_control = (uint8_t)(w->n_control + used);
	} else {
		an->hash = fnv1a(an->hash, p, used);
		an->body += used;
	}
	return used;
}

static size_t feed_frames(struct ws_state *st, const uint8_t *p, size_t n, struct answer *an, struct buf *reply)
{
	struct ws *w = st->w;
	size_t used = 0;

	while (used < n && an->state == ANSWER_BODY) {
		if (!w->in_payload) {
			w->header[w->n_header++] = p[used++];
			if (w->n_header >= 2 && w->n_header == header_len(w))
				header_done(w, an);
		} else {
			used += feed_payload(w, p + used, n - used, an);
		}
		if (an->state == ANSWER_BODY && w->in_payload && !w->left)
			frame_done(st, an, reply);
	}
	an->bytes += used;
	return used;
}

static size_t ws_feed(void *state, const uint8_t *p, size_t n, struct answer *an, struct buf *reply)
{
	struct ws_state *st = state;
	size_t used = 0;

	if (!n || an->state == ANSWER_DONE || an->state == ANSWER_BAD)
		return 0;
	if (!st->w) {
		struct request get = {.line = "GET /"};

		st->w = calloc(1, sizeof *st->w);
		if (!st->w)
			abort();
		proto_http1.start(st->w->http, &get, st->nonce, &st->w->head);
	}
	if (!st->w->open)
		used = feed_head(st, p, n, an);
	if (st->w->open && used < n && an->state == ANSWER_BODY)
		used += feed_frames(st, p + used, n - used, an, reply);
	return used;
}

/* Without a Close nobody knows whether that was the end; where it came is said. To a client that has said Close itself it is the end. */
static void ws_eof(void *state, struct answer *an)
{
	struct ws_state *st = state;
	struct ws *w = st->w;

	if (!w)
		return;
	if (!w->open) {
		proto_http1.eof(w->http, &w->head);
		if (an->state != ANSWER_BAD)
			an->state = w->head.state;
		return;
	}
	if (st->leaves)
		an->state = ANSWER_DONE;
	an->note = w->in_message || (w->n_header && w->opcode < WS_CLOSE) ? "no Close, in the middle of a message" :
		   "no Close, between two messages";
}

static bool ws_recognise(const uint8_t *p, size_t n)
{
	return n >= 12 && !memcmp(p, "HTTP/1.1 101", 12);
}

const struct proto proto_websocket = {
	.name = "websocket",
	.alpn = "http/1.1",
	.help = "WebSocket over HTTP/1.1; request: GET TARGET, further lines are messages sent after the 101",
	.state_size = sizeof(struct ws_state),
	.has_heads = true,
	.upgrades = true,
	.render = ws_render,
	.start = ws_start,
	.feed = ws_feed,
	.eof = ws_eof,
	.stop = ws_stop,
	.recognise = ws_recognise,
};
