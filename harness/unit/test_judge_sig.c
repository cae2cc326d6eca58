/* SIG-*: each passes, fails, and knows when to keep quiet. */
#include "judge_rig.h"

static int32_t waiting(void)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(slow, "GET /gate");

	add(MS(3), EV_GATE_REACHED, c, 0, 0, "x GET /gate");
	signalled();
	closes_listener(MS(5) + 200);
	return c;
}

static void answered(int32_t c, int us)
{
	answers(us, c, 0, 200, 64, "close");
	fin(us + 50, c, 1, 0);
}

static void over(int us)
{
	ends(us);
	judge();
}

/* ---- the first signal ---- */

START_TEST(sig_1)
{
	starts_with(NONE);
	signalled_with(SIGTERM, NONE);
	closes_listener(MS(6));
	add(MS(5) + 500, EV_KILLED, 0, PID, SIGTERM, "root");
	over(MS(9));
	fails("SIG-1");
	is("EXI-1", SKIP);
	is("EXI-3", PASS);
	says("SIG-1", "killed by SIGTERM");
}
END_TEST

/* vsftpd: the warm-up's QUIT was answered, and the connection closed by us before its FIN was read: raw bytes have no other end. */
START_TEST(sig_1_raw)
{
	add(0, EV_SCENARIO, -1, 0, 0, "{}");
	add(0, EV_SEES, -1, 63, 0, "all");
	add(2, EV_LAUNCH, 0, PID, 0, "./srv");
	add(3, EV_LISTEN, 0, PORT, 77, "x");
	int32_t w = opened(600, "warm-up");

	add(605, EV_GREETING, w, 20, 0, "220 ready");
	asks(610, w, 0, "QUIT");
	begins(620, w, 0, 0, -2, "keep-alive");
	add(625, EV_CLIENT_CLOSED, w, 0, 0, "warm-up is over");
	signalled_with(SIGTERM, NONE);
	closes_listener(MS(6));
	add(MS(5) + 500, EV_KILLED, 0, PID, SIGTERM, "root");
	over(MS(9));
	fails("SIG-1");
	is("EXI-1", SKIP);
}
END_TEST

START_TEST(sig_1_go_sets_all_bits)
{
	int32_t c = waiting();

	fin(MS(6), c, 0, 0);
	add(MS(6), EV_KILLED, 0, PID, SIGTERM, "root");
	over(MS(9));
	is("SIG-1", PASS);
	is("EXI-1", PASS);
	fails("CON-1");
}
END_TEST

START_TEST(sig_1_before_the_first_answer)
{
	add(0, EV_SCENARIO, -1, 0, 0, "{}");
	add(0, EV_SEES, -1, 63, 0, "all");
	add(2, EV_LAUNCH, 0, PID, 0, "./srv");
	add(3, EV_LISTEN, 0, PORT, 77, "x");
	signalled_with(SIGTERM, NONE);
	closes_listener(MS(6));
	add(MS(5) + 500, EV_KILLED, 0, PID, SIGTERM, "root");
	over(MS(9));
	fails("");
	is("SIG-1", SKIP);
	is("EXI-1", UNSURE);
}
END_TEST

static void sweep_round(int number, bool lost, bool serving)
{
	g.ev.round = (uint16_t)number;
	add(MS(20 * number), EV_ROUND, -1, number, 0, "signal 1ms after exec");
	add(MS(20 * number) + 1, EV_LAUNCH, 0, PID + number, 0, "./srv");
	events_add_at(&g.ev, AT(MS(20 * number + 1)), 0, EV_SIGNAL, 0, SIGTERM, AT(MS(20 * number + 1)) + 900, "process");
	if (!lost) {
		add(MS(20 * number + 2), EV_KILLED, 0, PID + number, SIGTERM, "root");
	} else {
		if (serving)
			add(MS(20 * number + 15), EV_READINESS, -1, 200, 0, NULL);
		add(MS(20 * number + 16), EV_HARNESS_KILL, -1, PID + number, SIGKILL, "alive after a signal during start-up");
		add(MS(20 * number + 17), EV_KILLED, 0, PID + number, SIGKILL, "root by harness");
	}
}

START_TEST(sig_2)
{
	g.sc.sweep = 3;
	starts();
	for (int i = 1; i < 4; i++)
		sweep_round(i, false, false);
	over(MS(90));
	fails("");
	is("SIG-2", PASS);
	says("SIG-2", "3 of 3");
	ck_assert_ptr_null(verdict("EXI-1"));
}
END_TEST

