/* Outcomes of connections, witnesses that disagree, logs that are no logs. */
#include "judge_rig.h"

START_TEST(completed)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(slow, "GET /gate");

	signalled();
	answers(MS(10), c, 0, 200, 64, "close");
	fin(MS(10) + 50, c, 1, 0);
	good_end();
	fails("");
	ck_assert_int_eq(g.res.outcome, PASS);
	ck_assert_int_eq(outcome_of(c), CONN_COMPLETED);
	ck_assert_int_eq(outcome_of(0), CONN_COMPLETED);        /* the warm-up */
	ck_assert_uint_eq(g.res.connections[CONN_COMPLETED], 2);
	is("CON-1", PASS);
	is("HAR-1", PASS);
	is("HAR-2", PASS);
	is("HAR-3", PASS);
	ck_assert_ptr_null(g.res.story);
}
END_TEST

START_TEST(truncated)
{
	unsigned slow = client("slow", PHASE_STREAMING);

	starts();
	int32_t c = parked(slow, "GET /gate/stream");

	signalled();
	fin(MS(6), c, 0, 32);
	good_end();
	ck_assert_int_eq(outcome_of(c), CONN_TRUNCATED);
	fails("CON-1");
	says("CON-1", "FIN after 32 of 64 bytes of body");
	ck_assert_int_eq(g.res.outcome, FAIL);
}
END_TEST

START_TEST(reset_in_flight)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(slow, "GET /gate");

	signalled();
	rst(MS(6), c, 0, 0, 0);
	good_end();
	ck_assert_int_eq(outcome_of(c), CONN_RESET_IN_FLIGHT);
	fails("CON-2");
	is("CON-1", SKIP);
	says("CON-1", "see CON-2");
}
END_TEST

START_TEST(fin_no_response)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(slow, "GET /gate");

	signalled();
	fin(MS(6), c, 0, 0);
	good_end();
	ck_assert_int_eq(outcome_of(c), CONN_FIN_NO_RESPONSE);
	fails("CON-1");
	says("CON-1", "FIN after 0 bytes of the answer");
	says("CON-1", "client slow#0: 100 bytes ACKed and proven waiting 2.95ms before SIGTERM");
	ck_assert_uint_gt(g.res.n_frames, 0);
}
END_TEST

START_TEST(tail_lost)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(slow, "GET /gate");

	signalled();
	begins(MS(6), c, 0, 200, 64, "close");
	rst(MS(7), c, 164, 132, 32);    /* 132 acknowledged: head and half the body; the rest was sent and died */
	good_end();
	ck_assert_int_eq(outcome_of(c), CONN_TAIL_LOST);
	fails("CON-3");
	ck_assert_int_eq(verdict("CON-3")->level, MUST);
}
END_TEST

START_TEST(idle_race)
{
	unsigned busy = client("busy", PHASE_LOOP);

	starts();
	int32_t c = opened(MS(2), "busy");

	(void)busy;
	asks(MS(3), c, 0, "GET /");
	answers(MS(3) + 100, c, 0, 200, 16, "keep-alive");
	asks(MS(5) - 20, c, 1, "GET /");
	signalled();
	rst(MS(5) + 100, c, 116, 116, 16);      /* b: bytes of the answer before, as the run layer leaves them */
	good_end();
	ck_assert_int_eq(outcome_of(c), CONN_IDLE_RACE);
	fails("");
}
END_TEST

/* Read, and not begun: a good server may drop it. */
START_TEST(loop_read)
{
	client("busy", PHASE_LOOP);
	starts();
	int32_t c = opened(MS(2), "busy");

	asks(MS(4), c, 0, "GET /");
	add(MS(5) - 10, EV_PEER_STATE, c, TCP_ESTABLISHED, 0, "inode 5 wqueue 0 timer 0");
	signalled();
	fin(MS(5) + 100, c, 0, 0);
	good_end();
	ck_assert_int_eq(outcome_of(c), CONN_FIN_NO_RESPONSE);
	fails("");
}
END_TEST

