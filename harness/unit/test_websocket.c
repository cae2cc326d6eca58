/* WebSocket: handshake, frames in any pieces, pings answered, Close; and the ends of event streams. */
#include "proto_rig.h"

#include "proto/sha1.h"
#include "proto/websocket.h"

START_TEST(hashes)
{
	uint8_t hash[SHA1_LEN];
	char text[32], long_text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

	/* FIPS 180-4, and the example of RFC 6455 1.3 */
	sha1_short("abc", 3, hash);
	base64(hash, sizeof hash, text);
	ck_assert_str_eq(text, "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
	sha1_short(long_text, strlen(long_text), hash);
	base64(hash, sizeof hash, text);
	ck_assert_str_eq(text, "hJg+RBw70m66rkqh+VEp5eVGcPE=");
	sha1_short("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 60, hash);
	base64(hash, sizeof hash, text);
	ck_assert_str_eq(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
END_TEST

START_TEST(renders)
{
	const struct proto *p = proto_by_name("websocket");
	struct request rq = {.line = "GET /ws\nhello", .host = "h"};
	struct buf out = {0};
	struct cuts cuts;
	char key[WS_KEY_LEN + 1];

	ck_assert_int_eq(p->render(&rq, NONCE, &out, &cuts, NULL), 0);
	ws_key(NONCE, key);
	ck_assert(!strncmp(out.p, "GET /ws HTTP/1.1\r\nHost: h\r\n", 27) && strstr(out.p, "\r\nUpgrade: websocket\r\n"));
	ck_assert(strstr(out.p, key) && !strncmp(out.p + cuts.head_end - 4, "\r\n\r\n", 4));
	ck_assert_uint_eq(out.n - cuts.head_end, 6 + 5);
	ck_assert_uint_eq((uint8_t)out.p[cuts.head_end], 0x81);
	ck_assert_uint_eq((uint8_t)out.p[cuts.head_end + 1], 0x85);
	ck_assert_int_eq(out.p[cuts.head_end + 6] ^ NONCE[0], 'h');
	buf_clear(&out);
	rq = (struct request){.line = "GET /ws", .body = 300};
	ck_assert_int_eq(p->render(&rq, NONCE, &out, &cuts, NULL), 0);
	ck_assert_uint_eq((uint8_t)out.p[cuts.head_end], 0x01);         /* text, not final */
	ck_assert_uint_eq(cuts.half_body - cuts.head_end, 8 + 150);
	ck_assert_uint_eq((uint8_t)out.p[cuts.half_body], 0x80);        /* continuation, final */
	ck_assert_uint_eq(cuts.end - cuts.half_body, 8 + 150);
	ck_assert_uint_eq(cuts.end, out.n);
	buf_free(&out);
}
END_TEST

static size_t opened(char *text, size_t size, const char *frames, size_t n)
{
	char accept[WS_ACCEPT_LEN + 1];

	ws_accept(NONCE, accept);
	size_t head = (size_t)snprintf(text, size, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
				       "sec-websocket-accept: %s\r\nConnection: Upgrade\r\n\r\n", accept);

	memcpy(text + head, frames, n);
	text[head + n] = '\0';
	return head + n;
}

#define F(literal) literal, sizeof(literal) - 1

static const struct {
	const char *frames;
	size_t n;
	enum answer_state state;
	uint64_t body;
	const char *says;       /* note when it is done, or at the FIN; or what is bad */
} flows[] = {
	{F(""), ANSWER_BODY, 0, "between two messages"},
	{F("\x81\x05hello"), ANSWER_BODY, 5, "between two messages"},
	{F("\x81\x05hel"), ANSWER_BODY, 3, "in the middle of a message"},
	{F("\x01\x03hel\x80\x02lo"), ANSWER_BODY, 5, "between two messages"},
	{F("\x01\x03hel"), ANSWER_BODY, 3, "in the middle of a message"},
	{F("\x01\x03hel\x89\x02pi\x80\x02lo\x88\x02\x03\xe9"), ANSWER_DONE, 5, "Close 1001 "},
	{F("\x88\x07\x03\xf4" "bye\x01!"), ANSWER_DONE, 0, "Close 1012 bye?!"},
	{F("\x88\x00"), ANSWER_DONE, 0, "Close without a code"},
	{F("\x82\x7e\x00\x80" "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"), ANSWER_BODY, 128, "between two messages"},
	{F("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" "abc"), ANSWER_BODY, 3, "in the middle of a message"},
	{F("\x8a\x00"), ANSWER_BODY, 0, "between two messages"},
	{F("\x81\x85" "1234hello"), ANSWER_BAD, 0, "masked"},
	{F("\xc1\x01x"), ANSWER_BAD, 0, "reserved"},
	{F("\x83\x01x"), ANSWER_BAD, 0, "unknown"},
	{F("\x80\x01x"), ANSWER_BAD, 0, "continuation of no message"},
	{F("\x01\x01x\x81\x01y"), ANSWER_BAD, 1, "inside an unfinished one"},
	{F("\x09\x00"), ANSWER_BAD, 0, "control frame"},
	{F("\x89\x7e\x01\x00"), ANSWER_BAD, 0, "control frame"},
	{F("\x88\x01\x03"), ANSWER_BAD, 0, "half a code"},
	{F("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), ANSWER_BAD, 0, "63 bits"},
};

START_TEST(reads)
{
	const struct proto *p = proto_by_name("websocket");
	struct request rq = {.line = "GET /ws"};
	char text[1024];
	size_t n = opened(text, sizeof text, flows[_i].frames, flows[_i].n);
	struct answer an;
	struct buf reply = {0};
	_Alignas(8) char st[128] = {0};

	p->start(st, &rq, NONCE, &an);
	size_t took = p->feed(st, (uint8_t *)text, n, &an, &reply);

	ck_assert(took == n || (took < n && an.state == ANSWER_BAD));
	ck_assert_msg(an.state == flows[_i].state, "state %d: %s", an.state, an.bad ? an.bad : "");
	ck_assert_uint_eq(an.body, flows[_i].body);
	ck_assert_int_eq(an.status, 101);
	if (an.state == ANSWER_BODY)
		p->eof(st, &an);
	ck_assert_int_eq(an.state, flows[_i].state);
	ck_assert_msg(strstr(an.bad ? an.bad : an.note, flows[_i].says) != NULL, "%s", an.bad ? an.bad : an.note);
	p->stop(st);
	buf_free(&reply);
	if (an.state == ANSWER_BAD)
		return;
	size_t used = feed(p, &rq, text, (size_t[]){n}, 1, &an, st);

	every_split(p, &rq, text, n, &an, used);
}
END_TEST

START_TEST(answers_pings_and_close)
{
	const struct proto *p = proto_by_name("websocket");
	struct request rq = {.line = "GET /ws"};
	char text[1024];
	size_t n = opened(text, sizeof text, F("\x89\x02hi\x88\x02\x03\xe9"));
	struct answer an;
	struct buf reply = {0}, want = {0};
	_Alignas(8) char st[128] = {0};

	p->start(st, &rq, NONCE, &an);
	p->feed(st, (uint8_t *)text, n, &an, &reply);
	ws_frame(&want, NONCE, true, WS_PONG, (const uint8_t *)"hi", 2);
	ws_frame(&want, NONCE, true, WS_CLOSE, (const uint8_t *)"\x03\xe9", 2);
	ck_assert(reply.n == want.n && !memcmp(reply.p, want.p, want.n));
	p->stop(st);
	buf_free(&reply);
	buf_free(&want);
}
END_TEST

static struct answer fed(const struct request *rq, const char *frames, size_t n, struct buf *reply)
{
	const struct proto *p = proto_by_name("websocket");
	static _Alignas(8) char st[128];
	char text[1024];
	struct answer an;

	memset(st, 0, sizeof st);
	p->start(st, rq, NONCE, &an);
	p->feed(st, (uint8_t *)text, opened(text, sizeof text, frames, n), &an, reply);
	if (an.state == ANSWER_BODY)
		p->eof(st, &an);
	an.note = NULL;         /* it lives no longer than the state */
	p->stop(st);
	return an;
}

/* Who is to hang up says Close behind its messages; the server's Close, or its FIN, is then the end. */
START_TEST(leaves)
{
	struct request rq = {.line = "GET /ws\nhello", .host = "h", .leaves = true};
	struct buf out = {0}, want = {0};
	struct cuts cuts;

	ck_assert_int_eq(proto_by_name("websocket")->render(&rq, NONCE, &out, &cuts, NULL), 0);
	ws_frame(&want, NONCE, true, WS_TEXT, (const uint8_t *)"hello", 5);
	ws_frame(&want, NONCE, true, WS_CLOSE, (const uint8_t *)"\x03\xe8", 2);
	ck_assert_uint_eq(out.n - cuts.head_end, want.n);
	ck_assert(!memcmp(out.p + cuts.head_end, want.p, want.n) && cuts.end == out.n);
	buf_clear(&out);
	ck_assert_int_eq(fed(&rq, F("\x81\x05hello\x88\x02\x03\xe8"), &out).state, ANSWER_DONE);
	ck_assert_uint_eq(out.n, 0);            /* it has said Close once */
	ck_assert_int_eq(fed(&rq, F("\x81\x05hello"), &out).state, ANSWER_DONE);
	rq.leaves = false;
	ck_assert_int_eq(fed(&rq, F("\x81\x05hello"), &out).state, ANSWER_BODY);
	buf_free(&out);
	buf_free(&want);
}
END_TEST

/* A client that never closes does not answer the Close; pings it does answer. */
START_TEST(is_mute)
{
	struct request rq = {.line = "GET /ws", .mute = true};
	struct buf out = {0}, want = {0};

	ws_frame(&want, NONCE, true, WS_PONG, (const uint8_t *)"hi", 2);
	ck_assert_int_eq(fed(&rq, F("\x89\x02hi\x88\x02\x03\xe9"), &out).state, ANSWER_DONE);
	ck_assert(out.n == want.n && !memcmp(out.p, want.p, want.n));
	buf_free(&out);
	buf_free(&want);
}
END_TEST

/* The headers of a scenario may offer permessage-deflate: what the server agrees to may be compressed, in the first frame's bit. */
START_TEST(agrees_on_deflate)
{
	static const struct {
		const char *field, *frames;
		enum answer_state state;
	} flows[] = {
		{"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n", "\xc1\x01x", ANSWER_BODY},
		{"sec-websocket-extensions:x, permessage-deflate\r\n", "\x41\x01x\x80\x01y", ANSWER_BODY},
		{"Sec-WebSocket-Extensions: permessage-deflate\r\n", "\x41\x01x\xc0\x01y", ANSWER_BAD},
		{"Sec-WebSocket-Extensions: permessage-deflate\r\n", "\xc9\x01x", ANSWER_BAD},
		{"Sec-WebSocket-Extensions: permessage-deflate\r\n", "\xa1\x01x", ANSWER_BAD},
		{"Sec-WebSocket-Extensions: other\r\nX-Note: permessage-deflate\r\n", "\xc1\x01x", ANSWER_BAD},
		{"Sec-WebSocket-Protocol: chat\r\n", "\xc1\x01x", ANSWER_BAD},
	};
	const struct proto *p = proto_by_name("websocket");
	struct request rq = {.line = "GET /ws"};
	_Alignas(8) char st[128] = {0};
	char text[1024], accept[WS_ACCEPT_LEN + 1];
	struct answer an;
	struct buf reply = {0};

	ws_accept(NONCE, accept);
	size_t n = (size_t)snprintf(text, sizeof text, "HTTP/1.1 101 x\r\n%sSec-WebSocket-Accept: %s\r\n\r\n%s", flows[_i].field, accept,
				    flows[_i].frames);

	p->start(st, &rq, NONCE, &an);
	p->feed(st, (uint8_t *)text, n, &an, &reply);
	ck_assert_int_eq(an.state, flows[_i].state);
	p->stop(st);
	buf_free(&reply);
}
END_TEST

START_TEST(needs_the_right_accept)
{
	const struct proto *p = proto_by_name("websocket");
	struct request rq = {.line = "GET /ws"};
	const char *text = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
	struct answer an;
	_Alignas(8) char st[128];

	feed(p, &rq, text, (size_t[]){strlen(text)}, 1, &an, st);
	ck_assert(an.state == ANSWER_BAD && strstr(an.bad, "Accept"));
	text = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno and on";
	ck_assert_uint_eq(feed(p, &rq, text, (size_t[]){strlen(text)}, 1, &an, st), strlen(text) - 7);
	ck_assert(an.state == ANSWER_DONE && an.status == 404);
}
END_TEST

static const struct {
	const char *body;
	bool whole;
} events[] = {
	{"data: a\n\n", true}, {"data: a\r\n\r\n", true}, {"data: a\r\r", true}, {": ping\n\ndata: b\n\n", true}, {"\n\n\n\n", true},
	{"data: a\n", false}, {"data: a", false}, {"data: a\r\n", false}, {"data: a\n\ndata: b\n", false}, {"\n\ndata", false},
};

START_TEST(sees_cut_events)
{
	const struct proto *p = proto_by_name("http1");
	struct request rq = {.line = "GET /events"};
	const char *body = events[_i].body;
	struct answer an;
	_Alignas(8) char st[128];
	char text[512];
	size_t n = (size_t)snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
				    "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n", strlen(body), body);

	feed(p, &rq, text, (size_t[]){n}, 1, &an, st);
	ck_assert_int_eq(an.state, ANSWER_DONE);
	ck_assert_msg((an.note == NULL) == events[_i].whole, "%s: %s", body, an.note ? an.note : "whole");
	for (size_t cut = 0; cut < n; cut++) {
		struct answer again;

		feed(p, &rq, text, (size_t[]){cut, n}, 2, &again, st);
		ck_assert((again.note == NULL) == events[_i].whole);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("websocket");
	TCase *tc = tcase_create("websocket");
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, hashes);
	tcase_add_test(tc, renders);
	tcase_add_loop_test(tc, reads, 0, (int)(sizeof flows / sizeof *flows));
	tcase_add_test(tc, answers_pings_and_close);
	tcase_add_test(tc, leaves);
	tcase_add_test(tc, is_mute);
	tcase_add_loop_test(tc, agrees_on_deflate, 0, 7);
	tcase_add_test(tc, needs_the_right_accept);
	tcase_add_loop_test(tc, sees_cut_events, 0, (int)(sizeof events / sizeof *events));
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
