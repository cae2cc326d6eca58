/* HTTP/1: what is sent, and that answers are read the same however they are split. Raw bytes: test_raw.c. */
#include "proto_rig.h"

#define H11   "HTTP/1.1 200 OK\r\n"
#define CL(n) "Content-Length: " n "\r\n"
#define TE    "Transfer-Encoding: chunked\r\n"
#define ECHO  "X-Drainspec-Nonce: " NONCE "\r\n"
#define NEXT  "HTTP/1.1 200"    /* what follows a whole answer is the next one's */

struct expected {
	const char *text;       /* the answer */
	size_t n;               /* 0: strlen */
	enum answer_state state;
	int status;
	int64_t length;
	uint64_t body;
	const char *flags;      /* c close, 1 continued, u until close, e echo; NULL: none */
	int64_t echo_bad_at;    /* as in struct answer, but 0 stands for -1 and -1 for 0 */
	const char *bad;        /* part of the text */
	const char *request;    /* NULL: GET / */
};

#define DONE ANSWER_DONE
#define BAD  ANSWER_BAD
static const struct expected good[] = {
	{H11 CL("5") "\r\nhello", 0, DONE, 200, 5, 5, 0, 0, 0, 0},
	{"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", 0, DONE, 200, 5, 5, 0, 0, 0, 0},
	{"HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello", 0, DONE, 200, 5, 5, 0, 0, 0, 0},
	{"HTTP/1.1 200 \r\nCONTENT-LENGTH: \t 5 \t\r\n\r\nhello", 0, DONE, 200, 5, 5, 0, 0, 0, 0},
	{H11 CL("5") CL("5") "\r\nhello", 0, DONE, 200, 5, 5, 0, 0, 0, 0},
	{H11 CL("5, 5") "\r\nhello", 0, DONE, 200, 5, 5, 0, 0, 0, 0},
	{H11 CL("0") "\r\n", 0, DONE, 200, 0, 0, 0, 0, 0, 0},
	{H11 CL("00000000000000000000003") "\r\nabc", 0, DONE, 200, 3, 3, 0, 0, 0, 0},
	{H11 CL("3") "Connection: close\r\n\r\nabc", 0, DONE, 200, 3, 3, "c", 0, 0, 0},
	{H11 CL("3") "Connection: Foo , CLOSE,bar\r\n\r\nabc", 0, DONE, 200, 3, 3, "c", 0, 0, 0},
	{H11 CL("3") "Connection: closed\r\n\r\nabc", 0, DONE, 200, 3, 3, 0, 0, 0, 0},
	{H11 CL("3") "Connection: x,\r\n close\r\n\r\nabc", 0, DONE, 200, 3, 3, "c", 0, 0, 0},
	{H11 CL("3") "Connection: keep-alive, close\r\n\r\nabc", 0, DONE, 200, 3, 3, "c", 0, 0, 0},
	{H11 CL("3") "Connection: a-token-longer-than-the-buffer, close\r\n\r\nabc",
	 0, DONE, 200, 3, 3, "c", 0, 0, 0},
	{H11 CL("3") "Connection: close me\r\n\r\nabc", 0, DONE, 200, 3, 3, 0, 0, 0, 0},
	{H11 CL("3") "Connection: clo se\r\n\r\nabc", 0, DONE, 200, 3, 3, 0, 0, 0, 0},
	{"HTTP/1.0 200 OK\r\n" CL("3") "\r\nabc", 0, DONE, 200, 3, 3, "c", 0, 0, 0},
	{"HTTP/1.0 200 OK\r\n" CL("3") "Connection: Keep-Alive\r\n\r\nabc", 0, DONE, 200, 3, 3, 0, 0, 0, 0},
	{"HTTP/1.0 200 OK\r\n" TE "Connection: Keep-Alive\r\n\r\n0\r\n\r\n", 0, DONE, 200, -1, 0, "c", 0, 0, 0},
	{H11 "X: y\r\n z\r\n" CL("3") "\r\nabc", 0, DONE, 200, 3, 3, 0, 0, 0, 0},
	{H11 TE "\r\n5\r\nhello\r\n0\r\n\r\n", 0, DONE, 200, -1, 5, 0, 0, 0, 0},
	{H11 TE "\r\n5\r\nhello\r\n00A;x=\"y\";z\r\n0123456789\r\n0 ; q\r\n\r\n", 0, DONE, 200, -1, 15, 0, 0, 0, 0},
	{H11 TE "\r\n1\r\nx\r\n0\r\nContent-Length: 7\r\nA: b\n\r\n", 0, DONE, 200, -1, 1, 0, 0, 0, 0},
	{H11 "Transfer-Encoding: gzip, Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 0, DONE, 200, -1, 1, 0, 0, 0, 0},
	{H11 "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	 0, DONE, 200, -1, 0, 0, 0, 0, 0},
	{"HTTP/1.1 204 No Content\r\n\r\n", 0, DONE, 204, 0, 0, 0, 0, 0, 0},
	{"HTTP/1.1 304 Not Modified\r\n" CL("9") "\r\n", 0, DONE, 304, 0, 0, 0, 0, 0, 0},
	{"HTTP/1.1 304 Not Modified\r\n" TE "\r\n", 0, DONE, 304, 0, 0, 0, 0, 0, 0},
	{H11 CL("9") "\r\n", 0, DONE, 200, 0, 0, 0, 0, 0, "HEAD /"},
	{H11 "\r\n", 0, DONE, 200, 0, 0, 0, 0, 0, "CONNECT x:1"},
	{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 0, DONE, 101, 0, 0, 0, 0, 0, 0},
	{"HTTP/1.1 100 Continue\r\n\r\n" H11 CL("2") "\r\nok", 0, DONE, 200, 2, 2, "1", 0, 0, 0},
	{"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n" CL("9") "Connection: close\r\n\r\n" H11 CL("2") "\r\nok",
	 0, DONE, 200, 2, 2, 0, 0, 0, 0},
	{"HTTP/1.1 103 E\r\n" ECHO "\r\n" H11 CL("2") "\r\nok", 0, DONE, 200, 2, 2, 0, 0, 0, 0},
	{"HTTP/1.1 102 P\n\nHTTP/1.1 100 C\n\n" H11 CL("0") "\r\n", 0, DONE, 200, 0, 0, "1", 0, 0, 0},
	{"HTTP/1.1 503 Service Unavailable\r\n" CL("0") "\r\n", 0, DONE, 503, 0, 0, 0, 0, 0, 0},
	{H11 ECHO CL("20") "\r\n" NONCE "0123", 0, DONE, 200, 20, 20, "e", 0, 0, 0},
	{H11 ECHO CL("40") "\r\n" NONCE NONCE "01x34567", 0, DONE, 200, 40, 40, "e", 34, 0, 0},
	{H11 ECHO CL("4") "\r\nx123", 0, DONE, 200, 4, 4, "e", -1, 0, 0},
	{H11 ECHO TE "\r\n3\r\n012\r\n0D\r\n3456789abcdef\r\n12\r\n" NONCE "01\r\n0\r\n\r\n",
	 0, DONE, 200, -1, 34, "e", 0, 0, 0},
	{H11 ECHO TE "\r\n1\r\n0\r\n0\r\nX-Drainspec-Nonce: other\r\n\r\n", 0, DONE, 200, -1, 1, "e", 0, 0, 0},
	{H11 ECHO TE "\r\n3\r\n012\r\n3\r\n3x5\r\n0\r\n\r\n", 0, DONE, 200, -1, 6, "e", 4, 0, 0},
	{H11 "X-Drainspec-Nonce: 0123456789ABCDEF\r\n" CL("2") "\r\nab", 0, DONE, 200, 2, 2, 0, -1, 0, 0},
	{H11 "X-Drainspec-Nonce: 0123456789abcdef0\r\n" CL("2") "\r\n01", 0, DONE, 200, 2, 2, 0, -1, 0, 0},
	{H11 "X-Drainspec-Nonce:\r\n" CL("2") "\r\n01", 0, DONE, 200, 2, 2, 0, -1, 0, 0},
	{H11 "X-Drainspec-Nonce: f123456789abcdef\r\n" ECHO CL("2") "\r\n01", 0, DONE, 200, 2, 2, 0, -1, 0, 0},
};

/* Cut or endless: state is that of the end of the text; those until close are completed by eof(). */
static const struct expected partial[] = {
	{"", 0, ANSWER_NONE, 0, 0, 0, 0, 0, 0, 0},
	{"HTTP", 0, ANSWER_HEAD, 0, 0, 0, 0, 0, 0, 0},
	{H11 CL("5"), 0, ANSWER_HEAD, 200, 0, 0, 0, 0, 0, 0},
	{"HTTP/1.1 100 Continue\r\n\r\n", 0, ANSWER_NONE, 0, 0, 0, "1", 0, 0, 0},
	{H11 CL("5") "\r\n", 0, ANSWER_BODY, 200, 5, 0, 0, 0, 0, 0},
	{H11 CL("5") "\r\nhell", 0, ANSWER_BODY, 200, 5, 4, 0, 0, 0, 0},
	{H11 TE "\r\n5\r\nhello\r\n", 0, ANSWER_BODY, 200, -1, 5, 0, 0, 0, 0},
	{H11 TE "\r\n5\r\nhello\r\n0\r\n", 0, ANSWER_BODY, 200, -1, 5, 0, 0, 0, 0},
	{H11 TE "\r\n7fffffffffffffff\r\nhello", 0, ANSWER_BODY, 200, -1, 5, 0, 0, 0, 0},
	{H11 "\r\nhello", 0, ANSWER_BODY, 200, -2, 5, "cu", 0, 0, 0},
	{H11 "\r\n", 0, ANSWER_BODY, 200, -2, 0, "cu", 0, 0, 0},
	{H11 "Transfer-Encoding: gzip\r\n\r\nhello", 0, ANSWER_BODY, 200, -2, 5, "cu", 0, 0, 0},
	{"HTTP/1.0 200 OK\r\n\r\nhello", 0, ANSWER_BODY, 200, -2, 5, "cu", 0, 0, 0},
	{H11 ECHO "\r\n" NONCE NONCE "0", 0, ANSWER_BODY, 200, -2, 33, "cue", 0, 0, 0},
	{H11 CL("9223372036854775807") "\r\nx", 0, ANSWER_BODY, 200, INT64_MAX, 1, 0, 0, 0, 0},
};

static const struct expected bad[] = {
	{"SSH-2.0-OpenSSH\r\n", 0, BAD, 0, 0, 0, 0, 0, "HTTP/1.x (RFC 9112 4)", 0},
	{"\r\nHTTP/1.1 200 OK\r\n\r\n", 0, BAD, 0, 0, 0, 0, 0, "HTTP/1.x", 0},
	{"http/1.1 200 OK\r\n", 0, BAD, 0, 0, 0, 0, 0, "HTTP/1.x", 0},
	{"HTTP/2 200\r\n", 0, BAD, 0, 0, 0, 0, 0, "HTTP/1.x", 0},
	{"HTTP/1.x 200\r\n", 0, BAD, 0, 0, 0, 0, 0, "2.3", 0},
	{"HTTP/1.1\r\n", 0, BAD, 0, 0, 0, 0, 0, "no space before", 0},
	{"HTTP/1.1 20 OK\r\n", 0, BAD, 0, 0, 0, 0, 0, "three digits", 0},
	{"HTTP/1.1 099 OK\r\n", 0, BAD, 0, 0, 0, 0, 0, "three digits", 0},
	{"HTTP/1.1 2000 OK\r\n", 0, BAD, 200, 0, 0, 0, 0, "no space after", 0},
	{"HTTP/1.1 -20 OK\r\n", 0, BAD, 0, 0, 0, 0, 0, "three digits", 0},
	{"HTTP/1.1 200 a\rb\r\n", 0, BAD, 200, 0, 0, 0, 0, "CR without LF", 0},
	{"HTTP/1.1 200 a\0b\r\n", 19, BAD, 200, 0, 0, 0, 0, "NUL", 0},
	{H11 "A: b\rC: d\r\n\r\n", 0, BAD, 200, 0, 0, 0, 0, "CR without LF", 0},
	{H11 "A: b\r\n\rx", 0, BAD, 200, 0, 0, 0, 0, "CR without LF", 0},
	{H11 "A: b\0c\r\n\r\n", 26, BAD, 200, 0, 0, 0, 0, "NUL", 0},
	{H11 " A: b\r\n\r\n", 0, BAD, 200, 0, 0, 0, 0, "before the first field", 0},
	{H11 "A : b\r\n\r\n", 0, BAD, 200, 0, 0, 0, 0, "5.1", 0},
	{H11 ": b\r\n\r\n", 0, BAD, 200, 0, 0, 0, 0, "without a name", 0},
	{H11 "Abc\r\n\r\n", 0, BAD, 200, 0, 0, 0, 0, "without a colon", 0},
	{H11 "A(b): c\r\n\r\n", 0, BAD, 200, 0, 0, 0, 0, "no field name", 0},
	{H11 CL("5") CL("6") "\r\nhello", 0, BAD, 200, 0, 0, 0, 0, "two different values", 0},
	{H11 CL("5, 6") "\r\nhello", 0, BAD, 200, 0, 0, 0, 0, "two different values", 0},
	{H11 CL("5,") "\r\nhello", 0, BAD, 200, 0, 0, 0, 0, "empty", 0},
	{"HTTP/1.1 200 OK\nContent-Length: 5,\n\nhello", 0, BAD, 200, 0, 0, 0, 0, "empty", 0},
	{H11 CL("-5") "\r\nhello", 0, BAD, 200, 0, 0, 0, 0, "not a number", 0},
	{H11 CL("+5") "\r\nhello", 0, BAD, 200, 0, 0, 0, 0, "not a number", 0},
	{H11 CL("0x5") "\r\nhello", 0, BAD, 200, 0, 0, 0, 0, "not a number", 0},
	{H11 CL("5 5") "\r\nhello", 0, BAD, 200, 0, 0, 0, 0, "not a number", 0},
	{H11 CL("5\r\n 5") "\r\nhello", 0, BAD, 200, 0, 0, 0, 0, "not a number", 0},
	{H11 CL("") "\r\n", 0, BAD, 200, 0, 0, 0, 0, "empty", 0},
	{H11 CL("9223372036854775808") "\r\n", 0, BAD, 200, 0, 0, 0, 0, "overflows", 0},
	{H11 CL("18446744073709551617") "\r\n", 0, BAD, 200, 0, 0, 0, 0, "overflows", 0},
	{H11 CL("5") TE "\r\n0\r\n\r\n", 0, BAD, 200, 0, 0, 0, 0, "6.2", 0},
	{H11 "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 0, BAD, 200, 0, 0, 0, 0, "after chunked", 0},
	{H11 "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 0, BAD, 200, 0, 0, 0, 0, "after chunked", 0},
	{H11 TE "\r\n-1\r\n", 0, BAD, 200, -1, 0, 0, 0, "hexadecimal", 0},
	{H11 TE "\r\n\r\n", 0, BAD, 200, -1, 0, 0, 0, "hexadecimal", 0},
	{H11 TE "\r\n5g\r\n", 0, BAD, 200, -1, 0, 0, 0, "hexadecimal", 0},
	{H11 TE "\r\n8000000000000000\r\n", 0, BAD, 200, -1, 0, 0, 0, "overlong", 0},
	{H11 TE "\r\n00000000000000005\r\n", 0, BAD, 200, -1, 0, 0, 0, "overlong", 0},
	{H11 TE "\r\n5\nhello", 0, BAD, 200, -1, 0, 0, 0, "without CR", 0},
	{H11 TE "\r\n5;x\nhello", 0, BAD, 200, -1, 0, 0, 0, "without CR", 0},
	{H11 TE "\r\n5\rhello", 0, BAD, 200, -1, 0, 0, 0, "CR without LF", 0},
	{H11 TE "\r\n5\r\nhello0\r\n\r\n", 0, BAD, 200, -1, 5, 0, 0, "no CRLF", 0},
	{H11 TE "\r\n5\r\nhello\r0\r\n\r\n", 0, BAD, 200, -1, 5, 0, 0, "no CRLF", 0},
	{H11 TE "\r\n0\r\nA\r\n\r\n", 0, BAD, 200, -1, 0, 0, 0, "without a colon", 0},
};

static void check_answer(const struct expected *x, const struct answer *an)
{
	const char *flags = x->flags ? x->flags : "";

	ck_assert_msg(an->state == x->state, "state %d (%s): %s", an->state, an->bad ? an->bad : "", x->text);
	ck_assert_msg(an->status == x->status, "status %d: %s", an->status, x->text);
	ck_assert_msg(an->length == x->length, "length %ld: %s", (long)an->length, x->text);
	ck_assert_msg(an->body == x->body, "body %lu: %s", (unsigned long)an->body, x->text);
	ck_assert_msg(an->close == !!strchr(flags, 'c'), "close: %s", x->text);
	ck_assert_msg(an->continued == !!strchr(flags, '1'), "continued: %s", x->text);
	ck_assert_msg(an->until_close == !!strchr(flags, 'u'), "until close: %s", x->text);
	ck_assert_msg(an->echo == !!strchr(flags, 'e'), "echo: %s", x->text);
	ck_assert_msg(an->echo_bad_at == (x->echo_bad_at == 0 ? -1 : x->echo_bad_at < 0 ? 0 : x->echo_bad_at),
		      "echo bad at %ld: %s", (long)an->echo_bad_at, x->text);
	ck_assert_msg(!x->bad == !an->bad && (!x->bad || strstr(an->bad, x->bad)), "bad '%s': %s",
		      an->bad ? an->bad : "", x->text);
	ck_assert_msg(!an->bad || strstr(an->bad, "RFC 9112"), "cites no RFC: %s", an->bad);
}

static void read_all(const struct expected *x, const char *tail, bool eof_completes)
{
	const struct proto *p = proto_by_name("http1");
	struct request rq = {.line = x->request ? x->request : "GET /"};
	size_t n = x->n ? x->n : strlen(x->text), tail_n = strlen(tail);
	char *text = malloc(n + tail_n + 1);
	char state[128];
	struct answer an;

	memcpy(text, x->text, n);
	memcpy(text + n, tail, tail_n + 1);
	size_t used = feed(p, &rq, text, (size_t[]){n + tail_n}, 1, &an, state);

	check_answer(x, &an);
	if (x->state == ANSWER_DONE)
		ck_assert_msg(used == n, "used %zu of %zu: %s", used, n, text);
	every_split(p, &rq, text, n + tail_n, &an, used);
	p->eof(state, &an);
	ck_assert_int_eq(an.state, eof_completes ? ANSWER_DONE : x->state);
	ck_assert_uint_eq(p->feed(state, (const uint8_t *)"x", 1, &an, &(struct buf){0}), x->state < ANSWER_DONE && !eof_completes);
	free(text);
}

START_TEST(http1_good)
{
	read_all(&good[_i], NEXT, false);
	read_all(&good[_i], "", false);
}
END_TEST

START_TEST(http1_partial)
{
	read_all(&partial[_i], "", partial[_i].flags && strchr(partial[_i].flags, 'u'));
}
END_TEST

START_TEST(http1_bad)
{
	read_all(&bad[_i], "", false);
}
END_TEST

static void head_of(size_t lines, size_t value, enum answer_state state)
{
	const struct proto *p = proto_by_name("http1");
	struct request rq = {.line = "GET /"};
	struct buf b = {0};
	struct answer an;
	char st[128];

	buf_adds(&b, H11);
	for (size_t i = 0; i < lines; i++) {
		buf_adds(&b, "A: ");
		for (size_t j = 0; j < value; j++)
			buf_addc(&b, 'x');
		buf_adds(&b, "\r\n");
	}
	buf_adds(&b, CL("0") "\r\n");
	feed(p, &rq, b.p, (size_t[]){b.n / 2, b.n}, 2, &an, st);
	ck_assert_msg(an.state == state, "%zu lines of %zu: %d %s", lines, value, an.state, an.bad ? an.bad : "");
	buf_free(&b);
}

START_TEST(http1_head_limits)
{
	head_of(1, 250000, ANSWER_DONE);
	head_of(1, 256 * 1024, ANSWER_BAD);
	head_of(997, 1, ANSWER_DONE);
	head_of(998, 1, ANSWER_BAD);
}
END_TEST

START_TEST(http1_many_chunks)
{
	struct request rq = {.line = "GET /"};
	struct buf b = {0};
	struct answer an;
	char st[128];

	buf_adds(&b, H11 TE "\r\n");
	for (int i = 0; i < 3000; i++)
		buf_adds(&b, "1;ext\r\nx\r\n");
	buf_adds(&b, "0\r\n\r\n");
	feed(proto_by_name("http1"), &rq, b.p, (size_t[]){b.n}, 1, &an, st);
	ck_assert_int_eq(an.state, ANSWER_DONE);
	ck_assert_uint_eq(an.body, 3000);
	buf_clear(&b);
	buf_adds(&b, H11 TE "\r\n1;");
	for (int i = 0; i < 5000; i++)
		buf_addc(&b, 'x');
	feed(proto_by_name("http1"), &rq, b.p, (size_t[]){b.n}, 1, &an, st);
	ck_assert(an.state == ANSWER_BAD && strstr(an.bad, "7.1.1"));
	buf_free(&b);
}
END_TEST

START_TEST(http1_hash_and_echo)
{
	static const char text[] = H11 CL("9") "\r\nfoobarbaz";
	struct request rq = {.line = "GET /"};
	struct answer an;
	char st[128];

	feed(proto_by_name("http1"), &rq, text, (size_t[]){sizeof text - 1}, 1, &an, st);
	ck_assert_uint_eq(an.hash, fnv1a(FNV1A_START, (const uint8_t *)"foobarbaz", 9));
	ck_assert_uint_eq(fnv1a(FNV1A_START, (const uint8_t *)"foobar", 6), 0xbf9cf968);        /* published vector */

	uint8_t body[100];

	for (size_t at = 0; at < 16; at++)
		for (size_t wrong = 0; wrong <= sizeof body; wrong++) {
			for (size_t i = 0; i < sizeof body; i++)
				body[i] = (uint8_t)NONCE[(at + i) % 16] ^ (i == wrong);
			ck_assert_uint_eq(echo_check(NONCE, at, body, sizeof body), wrong);
		}
}
END_TEST

#define UA "User-Agent: drainspec (" NONCE ")\r\n"
START_TEST(http1_render)
{
	struct request rq = {.line = "GET /x", .host = "127.0.0.1:80"};

	render("http1", &rq, "GET /x HTTP/1.1\r\nHost: 127.0.0.1:80\r\n" UA ECHO "\r\n", ".0.0.1:80");
	rq.line = "POST /up";
	render("http1", &rq, "POST /up HTTP/1.1\r\nHost: 127.0.0.1:80\r\n" UA ECHO "Content-Length: 0\r\n\r\n", NULL);
	rq.body = 20;
	rq.expect_continue = true;
	render("http1", &rq, "POST /up HTTP/1.1\r\nHost: 127.0.0.1:80\r\n" UA ECHO
	       "Expect: 100-continue\r\nContent-Length: 20\r\n\r\n" NONCE "0123", NULL);

	const struct kv own[] = {{.key = "host", .value = "a"}, {.key = "user-agent", .value = "me"},
		{.key = "X-Drainspec-Nonce", .value = NULL}, {.key = "Transfer-Encoding", .value = "chunked"}};

	rq = (struct request){.line = "PUT /x HTTP/1.0", .headers = own, .n_headers = 4, .body = 18};
	render("http1", &rq, "PUT /x HTTP/1.0\r\nhost: a\r\nuser-agent: me\r\nTransfer-Encoding: chunked\r\n\r\n"
	       "12\r\n" NONCE "01\r\n0\r\n\r\n", "t: a\r\n");
	const struct kv none[] = {{.key = "host"}, {.key = "user-agent"}, {.key = "X-Drainspec-Nonce"}};

	rq = (struct request){.line = "GET /", .headers = none, .n_headers = 3};
	render("http1", &rq, "GET / HTTP/1.1\r\n\r\n", "\r\n");
}
END_TEST

START_TEST(refused_requests)
{
	static const struct kv headers[] = {
		{.key = "A b", .value = "x"}, {.key = "A", .value = "x\r\nB: c"}, {.key = "", .value = "x"},
	};
	static const struct {
		const char *proto;
		struct request rq;
		const char *says;
	} wrong[] = {
		{"http1", {.line = NULL}, "METHOD TARGET"},
		{"http1", {.line = ""}, "METHOD TARGET"},
		{"http1", {.line = "/x"}, "METHOD TARGET"},
		{"http1", {.line = "GET "}, "METHOD TARGET"},
		{"http1", {.line = "GET  /x"}, "METHOD TARGET"},
		{"http1", {.line = "GET /x y"}, "METHOD TARGET"},
		{"http1", {.line = "GET /x HTTP/2"}, "METHOD TARGET"},
		{"http1", {.line = "GET /\r\nX: y"}, "METHOD TARGET"},
		{"http1", {.line = "PUT /", .body = UINT64_MAX}, "1 GiB"},
		{"http1", {.line = "GET /", .headers = headers, .n_headers = 1}, "not the name"},
		{"http1", {.line = "GET /", .headers = headers + 1, .n_headers = 1}, "line break"},
		{"http1", {.line = "GET /", .headers = headers + 2, .n_headers = 1}, "not the name"},
		{"raw", {.line = ""}, "at least one byte"},
		{"raw", {.line = "a\\qb"}, "\\qb"},
		{"raw", {.line = "\\x4"}, "no escape"},
		{"raw", {.line = "x", .answer = "("}, "answer '('"},
		{"raw", {.line = "x", .answer = "[\\0]"}, "answer '[\\0]': the byte 0"},
	};
	struct buf out = {0};
	struct cuts cuts;

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct err err = {0};

		ck_assert_int_eq(proto_by_name(wrong[i].proto)->render(&wrong[i].rq, NONCE, &out, &cuts, &err), -1);
		ck_assert_msg(err.kind == ERR_USAGE && strstr(err.what, wrong[i].says), "%zu: %s", i, err.what);
		ck_assert_uint_eq(out.n, 0);
	}
	buf_free(&out);
}
END_TEST

START_TEST(table)
{
	ck_assert_ptr_null(proto_by_name("gopher"));
	ck_assert_ptr_null(proto_by_name(NULL));
	ck_assert_str_eq(protos[n_protos - 1]->name, "raw");    /* it recognises everything */
	for (size_t i = 0; i < n_protos; i++) {
		ck_assert_ptr_eq(proto_by_name(protos[i]->name), protos[i]);
		ck_assert(protos[i]->state_size <= 128);
	}
	ck_assert(protos[0]->recognise((const uint8_t *)"HTTP/1.0 4", 10));
	ck_assert(!protos[0]->recognise((const uint8_t *)"HTTP/1", 6));
	ck_assert(!protos[0]->recognise((const uint8_t *)"-ERR x\r\n", 8));
	ck_assert(!proto_by_name("raw")->recognise((const uint8_t *)"", 0));
}
END_TEST

#define N(array) ((int)(sizeof array / sizeof *array))
int main(void)
{
	Suite *s = suite_create("proto");
	TCase *tc = tcase_create("proto");

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, http1_good, 0, N(good));
	tcase_add_loop_test(tc, http1_partial, 0, N(partial));
	tcase_add_loop_test(tc, http1_bad, 0, N(bad));
	tcase_add_test(tc, http1_head_limits);
	tcase_add_test(tc, http1_many_chunks);
	tcase_add_test(tc, http1_hash_and_echo);
	tcase_add_test(tc, http1_render);
	tcase_add_test(tc, refused_requests);
	tcase_add_test(tc, table);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