START_TEST(sig_2_lost)
{
	g.sc.sweep = 3;
	starts();
	sweep_round(1, false, false);
	sweep_round(2, true, true);
	over(MS(90));
	fails("SIG-2");
	says("SIG-2", "was lost");
}
END_TEST

START_TEST(sig_2_left)
{
	g.sc.sweep = 3;
	starts();
	sweep_round(1, false, false);
	add(MS(30), EV_LEFT_PROCESS, -1, 140, 1, "srv, state S, 1 threads");
	over(MS(90));
	fails("SIG-2");
}
END_TEST

/* It had 15 ms of 10 s. */
START_TEST(sig_2_unsure)
{
	g.sc.sweep = 3;
	starts();
	sweep_round(1, true, false);
	over(MS(90));
	is("SIG-2", UNSURE);
}
END_TEST

/* cheroot: the handler waits for worker threads that are not there yet. */
static void stuck(int waited_s, const char *suspect)
{
	g.sc.sweep = 3;
	starts();
	g.ev.round = 1;
	add(MS(20), EV_ROUND, -1, 1, 0, "signal 1ms after exec");
	add(MS(20) + 1, EV_LAUNCH, 0, PID + 1, 0, "./srv");
	events_add_at(&g.ev, AT(MS(21)), 0, EV_SIGNAL, 0, SIGTERM, AT(MS(21)) + 900, "process");
	add(MS(10029), EV_CPU_WAIT, -1, waited_s * NSEC_PER_SEC, 0, NULL);
	add(MS(10030), EV_AUTOPSY, -1, PID + 1, 0, suspect);
	add(MS(10031), EV_HARNESS_KILL, -1, PID + 1, SIGKILL, "alive after a signal during start-up");
	add(MS(10032), EV_KILLED, 0, PID + 1, SIGKILL, "root by harness");
	over(MS(10040));
}

START_TEST(sig_2_stuck)
{
	stuck(0, "thread 'srv' (101) in futex(0x1)");
	fails("SIG-2");
	says("SIG-2", "10.0s later it had neither ended nor answered anybody");
	says("SIG-2", "suspect: thread 'srv' (101) in futex(0x1)");
}
END_TEST

/* It would have run, and others had the CPUs: nobody knows where it was on its way to. */
START_TEST(sig_2_starved)
{
	stuck(39, "main thread 'srv' in running; no client socket open");
	fails("");
	is("SIG-2", UNSURE);
}
END_TEST

/* ---- the second ---- */

static int32_t second(int signo, enum second_policy policy)
{
	int32_t c = waiting();

	g.sc.expect.has_second = policy != SECOND_ANY;
	g.sc.expect.second = policy;
	add(MS(50), EV_SIGNAL, 1, signo, AT(MS(50)) + 3000, "process 100");
	return c;
}

START_TEST(sig_3_idempotent)
{
	int32_t c = second(SIGTERM, SECOND_IDEMPOTENT);

	add(MS(60), EV_GATE_RELEASED, -1, 1, 0, NULL);
	answered(c, MS(61));
	exits(MS(62), 0);
	over(MS(63));
	fails("");
	is("SIG-3", PASS);
}
END_TEST

START_TEST(sig_3_idempotent_cuts)
{
	int32_t c = second(SIGTERM, SECOND_IDEMPOTENT);

	fin(MS(51), c, 0, 0);
	exits(MS(52), 0);
	over(MS(63));
	fails("SIG-3");
	is("CON-1", SKIP);
}
END_TEST

/* Like second(), of a client in another phase. */
static int32_t second_of(enum phase phase, const char *line)
{
	unsigned spec = client("one", phase);

	g.sc.n_signals = 2;
	g.sc.expect.has_second = true;
	g.sc.expect.second = SECOND_IDEMPOTENT;
	starts();
	int32_t c = parked(spec, line);

	signalled();
	closes_listener(MS(5) + 200);
	add(MS(50), EV_SIGNAL, 1, SIGTERM, AT(MS(50)) + 3000, "process 100");
	return c;
}

