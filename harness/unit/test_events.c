/* The event log: what is recorded comes back, what is broken is refused with its line, and recording is cheap. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/event.h"

static struct arena *arena;
static struct events ev, back;
static struct err err;
static char path[64];

static void setup(void)
{
	arena = arena_new();
	events_init(&ev, arena);
	events_init(&back, arena);
	err = (struct err){0};
	strcpy(path, "/tmp/drainspec-events-XXXXXX");
	close(mkstemp(path));
}

static void teardown(void)
{
	events_close(&ev);
	events_close(&back);
	arena_free(arena);
	unlink(path);
}

static char *file(void)
{
	static char text[65536];
	FILE *f = fopen(path, "r");
	size_t n = fread(text, 1, sizeof text - 1, f);

	fclose(f);
	text[n] = '\0';
	return text;
}

/* Names of the table must not hide each other or the fields that every line has. */
START_TEST(table)
{
	static const char *const fixed[] = {"seq", "t", "kind", "conn", "round", "frame", "text"};

	for (int i = 0; i < EV_N; i++) {
		const struct event_row *r = &event_rows[i];

		ck_assert_msg(*r->name && *r->help, "row %d", i);
		ck_assert_msg(!*r->a || strcmp(r->a, r->b), "%s: a and b have one name", r->name);
		for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++)
			ck_assert_msg(strcmp(r->a, fixed[k]) && strcmp(r->b, fixed[k]), "%s: a field '%s'", r->name, fixed[k]);
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(r->name, event_rows[k].name);
	}
}
END_TEST

START_TEST(format)
{
	ck_assert_int_eq(events_open(&ev, path, &err), 0);
	ck_assert_uint_eq(events_add_at(&ev, 5000, 0, EV_SCENARIO, -1, 77, 99, "{\"name\":\"x\"}"), 1);
	ck_assert_uint_eq(events_add_at(&ev, 17000, 4, EV_SIGNAL, 3, 15, 18000, "to \t\x01\xff"), 2);
	ev.round = 2;
	ck_assert_uint_eq(events_add_at(&ev, 4000, 0, EV_NOTE, -1, 7, 8, NULL), 3);
	ck_assert_uint_eq(events_add_at(&ev, INT64_MAX, EVENT_FRAME_MAX, EV_EXIT, -EVENT_CONN_MAX - 1, INT64_MIN, INT64_MAX, ""), 4);
	events_flush(&ev);
	ck_assert_str_eq(file(),
		"{\"seq\":1,\"t\":0,\"kind\":\"scenario\",\"t_mono\":5000,\"real_ns\":99,\"text\":\"{\\\"name\\\":\\\"x\\\"}\"}\n"
		"{\"seq\":2,\"t\":12000,\"kind\":\"signal\",\"conn\":3,\"signo\":15,\"t_after\":13000,\"frame\":4,"
		"\"text\":\"to \\t\\u0001\xEF\xBF\xBD\"}\n"
		"{\"seq\":3,\"t\":-1000,\"kind\":\"note\",\"round\":2}\n"
		"{\"seq\":4,\"t\":9223372036854770807,\"kind\":\"exit\",\"conn\":-4194304,\"round\":2,"
		"\"pid\":-9223372036854775808,\"code\":9223372036854775807,\"frame\":16777215,\"text\":\"\"}\n");
}
END_TEST

START_TEST(comes_back)
{
	int cut = 1;

	ck_assert_int_eq(events_open(&ev, path, &err), 0);
	events_add(&ev, EV_SCENARIO, -1, 0, 0, "{}");
	for (int i = 0; i < 1000; i++) {
		ev.round = (uint16_t)(i / 100);
		events_addf(&ev, i % EV_N, i, i * 3, -i, "text %d %s", i, "\"\\\n€");
		if (i % 7 == 0)
			events_flush(&ev);
	}
	events_flush(&ev);
	ck_assert_int_eq(ev.write_errno, 0);
	ck_assert_int_eq(events_load(path, &back, &cut, &err), 0);
	ck_assert_int_eq(cut, 0);
	ck_assert_uint_eq(back.n, ev.n);
	ck_assert_int_eq(back.t0, ev.t0);
	for (size_t i = 0; i < ev.n; i++) {
		const struct event *x = event_at(&ev, (uint32_t)i + 1), *y = event_at(&back, (uint32_t)i + 1);
		const struct event_row *row = &event_rows[x->kind];

		ck_assert(x->t == y->t && x->conn == y->conn && x->kind == y->kind && x->round == y->round);
		ck_assert_int_eq(*row->a ? x->a : 0, y->a);
		ck_assert_int_eq(*row->b ? x->b : 0, y->b);
		ck_assert_pstr_eq(x->text, y->text);
	}
	ck_assert_ptr_null(event_at(&back, 0));
	ck_assert_ptr_null(event_at(&back, (uint32_t)back.n + 1));
}
END_TEST

/* A writer that was killed leaves half a line: everything before it stands. */
START_TEST(cut)
{
	static const char text[] = "{\"seq\":1,\"t\":0,\"kind\":\"note\"}\n{\"seq\":2,\"t\":5,\"kind\":\"note\",\"text\":\"a\"}";
	int was_cut;

	for (size_t n = 0; n < sizeof text; n++) {
		events_close(&back);
		events_init(&back, arena);
		ck_assert_int_eq(events_parse("f", text, n, &back, &was_cut, &err), 0);
		/* a line that lacks nothing but its end is whole */
		int whole = n == 0 || n == 29 || n == 30 || n == sizeof text - 1;

		ck_assert_msg(was_cut == !whole, "%zu bytes", n);
		ck_assert_uint_eq(back.n, n < 29 ? 0 : n < sizeof text - 1 ? 1 : 2);
	}
}
END_TEST

