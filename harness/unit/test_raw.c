/* Raw bytes: escapes, and regular expressions that say when an answer is whole. */
#include "proto_rig.h"

#define ALL SIZE_MAX    /* everything belongs to the answer, and it does not end */

START_TEST(raw_render)
{
	struct request rq = {.line = "PING\\r\\n"};

	render("raw", &rq, "PING\r\n", "G\r\n");
	rq.line = "$nonce \\x41\\\\\\t$x";
	render("raw", &rq, NONCE " A\\\t$x", NULL);
	rq.line = "x";
	render("raw", &rq, "x", "x");
}
END_TEST

static const struct {
	const char *answer, *text;
	size_t used;            /* ALL: it does not end */
} raws[] = {
	{"[+]PONG\\r\\n", "+PONG\r\n+PONG\r\n", 7},
	{"[+]PONG\r\n", "+PONG\r\n", 7},
	{"^ERR [a-z]+\\x0a|[+]OK\\n", "+OK\nmore", 4},
	{"^OK\\n", "NOT OK\n", ALL},
	{"^OK\\n", "OK\nOK\n", 3},
	{"got $nonce\\.", "got " NONCE ". and on", 21},
	{"END\\x2e", "line\nline\nEND.", 14},
	{"END\\.", "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
		  "0123456789 0123456789 END.next", 114},
	{"^x.*END", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxEND", ALL},
	{"OK|NO", "OK", 2},
	{"[0-9]", "abc5def", 4},
	{NULL, "anything", ALL},
};

START_TEST(raw_answers)
{
	const struct proto *p = proto_by_name("raw");
	struct request rq = {.line = "x", .answer = raws[_i].answer};
	const char *text = raws[_i].text;
	size_t n = strlen(text), whole = raws[_i].used == ALL ? n : raws[_i].used;
	struct answer an;
	char st[128];
	size_t used = feed(p, &rq, text, (size_t[]){n}, 1, &an, st);

	ck_assert_msg(used == whole, "used %zu: %s", used, text);
	ck_assert_int_eq(an.state, raws[_i].used == ALL ? ANSWER_BODY : ANSWER_DONE);
	ck_assert_uint_eq(an.body, whole);
	ck_assert_uint_eq(an.hash, fnv1a(FNV1A_START, (const uint8_t *)text, whole));
	every_split(p, &rq, text, n, &an, used);
	p->eof(st, &an);
	ck_assert_int_eq(an.state, raws[_i].used == ALL && rq.answer ? ANSWER_BODY : ANSWER_DONE);
}
END_TEST

START_TEST(raw_nul_and_no_answer)
{
	const struct proto *p = proto_by_name("raw");
	struct request rq = {.line = "x", .answer = "\\xff[^a]\\x01"};
	struct answer an;
	char st[128];

	ck_assert_uint_eq(feed(p, &rq, "\0\xff\0\1\0", (size_t[]){5}, 1, &an, st), 4);
	rq.answer = NULL;
	feed(p, &rq, "", (size_t[]){0}, 1, &an, st);
	p->eof(st, &an);
	ck_assert_int_eq(an.state, ANSWER_NONE);        /* a FIN alone is no answer */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("raw");
	TCase *tc = tcase_create("raw");

	suite_add_tcase(s, tc);
	tcase_add_test(tc, raw_render);
	tcase_add_loop_test(tc, raw_answers, 0, (int)(sizeof raws / sizeof *raws));
	tcase_add_test(tc, raw_nul_and_no_answer);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
