/* RESP: commands as in redis-cli, replies one by one, RESP3 tolerated, hostile sizes bounded. */
#include "proto_rig.h"

#include "base/arena.h"

START_TEST(renders)
{
	struct request rq = {.line = "PING"};

	render("resp", &rq, "*1\r\n$4\r\nPING\r\n", "4\r\nPING");
	rq.line = "set  k 'a b' \"\\x41\\n\\\"\" ''";
	render("resp", &rq, "*5\r\n$3\r\nset\r\n$1\r\nk\r\n$3\r\na b\r\n$3\r\nA\n\"\r\n$0\r\n\r\n", "3\r\nset");
	rq.line = "ECHO <$nonce>";
	render("resp", &rq, "*2\r\n$4\r\nECHO\r\n$18\r\n<" NONCE ">\r\n", NULL);
	rq = (struct request){.line = "SET k", .body = 20};
	render("resp", &rq, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20\r\n" NONCE "0123\r\n", NULL);
}
END_TEST

START_TEST(cuts_the_last_string)
{
	const struct proto *p = proto_by_name("resp");
	struct request rq = {.line = "SET key 0123456789"};
	struct buf out = {0};
	struct cuts cuts;

	ck_assert_int_eq(p->render(&rq, NONCE, &out, &cuts, NULL), 0);
	ck_assert_str_eq(out.p + cuts.head_end, "0123456789\r\n");
	ck_assert_str_eq(out.p + cuts.half_body, "56789\r\n");
	buf_free(&out);
}
END_TEST

START_TEST(splits)
{
	const struct proto *p = proto_by_name("resp");
	struct arena *arena = arena_new();
	struct request rq = {.line = " GET 'a;b' ;\n\nBLPOP k 0; XREAD BLOCK 0 STREAMS s $\nSUBSCRIBE c;SET x", .body = 7}, *v;
	struct err err = {0};
	size_t n;

	ck_assert_int_eq(p->split(&rq, arena, &v, &n, &err), 0);
	ck_assert_uint_eq(n, 5);
	ck_assert_str_eq(v[0].line, "GET 'a;b' ");
	ck_assert(!v[0].waits && v[1].waits && v[2].waits && v[3].waits && !v[4].waits);
	ck_assert(!v[0].body && v[4].body == 7);
	rq.line = "GET 'open";
	ck_assert(p->split(&rq, arena, &v, &n, &err) < 0 && strstr(err.what, "quote"));
	rq.line = "GET 'a'b";
	ck_assert(p->split(&rq, arena, &v, &n, &err) < 0);
	rq.line = " ; ";
	ck_assert(p->split(&rq, arena, &v, &n, &err) < 0);
	arena_free(arena);
}
END_TEST

static const struct {
	const char *line, *text;
	size_t used;            /* 0: all of it */
	enum answer_state state;
	int status;
} replies[] = {
	{"PING", "+PONG\r\n+PONG\r\n", 7, ANSWER_DONE, 200},
	{"GET a", "$5\r\nhello\r\n", 0, ANSWER_DONE, 200},
	{"GET a", "$5\r\nhel", 0, ANSWER_BODY, 0},
	{"GET a", "$-1\r\n:1\r\n", 5, ANSWER_DONE, 200},
	{"DEL a", ":12\r\n", 0, ANSWER_DONE, 200},
	{"EXEC", "*3\r\n+OK\r\n$1\r\n1\r\n*2\r\n:1\r\n$-1\r\n+NEXT\r\n", 29, ANSWER_DONE, 200},
	{"EXEC", "*3\r\n+OK\r\n$1\r\n1\r\n", 0, ANSWER_BODY, 0},
	{"BLPOP k 0", "*-1\r\n", 0, ANSWER_DONE, 200},
	{"BLPOP k 0", "-UNBLOCKED the server is stopping\r\n", 0, ANSWER_DONE, 500},
	{"GET a", "-LOADING Redis is loading\r\n", 0, ANSWER_DONE, 500},
	{"GET a", "-WRONGTYPE no string\r\n", 0, ANSWER_DONE, 400},
	{"GET a", "-NOAUTH Authentication required.\r\n", 0, ANSWER_DONE, 400},
	{"SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n", 0, ANSWER_BODY, 200},
	{"SUBSCRIBE c", "-ERR no\r\n", 0, ANSWER_DONE, 500},
	/* RESP3: pushes answer nothing, other types are what they would have been */
	{"GET a", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n$1\r\nx\r\n:1\r\n", 39, ANSWER_DONE, 200},
	{"GET a", ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n", 0, ANSWER_NONE, 0},
	{"GET a", "_\r\n", 0, ANSWER_DONE, 200},
	{"GET a", "#t\r\n,1.5\r\n", 4, ANSWER_DONE, 200},
	{"GET a", "%1\r\n+a\r\n:1\r\n", 0, ANSWER_DONE, 200},
	{"GET a", "=5\r\ntxt:x\r\n", 0, ANSWER_DONE, 200},
	{"GET a", "(3492890328409238509324850943850943825024385\r\n(1\r\n", 46, ANSWER_DONE, 200},
	{"GET a", ",-1.5e+10\r\n,inf\r\n", 11, ANSWER_DONE, 200},
	{"GET a", "!21\r\nSYNTAX invalid syntax\r\n", 0, ANSWER_DONE, 500},
	{"GET a", "!16\r\nWRONGTYPE no set\r\n", 0, ANSWER_DONE, 400},
	{"HGETALL h", "%2\r\n$1\r\na\r\n,1.5\r\n$1\r\nb\r\n~2\r\n#t\r\n_\r\n+NEXT\r\n", 35, ANSWER_DONE, 200},
	{"EXEC", "*9\r\n%1\r\n+k\r\n*0\r\n~0\r\n,1\r\n#f\r\n_\r\n(1\r\n=5\r\ntxt:x\r\n!5\r\nERR x\r\n$-1\r\n:1\r\n", 62, ANSWER_DONE, 200},
	{"EXEC", "*2\r\n*2\r\n!3\r\nERR\r\n-ERR\r\n=3\r\ntxt\r\n", 0, ANSWER_DONE, 200},
	{"EXEC", "*2\r\n%1\r\n+k\r\n~1\r\n:1\r\n", 0, ANSWER_BODY, 0},
	/* attributes belong to the value behind them */
	{"GET a", "|1\r\n+ttl\r\n:3600\r\n$1\r\nx\r\n+NEXT\r\n", 24, ANSWER_DONE, 200},
	{"GET a", "|1\r\n+ttl\r\n:3600\r\n", 0, ANSWER_NONE, 0},
	{"GET a", "|1\r\n+ttl\r\n:3600\r\n$1\r\n", 0, ANSWER_BODY, 0},
	{"GET a", "|1\r\n+k\r\n:1\r\n>2\r\n$10\r\ninvalidate\r\n", 0, ANSWER_NONE, 0},
	{"GET a", "|1\r\n+k\r\n%1\r\n+p\r\n*2\r\n|1\r\n+a\r\n+b\r\n,0.5\r\n#t\r\n*2\r\n:1\r\n|1\r\n+ttl\r\n:1\r\n:2\r\n:3\r\n", 68, ANSWER_DONE,
	 200},
	{"GET a", "|0\r\n-ERR x\r\n", 0, ANSWER_DONE, 500},
	{"GET a", "|1\r\n+k\r\n:1\r\n>1\r\n$10\r\ninvalidate\r\n", 0, ANSWER_NONE, 0},
	/* pushes: which of them are an answer */
	{"SUBSCRIBE c", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n", 0, ANSWER_BODY, 200},
	{"SUBSCRIBE c", ">2\r\n$10\r\ninvalidate\r\n_\r\n", 0, ANSWER_NONE, 0},
	{"SUBSCRIBE c", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n", 0, ANSWER_BODY, 200},
	{"UNSUBSCRIBE c", ">2\r\n$10\r\ninvalidate\r\n_\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n:1\r\n", 57, ANSWER_DONE, 200},
	{"UNSUBSCRIBE c", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n", 0, ANSWER_DONE, 200},
	{"GET a", "*1\r\n>1\r\n+x\r\n", 0, ANSWER_BAD, 0},
	/* deeper than the reader can */
	{"GET a", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*2\r\n%1\r\n+a\r\n*-1\r\n$4\r\na\r\nb\r\n:1\r\n", 59, ANSWER_DONE, 200},
	{"GET a", "*2\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*2\r\n*0\r\n~1\r\n*0\r\n|1\r\n+a\r\n+b\r\n:2\r\n:3\r\n", 60, ANSWER_DONE, 200},
	/* none of them */
	{"GET a", "#x\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "#\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "#tf\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "_x\r\n", 0, ANSWER_BAD, 0},
	{"GET a", ",1,5\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "(\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "%-1\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "*?\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "$?\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "*\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "%2147483648\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "$2\r\nabc\r\n", 0, ANSWER_BAD, 0},
	{"GET a", "=2\r\nab\r\r\n", 0, ANSWER_BAD, 0},
	/* what is no RESP, and what would take all memory */
	{"PING", "HTTP/1.1 400 Bad Request\r\n", 0, ANSWER_BAD, 0},
	{"PING", "$12x\r\n", 0, ANSWER_BAD, 0},
	{"PING", "$-2\r\n", 0, ANSWER_BAD, 0},
	{"PING", "*-2\r\n", 0, ANSWER_BAD, 0},
	{"PING", ":x\r\n", 0, ANSWER_BAD, 0},
	{"PING", "$9223372036854775807\r\nabc", 0, ANSWER_BODY, 0},
	{"PING", "*2147483647\r\n:1\r\n", 0, ANSWER_BODY, 0},
	{"PING", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", 0, ANSWER_DONE, 200},
	{"PING", ">1234567890123456789012345", 0, ANSWER_BAD, 0},
};

START_TEST(reads)
{
	const struct proto *p = proto_by_name("resp");
	struct request rq = {.line = replies[_i].line};
	const char *text = replies[_i].text;
	size_t n = strlen(text), whole = replies[_i].used ? replies[_i].used : n;
	struct answer an;
	char st[128];
	size_t used = feed(p, &rq, text, (size_t[]){n}, 1, &an, st);

	ck_assert_msg(an.state == replies[_i].state && an.status == replies[_i].status, "state %d, status %d: %s", an.state,
		      an.status, text);
	if (an.state == ANSWER_BAD)
		return;         /* where it is noticed may depend on the pieces */
	ck_assert_msg(used == whole, "used %zu of %zu: %s", used, n, text);
	an.note = NULL;
	every_split(p, &rq, text, n, &an, used);
}
END_TEST

START_TEST(says_what_the_error_said)
{
	const struct proto *p = proto_by_name("resp");
	struct request rq = {.line = "GET a"};
	struct answer an;
	_Alignas(8) char st[128];

	feed(p, &rq, "-UNBLOCKED client\x01 unblocked\r\n", (size_t[]){30}, 1, &an, st);
	ck_assert_str_eq(an.note, "-UNBLOCKED client? unblocked");
}
END_TEST

START_TEST(echoes)
{
	static const struct {
		const char *text;
		int64_t bad_at;
	} v[] = {
		{"$16\r\n" NONCE "\r\n", -1}, {"$16\r\n0123456789abcdeX\r\n", 15}, {"$3\r\n012\r\n", 0}, {"+PONG\r\n", 0},
	};
	const struct proto *p = proto_by_name("resp");
	struct request rq = {.line = "PING $nonce"};
	struct answer an;
	_Alignas(8) char st[128];

	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		feed(p, &rq, v[i].text, (size_t[]){strlen(v[i].text)}, 1, &an, st);
		ck_assert_int_eq(an.echo_bad_at, v[i].bad_at);
		ck_assert(an.echo == (v[i].bad_at < 0));
	}
}
END_TEST

static enum answer_state after_fin(const char *text)
{
	const struct proto *p = proto_by_name("resp");
	struct request rq = {.line = "SUBSCRIBE c"};
	struct answer an;
	_Alignas(8) char st[128] = {0};
	struct buf reply = {0};

	p->start(st, &rq, NONCE, &an);
	p->feed(st, (const uint8_t *)text, strlen(text), &an, &reply);
	p->eof(st, &an);
	p->stop(st);
	return an.state;
}

START_TEST(a_subscription_ends_between_messages)
{
	ck_assert_int_eq(after_fin("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"), ANSWER_DONE);
	ck_assert_int_eq(after_fin("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmess"), ANSWER_BODY);
	ck_assert_int_eq(after_fin("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n>"), ANSWER_BODY);
	ck_assert_int_eq(after_fin("*3\r\n$9\r\nsubs"), ANSWER_BODY);
}
END_TEST

START_TEST(a_long_line_is_refused)
{
	const struct proto *p = proto_by_name("resp");
	struct request rq = {.line = "PING"};
	size_t n = 200 * 1024;
	char *text = malloc(n + 1);
	struct answer an;
	_Alignas(8) char st[128];

	memset(text, 'x', n);
	text[0] = '+';
	text[n] = '\0';
	feed(p, &rq, text, (size_t[]){n}, 1, &an, st);
	ck_assert(an.state == ANSWER_BAD && strstr(an.bad, "64 KiB"));
	free(text);
}
END_TEST

START_TEST(recognises)
{
	const struct proto *p = proto_by_name("resp");

	ck_assert(p->recognise((const uint8_t *)"+PONG\r\n", 7));
	ck_assert(p->recognise((const uint8_t *)"-ERR unknown command 'GET'\r\n", 28));
	ck_assert(!p->recognise((const uint8_t *)"+OK POP3 ready\r\n", 16));
	ck_assert(!p->recognise((const uint8_t *)"HTTP/1.1 200 OK\r\n", 17));
	ck_assert(!p->recognise((const uint8_t *)"", 0));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("resp");
	TCase *tc = tcase_create("resp");
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, renders);
	tcase_add_test(tc, cuts_the_last_string);
	tcase_add_test(tc, splits);
	tcase_add_loop_test(tc, reads, 0, (int)(sizeof replies / sizeof *replies));
	tcase_add_test(tc, says_what_the_error_said);
	tcase_add_test(tc, echoes);
	tcase_add_test(tc, a_subscription_ends_between_messages);
	tcase_add_test(tc, a_long_line_is_refused);
	tcase_add_test(tc, recognises);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
