/* CON-8 to CON-12: queues, listeners, slow readers, streams, ghosts. */
#include "judge_rig.h"

static int32_t one(enum phase phase, const char *line)
{
	unsigned spec = client("one", phase);

	starts();
	int32_t c = parked(spec, line);

	signalled();
	return c;
}

/* ---- queues and listeners ---- */

START_TEST(con_8_served)
{
	int32_t c = one(PHASE_BACKLOG, "GET /");

	answers(MS(6), c, 0, 200, 16, "close");
	fin(MS(7), c, 1, 0);
	good_end();
	fails("");
	is("CON-8", PASS);
}
END_TEST

static int32_t late(int us, bool refused)
{
	int32_t c = g.conns;

	if (!refused)
		return opened(us, "new");
	g.conns++;
	add(us, EV_CONNECT, c, PORT, 40000 + c, "new late");
	add(us + 5, EV_REFUSED, c, ECONNREFUSED, 0, NULL);
	return c;
}

/* The server holds its listener open and serves nobody: closed at us, which resets who came at 110 ms. */
static int32_t comes_late(int closed)
{
	client("new", PHASE_LATE);
	starts();
	signalled();
	int32_t c = late(MS(110), false);

	asks(MS(111), c, 0, "GET /");
	closes_listener(closed);
	return c;
}

START_TEST(con_8_late)
{
	int32_t c = comes_late(MS(200));

	rst(MS(200) + 10, c, 0, 0, 0);
	exits(MS(210), 0);
	ends(MS(211));
	judge();
	fails("CON-8");
	says("CON-8", "request sent 106ms after SIGTERM, then RST");
	ck_assert(verdict("CON-8")->level == SHOULD);
	ck_assert_int_eq(outcome_of(c), CONN_ACCEPTED_LATE);
}
END_TEST

START_TEST(con_8_late_is_served)
{
	int32_t c = comes_late(MS(200));

	answers(MS(112), c, 0, 503, 16, "close");
	fin(MS(113), c, 1, 0);
	exits(MS(210), 0);
	ends(MS(211));
	judge();
	fails("");
	is("CON-8", PASS);
}
END_TEST

START_TEST(con_8_late_is_lsn_1)
{
	int32_t c = comes_late(MS(2100));

	rst(MS(2100) + 10, c, 0, 0, 0);
	exits(MS(2110), 0);
	ends(MS(2111));
	judge();
	fails("LSN-1");
	is("CON-8", SKIP);
}
END_TEST

START_TEST(con_9_interleaves)
{
	client("new", PHASE_LATE);
	starts();
	signalled();
	closes_listener(MS(5) + 100);
	late(MS(6), true);
	add(MS(25), EV_LISTENER_BACK, 0, PORT, 99, NULL);
	int32_t c = late(MS(26), false);

	fin(MS(30), c, 0, 0);
	exits(MS(40), 0);
	ends(MS(41));
	judge();
	fails("CON-9");
	is("LSN-2", PASS);
}
END_TEST

START_TEST(con_9_row_only)
{
	one(PHASE_CONNECTED, NULL);
	fin(MS(6), 1, 0, 0);
	closes_listener(MS(5) + 100);
	add(MS(25), EV_LISTENER_BACK, 0, PORT, 99, NULL);
	exits(MS(40), 0);
	ends(MS(41));
	judge();
	fails("CON-9");
	says("CON-9", "inode 99, before 77");
}
END_TEST

START_TEST(con_9_restart_is_ours)
{
	client("new", PHASE_LATE);
	starts();
	signalled();
	closes_listener(MS(5) + 100);
	late(MS(6), true);
	exits(MS(40), 0);
	g.sc.restart.how = RESTART_AFTER_EXIT;
	add(MS(41), EV_LAUNCH, 1, 101, 1, "./srv");
	add(MS(45), EV_LISTENER_BACK, 0, PORT, 99, NULL);
	int32_t c = opened(MS(50), "warm-up");

	asks(MS(51), c, 0, "GET /");
	answers(MS(52), c, 0, 200, 16, "keep-alive");
	add(MS(53), EV_CLIENT_CLOSED, c, 0, 0, "the restart is proven");
	add(MS(54), EV_RESTART, -1, 1, 200, "ready again and it answers");
	ends(MS(55));
	judge();
	fails("");
	is("CON-9", PASS);
	is("LSN-2", PASS);
	is("LSN-4", PASS);
}
END_TEST

/* ---- slow, endless, untold ---- */

static int32_t slow_reader(void)
{
	static struct step_spec read = { .what = STEP_READ };

	g.sc.steps = &read;
	g.sc.n_steps = 1;
	return one(PHASE_SLOW_READER, "GET /big");
}

START_TEST(con_10)
{
	int32_t c = slow_reader();

	begins(MS(6), c, 0, 200, 1000, "close");
	fin(MS(7), c, 0, 400);
	good_end();
	fails("CON-10");
	says("CON-10", "400 of 1000");
	ck_assert_ptr_null(verdict("CON-1"));
}
END_TEST

/* A client that never reads may be cut by a server that bounds it. */
START_TEST(con_10_never_reads)
{
	int32_t c = one(PHASE_SLOW_READER, "GET /big");

	rst(MS(500), c, 4000, 2000, 0);
	good_end();
	fails("");
	ck_assert_ptr_null(verdict("CON-10"));
}
END_TEST

START_TEST(con_10_whole)
{
	int32_t c = slow_reader();

	answers(MS(6), c, 0, 200, 1000, "close");
	fin(MS(7), c, 1, 0);
	good_end();
	fails("");
	is("CON-10", PASS);
	is("PEER-2", PASS);
}
END_TEST

START_TEST(con_11)
{
	unsigned s = client("stream", PHASE_STREAMING);

	starts();
	int32_t c = parked(s, "GET /chunked");

	g.ev.v[g.ev.n - 2].b = -1;      /* its HEAD: chunked */
	signalled();
	fin(MS(6), c, 0, 500);
	good_end();
	fails("CON-11");
	is("CON-1", SKIP);
	says("CON-11", "500 bytes of a chunked body without its last chunk");
}
END_TEST

static int32_t ghost(int server_state)
{
	int32_t c = one(PHASE_CONNECTED, NULL);

	closes_listener(MS(6));
	exits(MS(7), 0);
	still_open(MS(20), c, TCP_ESTABLISHED, server_state);
	add(MS(22), EV_CLIENT_CLOSED, c, 0, 0, "end of the round");
	ends(MS(23));
	judge();
	return c;
}

START_TEST(con_12)
{
	int32_t c = ghost(0);

	fails("CON-12");
	ck_assert_int_eq(outcome_of(c), CONN_HUNG);
}
END_TEST

START_TEST(con_12_without_packets)
{
	g.no_wire = true;
	ghost(0);
	fails("CON-12");        /* the kernel's word is enough */
}
END_TEST

START_TEST(con_12_kernel_goes_on)
{
	ghost(TCP_FIN_WAIT1);
	fails("");
	is("CON-12", PASS);
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: queues");
	TCase *tc = tcase_create("queues");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(con_8_served), T(con_8_late), T(con_8_late_is_served), T(con_8_late_is_lsn_1);
	T(con_9_interleaves), T(con_9_row_only), T(con_9_restart_is_ours), T(con_10);
	T(con_10_never_reads), T(con_10_whole), T(con_11), T(con_12), T(con_12_without_packets);
	T(con_12_kernel_goes_on);
	return rig_main(s);
}