static const struct {
	const char *text, *says;
} refused[] = {
	{"garbage\n", "f:1:7: not JSON: '[' or '{' expected near 'garbage'"},
	{"\n", "f:1:1: not JSON: '[' or '{' expected near end of file"},
	{"[]\n", "f:1:1: not an event"},
	{"{}\n", "f:1:1: no whole number in 'seq'"},
	{"{\"seq\":2,\"t\":0,\"kind\":\"note\"}\n", "f:1:1: not the number that follows in 'seq'"},
	{"{\"seq\":1,\"t\":0,\"kind\":\"nope\"}\n", "f:1:1: unknown kind of event 'nope'"},
	{"{\"seq\":1,\"t\":0,\"kind\":7}\n", "f:1:1: no text in 'kind'"},
	{"{\"seq\":1,\"kind\":\"note\"}\n", "f:1:1: no whole number in 't'"},
	{"{\"seq\":1,\"t\":1.5,\"kind\":\"note\"}\n", "f:1:1: no whole number in 't'"},
	{"{\"seq\":1,\"t\":99999999999999999999,\"kind\":\"note\"}\n", "f:1:33: not JSON: too big integer near "
	 "'99999999999999999999'"},
	{"{\"seq\":1,\"t\":1,\"kind\":\"scenario\",\"t_mono\":9223372036854775807}\n", "f:1:1: a number beyond its range in 't'"},
	{"{\"seq\":1,\"t\":0,\"kind\":\"scenario\"}\n", "f:1:1: no whole number in 't_mono'"},
	{"{\"seq\":1,\"t\":0,\"kind\":\"note\",\"conn\":2147483648}\n", "f:1:1: a number beyond its range in 'conn'"},
	{"{\"seq\":1,\"t\":0,\"kind\":\"note\",\"round\":65536}\n", "f:1:1: a number beyond its range in 'round'"},
	{"{\"seq\":1,\"t\":0,\"kind\":\"note\",\"frame\":-1}\n", "f:1:1: a number beyond its range in 'frame'"},
	{"{\"seq\":1,\"t\":0,\"kind\":\"note\",\"pid\":1}\n", "f:1:1: unknown field 'pid'"},
	{"{\"seq\":1,\"t\":0,\"kind\":\"note\",\"text\":null}\n", "f:1:1: no text in 'text'"},
	{"{\"seq\":1,\"seq\":1,\"t\":0,\"kind\":\"note\"}\n", "f:1:14: not JSON: duplicate object key near '\"seq\"'"},
	{"{\"seq\":1,\"t\":0,\"kind\":\"note\"}\n{\"seq\":1,\"t\":0,\"kind\":\"note\"}\n", "f:2:1: not the number that follows in 'seq'"},
};

START_TEST(refusals)
{
	char what[1024];
	int was_cut;

	ck_assert_int_eq(events_parse("f", refused[_i].text, strlen(refused[_i].text), &back, &was_cut, &err), -1);
	ck_assert_str_eq(err_text(&err, what, sizeof what), refused[_i].says);
}
END_TEST

/* A full disk is remembered, not fatal, and what is in memory stays. */
START_TEST(write_errors)
{
	ck_assert_int_eq(events_open(&ev, "/nowhere/events", &err), -1);
	ck_assert_int_eq(err.kind, ERR_HARNESS);
	ck_assert_int_eq(events_open(&ev, "/dev/full", &err), 0);
	events_add(&ev, EV_NOTE, -1, 0, 0, "x");
	events_flush(&ev);
	ck_assert_int_eq(ev.write_errno, 28);
	events_add(&ev, EV_NOTE, -1, 0, 0, "y");
	events_flush(&ev);
	ck_assert_int_eq(ev.write_errno, 28);
	ck_assert_str_eq(event_at(&ev, 2)->text, "y");
	ck_assert_int_eq(events_load("/nowhere/events", &back, &(int){0}, &err), -1);
}
END_TEST

/* Memory only, and events that were recorded before the file was opened are in it. */
START_TEST(late_open)
{
	events_add(&ev, EV_NOTE, -1, 0, 0, "early");
	events_flush(&ev);
	ck_assert_int_eq(events_open(&ev, path, &err), 0);
	events_flush(&ev);
	ck_assert_ptr_nonnull(strstr(file(), "early"));
}
END_TEST

/* 19,000 connections with a dozen events each: recorded and written in well under a second, and cheap one by one. */
START_TEST(cheap)
{
	nsec_t from = clock_now();

	for (int i = 0; i < 240000; i++)
		events_add(&ev, EV_PROVEN, i / 12, 5, 1234567, i % 12 ? NULL : "accepted");
	nsec_t recorded = clock_now() - from;

	ck_assert_int_eq(events_open(&ev, path, &err), 0);
	from = clock_now();
	events_flush(&ev);
	nsec_t written = clock_now() - from;

	printf("an event: %ld ns to record, %ld ns to write\n", (long)(recorded / 240000), (long)(written / 240000));
	/* generous, for sanitizers and busy machines; the bench holds the real numbers */
	ck_assert_int_lt(recorded / 240000, 5000);
	ck_assert_int_lt(written / 240000, 20000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("events");
	TCase *tc = tcase_create("events");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, table);
	tcase_add_test(tc, format);
	tcase_add_test(tc, comes_back);
	tcase_add_test(tc, cut);
	tcase_add_loop_test(tc, refusals, 0, sizeof refused / sizeof *refused);
	tcase_add_test(tc, write_errors);
	tcase_add_test(tc, late_open);
	tcase_add_test(tc, cheap);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
