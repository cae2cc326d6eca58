/* A gRPC call on HTTP/2: what is sent, and the ways in which it ends. */
#include "h2_rig.h"

static const struct {
	const char *status, *body;
	size_t n;
	enum answer_state state;
	int http, grpc;
} calls[] = {
	{"0", SIZED("\0\0\0\0\2\x08\1"), ANSWER_DONE, 200, 0},
	{"0", SIZED("\0\0\0\0\2\x08\1\0\0\0\0\0"), ANSWER_DONE, 200, 0},
	{"14", SIZED(""), ANSWER_DONE, 503, 14},
	{"1", SIZED(""), ANSWER_DONE, 503, 1},
	{"99", SIZED(""), ANSWER_DONE, 500, 99},
	{"0", SIZED("\0\0\0\0\2\x08"), ANSWER_BAD, 0, 0},
	{"0", SIZED("\0\0\0"), ANSWER_BAD, 0, 0},
	{NULL, SIZED("\0\0\0\0\2\x08\1"), ANSWER_BAD, 0, 0},
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

int main(void)
{
	Suite *s = suite_create("grpc calls");
	TCase *t = tcase_create("grpc calls");
	SRunner *r = srunner_create(s);

	tcase_add_loop_test(t, call, 0, sizeof calls / sizeof *calls);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);

	srunner_free(r);
	return failed != 0;
}
