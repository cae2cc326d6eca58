/* HTTP/2 sessions: what a client sends and what it makes of what a server of nghttp2, or one that is wrong, sends back. */
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

static struct mux_stream *stream(unsigned i)
{
	return (struct mux_stream *)c.st[i];
}

static int submit(unsigned i, uint64_t upto)
{
	struct err err;

	memset(c.st[i], 0, sizeof c.st[i]);
	stream(i)->an = &c.an[i];
	return c.proto->mux->submit(c.s, stream(i), &c.rq, NONCE, upto, &err);
}

static void on_settings(void *arg, uint32_t max)
{
	(void)arg;
	c.settings++;
	c.max_streams = max;
}

static void on_pong(void *arg, uint64_t number)
{
	(void)arg;
	c.pongs++;
	c.pong = number;
}

static void on_goaway_begins(void *arg)
{
	(void)arg;
	if (c.race >= 0)
		ck_assert_int_eq(submit((unsigned)c.race, MUX_WHOLE), 0);
}

static void on_goaway(void *arg, int32_t last, uint32_t code, const char *text)
{
	(void)arg, (void)text;
	c.goaways++;
	c.last = last;
	c.code = code;
}

static void on_above(void *arg, int32_t id)
{
	(void)arg, (void)id;
	c.above++;
}

static void on_sent(void *arg, struct mux_stream *st, uint64_t bytes)
{
	(void)arg, (void)st;
	c.sent++;
	c.sent_bytes = bytes;
}

static void on_progress(void *arg, struct mux_stream *st)
{
	(void)arg, (void)st;
}

static void on_reset(void *arg, struct mux_stream *st, uint32_t code)
{
	(void)arg, (void)st;
	c.resets++;
	c.code = code;
}

static void on_broken(void *arg, const char *why)
{
	(void)arg;
	ck_assert_ptr_null(c.broken);
	c.broken = why;
}

static const struct mux_host host = {
	.settings = on_settings, .pong = on_pong, .goaway_begins = on_goaway_begins, .goaway = on_goaway, .above = on_above,
	.sent = on_sent, .progress = on_progress, .reset = on_reset, .broken = on_broken,
};

static struct seen *seen_of(int32_t id)
{
	for (unsigned i = 0; i < n_seen; i++)
		if (seen[i].id == id)
			return &seen[i];
	ck_assert_uint_lt(n_seen, 8);
	seen[n_seen].id = id;
	return &seen[n_seen++];
}

static int s_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name, size_t nl, const uint8_t *value, size_t vl,
		    uint8_t flags, void *arg)
{
	(void)ng, (void)flags, (void)arg, (void)nl;
	if (!strcmp((const char *)name, ":path"))
		memcpy(seen_of(f->hd.stream_id)->path, value, vl);
	return 0;
}

static int s_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg)
{
	(void)ng, (void)flags, (void)p, (void)arg;
	seen_of(id)->body += n;
	return 0;
}

static int s_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	(void)ng, (void)arg;
	if (f->hd.stream_id && f->hd.flags & NGHTTP2_FLAG_END_STREAM && (f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS))
		seen_of(f->hd.stream_id)->ended = true;
	return 0;
}

static void start(const char *protocol, bool slow)
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

static void end(void)
{
	c.proto->mux->close(c.s);
	nghttp2_session_del(server);
}

/* Both ends talk until they have nothing to say; what the server says comes in pieces of so many bytes. */
static void talk_in(size_t piece)
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

static void talk(void)
{
	talk_in(SIZE_MAX);
}

struct body {
	const char *text;
	size_t at;
	bool trailers;
};

static ssize_t body_of(nghttp2_session *ng, int32_t id, uint8_t *out, size_t n, uint32_t *flags, nghttp2_data_source *source, void *arg)
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

static void answer(int32_t id, const char *status, const char *length, const char *nonce, struct body *b)
{
	nghttp2_nv nv[] = {NV(":status", status), NV("content-length", length), NV("x-drainspec-nonce", nonce)};
	nghttp2_data_provider data = {.source.ptr = b, .read_callback = body_of};

	ck_assert_int_eq(nghttp2_submit_response(server, id, nv, 3, b ? &data : NULL), 0);
}

/* ---- what is sent ---- */

START_TEST(whole_request)
{
	start("http2", false);
	ck_assert_int_eq(submit(0, MUX_WHOLE), 0);
	talk();
	ck_assert_uint_eq(c.settings, 1);
	ck_assert_uint_eq(c.sent, 1);
	ck_assert_str_eq(seen_of(1)->path, "/x");
	ck_assert(seen_of(1)->ended);
	end();
}
END_TEST