START_TEST(loop_in_its_handler)
{
	client("busy", PHASE_LOOP);
	starts();
	int32_t c = opened(MS(2), "busy");

	asks(MS(4), c, 0, "GET /gate");
	add(MS(4) + 50, EV_GATE_REACHED, c, 0, 0, "x GET /gate");
	signalled();
	fin(MS(5) + 100, c, 0, 0);
	good_end();
	ck_assert_int_eq(outcome_of(c), CONN_FIN_NO_RESPONSE);
	fails("CON-1");
}
END_TEST

START_TEST(backlog_reset)
{
	unsigned q = client("queued", PHASE_BACKLOG);

	starts();
	int32_t c = parked(q, "GET /");

	add(MS(4), EV_LISTEN_ROW, 0, 1, 511, "armed");
	signalled();
	add(MS(5) - 1, EV_LISTEN_ROW, 0, 1, 511, "signal");
	rst(MS(6), c, 0, 0, 0);
	good_end();
	ck_assert_int_eq(outcome_of(c), CONN_BACKLOG_RESET);
	fails("CON-8");
	ck_assert_int_eq(verdict("CON-8")->level, SHOULD);
	says("CON-8", "1 in the accept queue at SIGTERM (predicted lost), 1 lost");
	ck_assert_int_eq(g.res.outcome, PASS);
	ck_assert(g.res.should_failed);
}
END_TEST

static int32_t refused_at(int us)
{
	int32_t c = g.conns++;

	add(us, EV_CONNECT, c, PORT, 40000 + c, "new late");
	add(us + 5, EV_REFUSED, c, ECONNREFUSED, 0, NULL);
	return c;
}

START_TEST(refused)
{
	client("new", PHASE_LATE);
	starts();
	int32_t early = refused_at(MS(3));

	signalled();
	int32_t after = refused_at(MS(7));

	good_end();
	ck_assert_int_eq(outcome_of(early), CONN_REFUSED_EARLY);
	ck_assert_int_eq(outcome_of(after), CONN_REFUSED_AFTER);
	fails("");
}
END_TEST

START_TEST(accepted_late)
{
	client("new", PHASE_LATE);
	starts();
	signalled();
	int32_t c = opened(MS(5) + 20, "new");

	asks(MS(5) + 40, c, 0, "GET /");
	rst(MS(5) + 90, c, 0, 0, 0);
	good_end();
	ck_assert_int_eq(outcome_of(c), CONN_ACCEPTED_LATE);
	fails("");
}
END_TEST

START_TEST(hung)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(slow, "GET /gate");

	add(MS(3), EV_GATE_REACHED, c, 0, 0, "x GET /gate");
	signalled();
	closes_listener(MS(6));
	add(MS(7), EV_GATE_RELEASED, -1, 1, 0, NULL);
	still_open(MS(10004), c, 1, 1);
	hangs("main thread 'srv' in futex");
	fin(MS(10008), c, 0, 0);        /* our kill did that */
	ends(MS(10010));
	judge();
	ck_assert_int_eq(outcome_of(c), CONN_HUNG);
	fails("EXI-2");
	is("CON-1", SKIP);
	is("EXI-1", SKIP);
}
END_TEST

/* An unsettled end of each kind is exactly one of the eleven: whatever the log says. */
START_TEST(nameless)
{
	starts();
	signalled();
	good_end();
	uint32_t cites[FINDING_CITES];
	unsigned n;
	struct facts *f = facts_build(&g.sc, &g.ev, g.arena);

	ck_assert_int_eq(judge_conn(f, 99, cites, &n), CONN_HUNG);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(judge_conn(f, -1, cites, &n), CONN_HUNG);
}
END_TEST

/* ---- the witnesses ---- */

static int32_t in_flight(void)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(slow, "GET /gate");

	signalled();
	return c;
}

