/* The bottom layer: durations, names, nearest words, arenas, buffers, JSON strings, errors. */
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/names.h"

START_TEST(durations)
{
	static const struct {
		const char *text;
		nsec_t t;
	} good[] = {
		{"0", 0}, {"1ns", 1}, {"250us", 250000}, {"250µs", 250000}, {"1.5s", 1500000000}, {".5s", 500000000},
		{"100ms", 100000000}, {"2m", 120 * NSEC_PER_SEC}, {"1h", 3600 * NSEC_PER_SEC}, {"0s", 0},
	};
	static const char *const bad[] = {"", "5", "1.5", "s", "-1s", "+1s", " 1s", "1 s", "1sec", "0x10s", "inf", "nan",
					  "infs", "nans", "1e30h", "1..5s", "1s ", "5S"};
	nsec_t t;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		ck_assert_msg(duration_parse(good[i].text, &t) == 0, "%s", good[i].text);
		ck_assert_int_eq(t, good[i].t);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(duration_parse(bad[i], &t) < 0, "'%s' was taken for %ld", bad[i], (long)t);
	ck_assert_int_lt(duration_parse(NULL, &t), 0);
}
END_TEST

START_TEST(duration_texts)
{
	static const struct {
		nsec_t t;
		const char *text;
	} cases[] = {
		{0, "0ns"}, {1, "1ns"}, {999, "999ns"}, {1000, "1us"}, {61200, "61.2us"}, {450 * NSEC_PER_MSEC, "450ms"},
		{1230 * NSEC_PER_MSEC, "1.23s"}, {120 * NSEC_PER_SEC, "120s"}, {-5 * NSEC_PER_MSEC, "-5ms"},
	};
	char buf[24];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_str_eq(duration_text(cases[i].t, buf), cases[i].text);
	ck_assert_ptr_eq(duration_text(INT64_MAX, buf), buf);
	ck_assert_ptr_eq(duration_text(INT64_MIN + 1, buf), buf);
}
END_TEST

START_TEST(signals)
{
	ck_assert_int_eq(signal_number("SIGTERM"), SIGTERM);
	ck_assert_int_eq(signal_number("term"), SIGTERM);
	ck_assert_int_eq(signal_number("15"), SIGTERM);
	ck_assert_int_eq(signal_number("SIGRTMIN+2"), SIGRTMIN + 2);
	ck_assert_int_eq(signal_number("RTMIN"), SIGRTMIN);
	ck_assert_int_eq(signal_number("SIGTREM"), -1);
	ck_assert_int_eq(signal_number(""), -1);
	ck_assert_int_eq(signal_number("0"), -1);
	ck_assert_int_eq(signal_number("15x"), -1);
	ck_assert_int_eq(signal_number("99999999999"), -1);
	ck_assert_int_eq(signal_number("SIGRTMIN+99"), -1);
	for (int n = 1; n < 32; n++)
		ck_assert_int_eq(signal_number(signal_name(n)), n);
	ck_assert_str_eq(signal_name(SIGRTMIN + 1), "SIGRTMIN+1");
	ck_assert_str_eq(signal_name(99), "SIG99");
	ck_assert_str_eq(errno_name(ECONNRESET), "ECONNRESET");
	ck_assert_str_eq(errno_name(9999), "errno 9999");
	ck_assert_str_eq(tcp_state_name(10), "LISTEN");
	ck_assert_str_eq(tcp_state_name(0), "no socket");
	ck_assert_str_eq(tcp_state_name(1000), "no socket");
}
END_TEST

START_TEST(nearest)
{
	static const char *const words[] = {"clients", "signals", "target", "expect"};

	ck_assert_str_eq(nearest_word("clinets", words, 4), "clients");
	ck_assert_str_eq(nearest_word("CLIENT", words, 4), "clients");
	ck_assert_str_eq(nearest_word("taget", words, 4), "target");
	ck_assert_ptr_null(nearest_word("zzz", words, 4));
	ck_assert_ptr_null(nearest_word("", words, 4));
	ck_assert_ptr_null(nearest_word("clients", words, 0));
	ck_assert_ptr_null(nearest_word("a very long word, much longer than any that is known, more than sixty-four bytes",
					words, 4));
}
END_TEST

/* One assertion for a megabyte: each of check's costs a message to the runner. */
static int all_zero(const char *p, size_t n)
{
	while (n && !p[n - 1])
		n--;
	return n == 0;
}