START_TEST(half_body)
{
	start("http2", false);
	c.rq.line = "POST /up";
	c.rq.body = 1000;
	ck_assert_int_eq(submit(0, 500), 0);
	talk();
	ck_assert_uint_eq(seen_of(1)->body, 500);
	ck_assert(!seen_of(1)->ended);
	ck_assert_uint_eq(c.sent, 1);
	c.proto->mux->send(c.s, stream(0), MUX_WHOLE);
	talk();
	ck_assert_uint_eq(seen_of(1)->body, 1000);
	ck_assert(seen_of(1)->ended);
	ck_assert_uint_eq(c.sent, 2);
	end();
}
END_TEST

/* HEADERS without END_HEADERS, and nothing behind it until the rest may go. */
START_TEST(half_head)
{
	struct buf out = {0};

	start("http2", false);
	talk();
	ck_assert_int_eq(submit(0, MUX_HALF_HEAD), 0);
	c.proto->mux->ping(c.s, 7);
	c.proto->mux->output(c.s, &out);
	size_t ping = (uint8_t)out.p[3] == NGHTTP2_PING ? 17 : 0;       /* nghttp2 lets PINGs go first */

	ck_assert_int_eq(out.p[ping + 3], NGHTTP2_HEADERS);
	ck_assert_int_eq(out.p[ping + 4] & NGHTTP2_FLAG_END_HEADERS, 0);
	ck_assert_uint_eq(out.n, ping + 9 + (uint8_t)out.p[ping + 2]);
	ck_assert_int_eq(nghttp2_session_mem_recv(server, (uint8_t *)out.p, out.n), (ssize_t)out.n);
	ck_assert_uint_eq(c.sent, 1);
	buf_free(&out);
	c.proto->mux->ping(c.s, 8);
	c.proto->mux->output(c.s, &out);
	ck_assert_uint_eq(out.n, 0);
	c.proto->mux->send(c.s, stream(0), MUX_WHOLE);
	talk();
	ck_assert_str_eq(seen_of(1)->path, "/x");
	ck_assert(seen_of(1)->ended);
	ck_assert_uint_eq(c.sent, 2);
	ck_assert_uint_eq(c.pong, 8);
	end();
}
END_TEST

/* ---- what comes ---- */

START_TEST(answers)
{
	static const size_t pieces[] = {1, 2, 7, 100, SIZE_MAX};
	struct body b = {.text = NONCE NONCE};

	start("http2", false);
	ck_assert_int_eq(submit(0, MUX_WHOLE), 0);
	talk();
	answer(1, "200", "32", NONCE, &b);
	talk_in(pieces[_i]);
	ck_assert_int_eq(c.an[0].state, ANSWER_DONE);
	ck_assert_int_eq(c.an[0].status, 200);
	ck_assert_int_eq(c.an[0].length, 32);
	ck_assert_uint_eq(c.an[0].body, 32);
	ck_assert(c.an[0].echo);
	ck_assert_int_eq(c.an[0].echo_bad_at, -1);
	ck_assert_uint_eq(c.resets, 0);
	end();
}
END_TEST

START_TEST(wrong_byte)
{
	struct body b = {.text = NONCE "0123456789abcdeX"};

	start("http2", false);
	ck_assert_int_eq(submit(0, MUX_WHOLE), 0);
	talk();
	answer(1, "200", "32", NONCE, &b);
	talk();
	ck_assert_int_eq(c.an[0].echo_bad_at, 31);
	end();
}
END_TEST

START_TEST(reset)
{
	start("http2", false);
	ck_assert_int_eq(submit(0, MUX_WHOLE), 0);
	ck_assert_int_eq(submit(1, MUX_WHOLE), 0);
	talk();
	nghttp2_submit_rst_stream(server, NGHTTP2_FLAG_NONE, 1, NGHTTP2_INTERNAL_ERROR);
	talk();
	ck_assert_uint_eq(c.resets, 1);
	ck_assert_uint_eq(c.code, NGHTTP2_INTERNAL_ERROR);
	ck_assert_int_eq(c.an[0].state, ANSWER_NONE);
	answer(3, "204", "0", NONCE, NULL);     /* the other one goes on */
	talk();
	ck_assert_int_eq(c.an[1].state, ANSWER_DONE);
	end();
}
END_TEST