static void broken(const char *words)
{
	ck_assert_int_eq(g.res.outcome, BROKEN);
	is("HAR-1", BROKEN);
	says("HAR-1", words);
	ck_assert_ptr_nonnull(g.res.broken);
	ck_assert_uint_gt(verdict("HAR-1")->n_cites, 0);
}

START_TEST(more_read_than_sent)
{
	int32_t c = in_flight();

	answers(MS(10), c, 0, 200, 64000, "close");
	g.ev.v[g.ev.n - 1].a = 100;     /* W_LAST */
	fin(MS(11), c, 0, 100);
	good_end();
	broken("more bytes");
}
END_TEST

START_TEST(reset_without_rst)
{
	int32_t c = in_flight();

	add(MS(6), EV_RESET_SEEN, c, ECONNRESET, 0, NULL);
	good_end();
	broken("no RST");
}
END_TEST

START_TEST(eof_without_fin)
{
	int32_t c = in_flight();

	add(MS(6), EV_EOF_SEEN, c, 0, 0, NULL);
	good_end();
	broken("no FIN");
}
END_TEST

START_TEST(fin_but_still_open)
{
	int32_t c = in_flight();

	wire(MS(6), EV_W_FIN_S, c, 0, 0);
	closes_listener(MS(6));
	exits(MS(20), 0);
	still_open(MS(40), c, TCP_ESTABLISHED, 0);
	ends(MS(41));
	judge();
	broken("still ESTABLISHED");
}
END_TEST

START_TEST(refused_but_connected)
{
	client("new", PHASE_LATE);
	starts();
	signalled();
	int32_t c = refused_at(MS(7));

	wire(MS(7) + 1, EV_W_SYN, c, 0, 0);
	wire(MS(7) + 2, EV_W_SYNACK, c, 0, 0);
	good_end();
	broken("SYN/ACK");
}
END_TEST

START_TEST(incomplete_capture)
{
	int32_t c = in_flight();

	add(MS(6), EV_RESET_SEEN, c, ECONNRESET, 0, NULL);
	closes_listener(MS(6));
	exits(MS(20), 0);
	add(MS(21), EV_CAPTURE_END, -1, 10, 3, "sentinel frame 9");
	add(MS(22), EV_END, -1, 0, 0, NULL);
	judge();
	is("HAR-2", BROKEN);
	is("HAR-1", PASS);
	fails("CON-2");         /* ECONNRESET is an RST, with or without packets */
	ck_assert_int_eq(g.res.outcome, FAIL);
}
END_TEST

START_TEST(no_capture)
{
	g.no_wire = true;
	int32_t c = in_flight();

	add(MS(6), EV_NOTE, -1, 0, 0, "no capture: not permitted");
	rst(MS(6), c, 0, 0, 0);
	good_end();
	is("HAR-2", SKIP);
	says("HAR-2", "not permitted");
	fails("CON-2");
}
END_TEST

/* ---- logs that are none ---- */

START_TEST(empty)
{
	judge();
	ck_assert_int_eq(g.res.outcome, BROKEN);
	ck_assert_str_eq(g.res.broken, "the log is empty");
	ck_assert_uint_eq(g.res.n_verdicts, 1);
}
END_TEST

START_TEST(interrupted)
{
	in_flight();
	add(MS(6), EV_INTERRUPTED, -1, SIGINT, 0, NULL);
	add(MS(7), EV_END, -1, 0, 0, NULL);
	judge();
	ck_assert_int_eq(g.res.outcome, BROKEN);
	ck_assert_str_eq(g.res.broken, "the harness was interrupted");
}
END_TEST

/* Cut after every event: never a crash, never a verdict but BROKEN. */
START_TEST(cut)
{
	int32_t c = in_flight();

	answers(MS(10), c, 0, 200, 64, "close");
	fin(MS(10) + 50, c, 1, 0);
	good_end();
	for (size_t n = g.ev.n - 1; n-- > 0;) {
		g.ev.n = n;
		judge();
		ck_assert_int_eq(g.res.outcome, BROKEN);
		for (size_t i = 0; i < g.res.n_verdicts; i++)
			ck_assert_int_eq(g.res.verdicts[i].finding.outcome, BROKEN);
	}
}
END_TEST