START_TEST(arenas)
{
	struct arena *a = arena_new();
	char *small = arena_alloc(a, 1), *big = arena_alloc(a, 1 << 20);

	ck_assert_uint_eq((uintptr_t)small % 16, 0);
	ck_assert(all_zero(big, 1 << 20));
	memset(big, 7, 1 << 20);
	ck_assert_str_eq(arena_strdup(a, "x"), "x");
	ck_assert_ptr_null(arena_strdup(a, NULL));
	ck_assert_str_eq(arena_strndup(a, "abc", 2), "ab");
	ck_assert_uint_eq(strlen(arena_printf(a, "%300d", 1)), 300);
	for (int i = 0; i < 10000; i++)
		memset(arena_alloc(a, 100), i, 100);
	arena_reset(a);
	/* memory is used again, and clean */
	char *again = arena_alloc(a, 1 << 20);

	ck_assert(all_zero(again, 1 << 20));
	arena_free(a);
	arena_free(NULL);
}
END_TEST

/* Whatever the bytes are, JSON readers take the string. */
START_TEST(json_strings)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain", "\"plain\""}, {"a\"b\\c\n\t\x01\x7f", "\"a\\\"b\\\\c\\n\\t\\u0001\\u007f\""}, {"€", "\"€\""},
		{"\xff", "\"\xEF\xBF\xBD\""}, {"\xC0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
		{"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""}, {"\xE2\x82", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
	};
	struct buf b = {0};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_clear(&b);
		buf_json(&b, cases[i].in);
		ck_assert_str_eq(b.p, cases[i].out);
	}
	for (unsigned c = 0; c < 0x1000; c++) {
		char two[2] = {(char)(c >> 4), (char)(c & 0xFF)};

		buf_clear(&b);
		buf_jsonn(&b, two, 2);
		json_t *v = json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

		ck_assert_msg(v != NULL, "%s", b.p);
		json_decref(v);
	}
	buf_clear(&b);
	buf_json(&b, NULL);
	ck_assert_str_eq(b.p, "null");
	buf_free(&b);
}
END_TEST

START_TEST(buffers)
{
	struct buf b = {0};
	char want[32];
	static const int64_t numbers[] = {0, 1, -1, 10, INT64_MAX, INT64_MIN};

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		buf_clear(&b);
		buf_addi(&b, numbers[i]);
		snprintf(want, sizeof want, "%lld", (long long)numbers[i]);
		ck_assert_str_eq(b.p, want);
	}
	buf_clear(&b);
	for (int i = 0; i < 5000; i++)
		buf_printf(&b, "%d,", i % 10);
	ck_assert_uint_eq(b.n, 10000);
	ck_assert_int_eq(b.p[b.n], '\0');
	buf_printf(&b, "%5000d", 1);
	ck_assert_uint_eq(b.n, 15000);
	buf_free(&b);
	ck_assert_ptr_null(b.p);
}
END_TEST

START_TEST(errors)
{
	struct err e;
	char text[128];

	ck_assert_int_eq(err_set(&e, ERR_HARNESS, ENOENT, "open %s", "x"), -1);
	ck_assert_str_eq(err_text(&e, text, sizeof text), "open x: No such file or directory");
	/* the old text may go into the new one */
	err_set(&e, ERR_USAGE, 0, "first: %s", e.what);
	ck_assert_str_eq(err_text(&e, text, sizeof text), "first: open x");
	ck_assert_int_eq(err_at(&e, (struct span){"f", 3, 4}, "bad"), -1);
	ck_assert_str_eq(err_text(&e, text, sizeof text), "f:3:4: bad");
	err_at(&e, (struct span){"f", 0, 0}, "bad");
	ck_assert_str_eq(err_text(&e, text, sizeof text), "f: bad");
	ck_assert_int_eq(err_set(NULL, ERR_USAGE, 0, "nobody listens"), -1);
}
END_TEST

START_TEST(clocks)
{
	nsec_t a = clock_now(), offset = clock_real_offset(), b = clock_now();

	ck_assert_int_le(a, b);
	/* within ten milliseconds of a plain reading of both clocks */
	nsec_t plain = clock_ns(CLOCK_REALTIME) - clock_now();

	ck_assert_int_lt(plain > offset ? plain - offset : offset - plain, 10 * NSEC_PER_MSEC);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base");
	TCase *tc = tcase_create("base");

	suite_add_tcase(s, tc);
	tcase_add_test(tc, durations);
	tcase_add_test(tc, duration_texts);
	tcase_add_test(tc, signals);
	tcase_add_test(tc, nearest);
	tcase_add_test(tc, arenas);
	tcase_add_test(tc, json_strings);
	tcase_add_test(tc, buffers);
	tcase_add_test(tc, errors);
	tcase_add_test(tc, clocks);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