/* A session without streams still answers PINGs when a GOAWAY has come, and opens the stream that crosses it. */
START_TEST(goaway)
{
	start("http2", false);
	talk();
	c.race = 0;
	c.proto->mux->feed(c.s, FRAME("\0\0\x0a\7\0\0\0\0\0" "\x7f\xff\xff\xff" "\0\0\0\0" "ab"));
	ck_assert_uint_eq(c.goaways, 1);
	ck_assert_int_eq(c.last, 0x7fffffff);
	c.race = -1;
	c.proto->mux->feed(c.s, FRAME("\0\0\x8\6\0\0\0\0\0" "12345678"));
	struct buf out = {0};

	c.proto->mux->output(c.s, &out);
	ck_assert_uint_gt(out.n, 17 + 9);
	ck_assert_int_eq(memcmp(out.p, "\0\0\x8\6\1\0\0\0\0" "12345678", 17), 0);
	ck_assert_int_eq(out.p[17 + 3], NGHTTP2_HEADERS);
	buf_free(&out);
	c.proto->mux->feed(c.s, FRAME("\0\0\x8\7\0\0\0\0\0" "\0\0\0\0" "\0\0\0\2"));
	ck_assert_int_eq(c.last, 0);
	ck_assert_uint_eq(c.code, NGHTTP2_INTERNAL_ERROR);
	c.proto->mux->feed(c.s, FRAME("\0\0\1\1\5\0\0\0\1\x88"));       /* :status 200 of stream 1 */
	ck_assert_uint_eq(c.above, 1);
	ck_assert_int_eq(c.an[0].state, ANSWER_DONE);
	end();
}
END_TEST

static const struct {
	const char *text;
	size_t n;
	const char *says;
} wrong[] = {
#define WRONG(text) text, sizeof(text) - 1
	{WRONG("HTTP/1.1 400 Bad Request\r\n\r\n"), "no SETTINGS"},
	{WRONG("\0\0\4\6\0\0\0\0\0" "1234"), "no SETTINGS"},
	{WRONG("\0\0\0\4\0\0\0\0\0" "\0\0\4\6\0\0\0\0\0" "1234"), "wrong length"},
	{WRONG("\0\0\0\4\0\0\0\0\0" "\0\0\4\7\0\0\0\0\0" "1234"), "wrong length"},
	{WRONG("\0\0\0\4\0\0\0\0\0" "\0\0\1\0\1\0\0\0\0" "x"), "DATA: stream_id == 0"},
};

START_TEST(not_http2)
{
	start("http2", false);
	struct buf out = {0};

	c.proto->mux->feed(c.s, (const uint8_t *)wrong[_i].text, wrong[_i].n);
	c.proto->mux->output(c.s, &out);
	buf_free(&out);
	ck_assert_ptr_nonnull(c.broken);
	ck_assert_msg(strstr(c.broken, wrong[_i].says) != NULL, "%s", c.broken);
	end();
}
END_TEST

/* Frames by hand: what a server that is wrong says in an answer. */
static const struct {
	const char *text;
	size_t n;
	enum answer_state state;
	const char *says;
} streams[] = {
	{WRONG("\0\0\1\1\5\0\0\0\1\x88"), ANSWER_DONE, NULL},
	{WRONG("\0\0\1\1\4\0\0\0\1\x88"), ANSWER_BODY, NULL},
	{WRONG("\0\0\5\1\4\0\0\0\1\x88\x0f\x0d\1" "5" "\0\0\2\0\1\0\0\0\1" "ab"), ANSWER_BAD, "content-length"},
	{WRONG("\0\0\5\1\4\0\0\0\1\x08\3" "100" "\0\0\1\1\5\0\0\0\1\x88"), ANSWER_DONE, NULL},
	{WRONG("\0\0\5\1\5\0\0\0\1\x08\3" "103"), ANSWER_BAD, "without a final head"},
	{WRONG("\0\0\4\1\5\0\0\0\1\x0f\x0d\1" "5"), ANSWER_BAD, "status"},
	{WRONG("\0\0\1\1\4\0\0\0\1\x88" "\0\0\4\1\4\0\0\0\1\x0f\x0d\1" "5"), ANSWER_BAD, "trailers"},
};

START_TEST(by_frames)
{
	start("http2", false);
	ck_assert_int_eq(submit(0, MUX_WHOLE), 0);
	talk();
	c.proto->mux->feed(c.s, (const uint8_t *)streams[_i].text, streams[_i].n);
	ck_assert_ptr_null(c.broken);
	ck_assert_int_eq(c.an[0].state, streams[_i].state);
	if (streams[_i].says)
		ck_assert_ptr_nonnull(strstr(c.an[0].bad, streams[_i].says));
	end();
}
END_TEST