/* The first request is owed and answered; the one behind it is rightly dropped. */
START_TEST(sig_3_idempotent_pipeline)
{
	int32_t c = second_of(PHASE_PIPELINED, "GET /gate");

	add(MS(60), EV_GATE_RELEASED, -1, 1, 0, NULL);
	answers(MS(61), c, 0, 200, 16, "close");
	fin(MS(62), c, 1, 0);
	exits(MS(63), 0);
	over(MS(64));
	fails("");
	is("SIG-3", PASS);
}
END_TEST

/* Nobody owes a whole answer to who never reads it. */
START_TEST(sig_3_idempotent_never_reads)
{
	int32_t c = second_of(PHASE_SLOW_READER, "GET /big");

	begins(MS(6), c, 0, 200, 16 << 20, "close");
	rst(MS(61), c, 2 << 20, 1 << 20, 1 << 20);
	exits(MS(62), 0);
	over(MS(63));
	is("SIG-3", PASS);
}
END_TEST

START_TEST(sig_3_force_ignored)
{
	int32_t c = second(SIGTERM, SECOND_FORCE);

	add(MS(60), EV_GATE_RELEASED, -1, 1, 0, NULL);
	answered(c, MS(61));
	exits(MS(62), 0);
	over(MS(63));
	fails("SIG-3");
	says("SIG-3", "did not end the drain");
}
END_TEST

START_TEST(sig_3_any)
{
	int32_t c = second(SIGTERM, SECOND_ANY);

	add(MS(60), EV_GATE_RELEASED, -1, 1, 0, NULL);
	answered(c, MS(61));
	exits(MS(62), 0);
	over(MS(63));
	fails("");
	is("SIG-3", PASS);
}
END_TEST

/* All was answered after the second signal, and the process stays. */
static void stays(int signo, enum second_policy policy)
{
	int32_t c = second(signo, policy);

	add(MS(60), EV_GATE_RELEASED, -1, 1, 0, NULL);
	answered(c, MS(61));
	hangs("main thread 'srv' in pause; no client socket open");
}

/* The same once more with the first signal alone; took: until the exit, 0: never. */
static void alone(int signo, int took)
{
	g.ev.round = 1;
	add(MS(11000), EV_ROUND, -1, 1, 1, "the first signal alone");
	add(MS(11001), EV_LAUNCH, 0, 200, 0, "./srv");
	add(MS(11002), EV_LISTEN, 0, PORT, 78, "x");
	events_add_at(&g.ev, AT(MS(11010)), 0, EV_SIGNAL, 0, signo, AT(MS(11010)) + 3, "process 200");
	add(MS(11011), EV_LISTENER_CLOSED, 0, PORT, AT(MS(11010)) + 10, NULL);
	if (took) {
		add(MS(11010 + took), EV_EXIT, 0, 200, 0, "root");
	} else {
		add(MS(21020), EV_HARNESS_KILL, -1, 200, SIGKILL, "the grace is over");
		add(MS(21021), EV_KILLED, 0, 200, SIGKILL, "root by harness");
	}
}

/* With one signal it ends: the second wedged it. */
START_TEST(sig_3_hangs)
{
	stays(SIGTERM, SECOND_ANY);
	alone(SIGTERM, 50);
	over(MS(21030));
	fails("SIG-3");
	says("SIG-3", "with the first signal alone: exit 0 after 50");
	is("EXI-2", SKIP);
	is("EXI-1", SKIP);
	ck_assert_uint_eq(g.res.connections[CONN_COMPLETED], 2);        /* that round counts nothing */
}
END_TEST

/* With one signal it hangs as well: the second is not to blame. */
START_TEST(sig_3_is_not_to_blame)
{
	stays(SIGTERM, SECOND_ANY);
	alone(SIGTERM, 0);
	over(MS(21030));
	fails("EXI-2");
	says("EXI-2", "the first signal alone does not end it either");
	is("SIG-3", SKIP);
}
END_TEST

/* Alone it ended later than the one with two was killed: nothing says that this one would not have ended by then. */
START_TEST(sig_3_no_less_patience)
{
	stays(SIGTERM, SECOND_ANY);
	alone(SIGTERM, 11500);
	add(MS(23000), EV_CPU_WAIT, -1, 4000000000, 0, NULL);
	over(MS(23030));
	fails("EXI-2");
	says("EXI-2", "with the first signal alone it takes longer than that too");
	is("SIG-3", SKIP);
}
END_TEST

