/* HTTP/2 sessions: what a client sends and what it makes of what a server of nghttp2, or one that is wrong, sends back. */
#include "h2_rig.h"

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
	{SIZED("HTTP/1.1 400 Bad Request\r\n\r\n"), "no SETTINGS"},
	{SIZED("\0\0\4\6\0\0\0\0\0" "1234"), "no SETTINGS"},
	{SIZED("\0\0\0\4\0\0\0\0\0" "\0\0\4\6\0\0\0\0\0" "1234"), "wrong length"},
	{SIZED("\0\0\0\4\0\0\0\0\0" "\0\0\4\7\0\0\0\0\0" "1234"), "wrong length"},
	{SIZED("\0\0\0\4\0\0\0\0\0" "\0\0\1\0\1\0\0\0\0" "x"), "DATA: stream_id == 0"},
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
	{SIZED("\0\0\1\1\5\0\0\0\1\x88"), ANSWER_DONE, NULL},
	{SIZED("\0\0\1\1\4\0\0\0\1\x88"), ANSWER_BODY, NULL},
	{SIZED("\0\0\5\1\4\0\0\0\1\x88\x0f\x0d\1" "5" "\0\0\2\0\1\0\0\0\1" "ab"), ANSWER_BAD, "content-length"},
	{SIZED("\0\0\5\1\4\0\0\0\1\x08\3" "100" "\0\0\1\1\5\0\0\0\1\x88"), ANSWER_DONE, NULL},
	{SIZED("\0\0\5\1\5\0\0\0\1\x08\3" "103"), ANSWER_BAD, "without a final head"},
	{SIZED("\0\0\4\1\5\0\0\0\1\x0f\x0d\1" "5"), ANSWER_BAD, "status"},
	{SIZED("\0\0\1\1\4\0\0\0\1\x88" "\0\0\4\1\4\0\0\0\1\x0f\x0d\1" "5"), ANSWER_BAD, "trailers"},
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
	tcase_add_test(t, refused_lines);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed != 0;
}