/* A slow reader's window is used up, and opens when it reads on. */
START_TEST(window)
{
	static char text[100001];
	struct body b = {.text = text};

	memset(text, 'x', 100000);
	start("http2", true);
	ck_assert_int_eq(submit(0, MUX_WHOLE), 0);
	talk();
	answer(1, "200", "100000", "-", &b);
	talk();
	ck_assert_uint_eq(c.an[0].body, 65535);
	ck_assert(c.proto->mux->shut(c.s, stream(0)));
	c.proto->mux->read_on(c.s, stream(0));
	talk();
	ck_assert_int_eq(c.an[0].state, ANSWER_DONE);
	end();
}
END_TEST

/* ---- gRPC ---- */

static const struct {
	const char *status, *body;
	size_t n;
	enum answer_state state;
	int http, grpc;
} calls[] = {
	{"0", WRONG("\0\0\0\0\2\x08\1"), ANSWER_DONE, 200, 0},
	{"0", WRONG("\0\0\0\0\2\x08\1\0\0\0\0\0"), ANSWER_DONE, 200, 0},
	{"14", WRONG(""), ANSWER_DONE, 503, 14},
	{"1", WRONG(""), ANSWER_DONE, 503, 1},
	{"99", WRONG(""), ANSWER_DONE, 500, 99},
	{"0", WRONG("\0\0\0\0\2\x08"), ANSWER_BAD, 0, 0},
	{"0", WRONG("\0\0\0"), ANSWER_BAD, 0, 0},
	{NULL, WRONG("\0\0\0\0\2\x08\1"), ANSWER_BAD, 0, 0},
};

START_TEST(call)
{
	uint8_t frame[64] = {0, 0, (uint8_t)calls[_i].n, NGHTTP2_DATA, calls[_i].status ? 0 : NGHTTP2_FLAG_END_STREAM, 0, 0, 0, 1};

	start("grpc", false);
	c.rq = (struct request){.line = "grpc a.B/C", .host = "h", .msg = (const uint8_t *)"\0\0\0\0", .n_msg = 5};
	ck_assert_int_eq(submit(0, MUX_WHOLE), 0);
	talk();
	ck_assert_str_eq(seen_of(1)->path, "/a.B/C");
	ck_assert_uint_eq(seen_of(1)->body, 5);
	c.proto->mux->feed(c.s, FRAME("\0\0\1\1\4\0\0\0\1\x88"));
	memcpy(frame + 9, calls[_i].body, calls[_i].n);
	c.proto->mux->feed(c.s, frame, 9 + calls[_i].n);
	if (calls[_i].status) {
		size_t n = strlen(calls[_i].status);
		uint8_t last[64] = {0, 0, (uint8_t)(14 + n), NGHTTP2_HEADERS, 5, 0, 0, 0, 1, 0, 11};

		memcpy(last + 11, "grpc-status", 11);
		last[22] = (uint8_t)n;
		memcpy(last + 23, calls[_i].status, n);
		c.proto->mux->feed(c.s, last, 23 + n);
	}
	ck_assert_int_eq(c.an[0].state, calls[_i].state);
	if (calls[_i].state == ANSWER_DONE) {
		ck_assert_int_eq(c.an[0].status, calls[_i].http);
		ck_assert_int_eq(c.an[0].grpc - 1, calls[_i].grpc);
	}
	end();
}
END_TEST

START_TEST(refused_lines)
{
	static const struct kv connection = {.key = "Connection", .value = "close"};
	struct err err;

	start("http2", false);
	for (unsigned i = 0; i < 3; i++) {
		c.rq.line = (const char *[]){"GET", "GET /a b", "GET /"}[i];
		c.rq.headers = &connection;
		c.rq.n_headers = i == 2;
		ck_assert_int_eq(c.proto->mux->submit(c.s, stream(0), &c.rq, NONCE, MUX_WHOLE, &err), -1);
	}
	ck_assert(proto_by_name("http2")->recognise(FRAME("\0\0\6\4\0\0\0\0\0\0\3\0\0\0\1")));
	ck_assert(!proto_by_name("http2")->recognise(FRAME("HTTP/1.1 2")));
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http2");
	TCase *t = tcase_create("http2");
	SRunner *r = srunner_create(s);

	tcase_add_test(t, whole_request);
	tcase_add_test(t, half_body);
	tcase_add_test(t, half_head);
	tcase_add_loop_test(t, answers, 0, 5);
	tcase_add_test(t, wrong_byte);
	tcase_add_test(t, reset);
	tcase_add_test(t, goaway);
	tcase_add_loop_test(t, not_http2, 0, sizeof wrong / sizeof *wrong);
	tcase_add_loop_test(t, by_frames, 0, sizeof streams / sizeof *streams);
	tcase_add_test(t, window);
	tcase_add_loop_test(t, call, 0, sizeof calls / sizeof *calls);
	tcase_add_test(t, refused_lines);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed != 0;
}