/* Whoever promises that the second forces is held to that. */
START_TEST(sig_3_force_is_owed)
{
	stays(SIGTERM, SECOND_FORCE);
	over(MS(21030));
	fails("SIG-3");
}
END_TEST

/* The first signal alone could not be tried: what is still in flight speaks for the second signal, nothing for it if all is done. */
START_TEST(sig_3_not_tried_alone)
{
	stays(SIGTERM, SECOND_IDEMPOTENT);
	over(MS(21030));
	fails("EXI-2");
}
END_TEST

START_TEST(sig_3_wedged_in_flight)
{
	int32_t c = second(SIGTERM, SECOND_ANY);

	add(MS(60), EV_GATE_RELEASED, -1, 1, 0, NULL);
	still_open(MS(10004), c, 1, 1);
	hangs("main thread 'srv' in futex; 1 client socket open");
	over(MS(10010));
	fails("SIG-3");
}
END_TEST

START_TEST(sig_4_is_not_to_blame)
{
	stays(SIGINT, SECOND_ANY);
	alone(SIGTERM, 0);
	over(MS(21030));
	fails("EXI-2");
	is("SIG-4", SKIP);
}
END_TEST

START_TEST(sig_3_too_late)
{
	int32_t c = waiting();

	g.sc.n_signals = 2;
	g.signals[1].signo = SIGTERM;
	answered(c, MS(20));
	exits(MS(21), 0);
	add(MS(50), EV_SIGNAL_FAILED, 1, SIGTERM, ESRCH, "process 100");
	over(MS(51));
	is("SIG-3", SKIP);
}
END_TEST

START_TEST(sig_4_ignored)
{
	int32_t c = second(SIGINT, SECOND_ANY);

	add(MS(300), EV_GATE_RELEASED, -1, 1, 0, NULL);
	answered(c, MS(301));
	exits(MS(302), 0);
	over(MS(303));
	fails("SIG-4");
	ck_assert_int_eq(verdict("SIG-4")->level, SHOULD);
	ck_assert_int_eq(g.res.outcome, PASS);
}
END_TEST

START_TEST(sig_4_forces)
{
	int32_t c = second(SIGINT, SECOND_FORCE);

	fin(MS(51), c, 0, 0);
	exits(MS(52), 1);
	over(MS(53));
	fails("");
	is("SIG-4", PASS);
}
END_TEST

START_TEST(sig_4_force_ignored)
{
	second(SIGINT, SECOND_FORCE);
	still_open(MS(10004), 1, 1, 1);
	hangs("main thread 'srv' in epoll_wait");
	over(MS(10010));
	fails("SIG-4");
	ck_assert_int_eq(verdict("SIG-4")->level, MUST);
}
END_TEST

START_TEST(sig_6)
{
	g.sc.target.isolate = ISOLATE_CONTAINER;
	starts_with(NONE);
	add(MS(3), EV_CENSUS, -1, ++g.census, 1, "armed");
	process(MS(3), "S", PID, 1, 1, 5, NONE, ",\"pid1\":true");
	events_add_at(&g.ev, AT(MS(5)), 0, EV_SIGNAL, 0, SIGTERM, AT(MS(5)) + 3, "process 100");
	hangs("it still listens and waits for connections as if no signal had come");
	over(MS(10010));
	fails("SIG-6");
	is("EXI-2", SKIP);
	is("LSN-1", SKIP);
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: signals");
	TCase *tc = tcase_create("signals");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(sig_1), T(sig_1_raw), T(sig_1_go_sets_all_bits), T(sig_1_before_the_first_answer), T(sig_2), T(sig_2_lost);
	T(sig_2_left), T(sig_2_unsure), T(sig_2_stuck), T(sig_2_starved), T(sig_3_idempotent), T(sig_3_idempotent_cuts);
	T(sig_3_idempotent_pipeline), T(sig_3_idempotent_never_reads);
	T(sig_3_force_ignored), T(sig_3_any), T(sig_3_hangs), T(sig_3_is_not_to_blame), T(sig_3_force_is_owed),
	T(sig_3_no_less_patience), T(sig_3_not_tried_alone), T(sig_3_wedged_in_flight);
	T(sig_4_is_not_to_blame), T(sig_3_too_late), T(sig_4_ignored);
	T(sig_4_forces), T(sig_4_force_ignored), T(sig_6);
	return rig_main(s);
}