START_TEST(absurd)
{
	static const int64_t values[] = { INT64_MIN, INT64_MAX, -1, 0, 1 };

	in_flight();
	for (unsigned k = 0; k < EV_N; k++)
		for (unsigned i = 0; i < 25; i++)
			events_add_at(&g.ev, values[(i + k) % 5], 7, (enum event_kind)k, (int32_t)(i % 4), values[i % 5],
				      values[i / 5], i % 3 ? "inode 99999999999999999999 root by harness" : NULL);
	judge();
	g.ev.n -= 25 * (EV_N - EV_BROKEN - 2);  /* and without the events that make it BROKEN at once */
	judge();
}
END_TEST

START_TEST(filters)
{
	char *only[] = { "CON-1", NULL }, *skip[] = { "con-1", NULL }, *names[] = { "some-scenario", NULL };
	int32_t c = in_flight();

	fin(MS(6), c, 0, 0);
	good_end();
	judge_all(&g.sc, &g.ev, only, NULL, g.arena, &g.res);
	ck_assert_uint_eq(g.res.n_verdicts, 1);
	is("CON-1", FAIL);
	judge_all(&g.sc, &g.ev, NULL, skip, g.arena, &g.res);
	ck_assert_ptr_null(verdict("CON-1"));
	judge_all(&g.sc, &g.ev, names, NULL, g.arena, &g.res);
	ck_assert_uint_gt(g.res.n_verdicts, 5);
	g.sc.only = only;
	judge_all(&g.sc, &g.ev, NULL, NULL, g.arena, &g.res);
	ck_assert_uint_eq(g.res.n_verdicts, 1);
}
END_TEST

START_TEST(story)
{
	int32_t c = in_flight();

	fin(MS(6), c, 0, 0);
	add(MS(21), EV_LOG_TAIL, -1, 1, 10, "last words\n");
	good_end();
	ck_assert_ptr_nonnull(strstr(g.res.story, "signal SIGTERM -> process 100"));
	ck_assert_ptr_nonnull(strstr(g.res.story, "[frame "));
	ck_assert_ptr_nonnull(strstr(g.res.story, "> "));
	ck_assert_str_eq(g.res.target_tail, "last words\n");
	unsigned lines = 0;

	for (const char *p = g.res.story; *p; p++)
		lines += *p == '\n';
	ck_assert_uint_le(lines, 12);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("judge");
	TCase *tc = tcase_create("outcomes");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, completed);
	tcase_add_test(tc, truncated);
	tcase_add_test(tc, reset_in_flight);
	tcase_add_test(tc, fin_no_response);
	tcase_add_test(tc, tail_lost);
	tcase_add_test(tc, idle_race);
	tcase_add_test(tc, loop_read);
	tcase_add_test(tc, loop_in_its_handler);
	tcase_add_test(tc, backlog_reset);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, accepted_late);
	tcase_add_test(tc, hung);
	tcase_add_test(tc, nameless);
	tc = tcase_create("witnesses");
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, more_read_than_sent);
	tcase_add_test(tc, reset_without_rst);
	tcase_add_test(tc, eof_without_fin);
	tcase_add_test(tc, fin_but_still_open);
	tcase_add_test(tc, refused_but_connected);
	tcase_add_test(tc, incomplete_capture);
	tcase_add_test(tc, no_capture);
	tc = tcase_create("logs");
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, empty);
	tcase_add_test(tc, interrupted);
	tcase_add_test(tc, cut);
	tcase_add_test(tc, absurd);
	tcase_add_test(tc, filters);
	tcase_add_test(tc, story);
	return rig_main(s);
}
