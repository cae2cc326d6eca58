/* UPG-*: generations that hand over, and what may be wrong in it. */
#include "judge_rig.h"

static unsigned at_us;          /* the clock of the story */

static int32_t visit(int generation)
{
	int32_t c = opened(at_us, "new");

	asks(at_us + 20, c, 0, "GET /");
	answers(at_us + 30, c, 0, 200, 16, "close");
	add(at_us + 30, EV_SERVED_BY, c, generation, PID + generation, "named");
	add(at_us + 40, EV_CLIENT_CLOSED, c, 0, 0, "one request each");
	at_us += 100;
	return c;
}

static void generation_census(int fds)
{
	add(at_us, EV_CENSUS, -1, ++g.census, 1, "generation");
	process(at_us, "S", PID + g.census, 1, 1, fds, CGT, "");
	at_us += 10;
}

/* One good hand-over to generation n; fds: that it has open then. */
static void hands_over(int n, int fds)
{
	add(at_us, EV_HANDOVER, n, PID + n - 1, SIGUSR1, "SIGUSR1 to the old one");
	add(at_us + 10, EV_GENERATION, n, PID + n, 77, "new process");
	at_us += 20;
	visit(n);
	add(at_us, EV_EXIT, 0, PID + n - 1, 0, "predecessor");
	add(at_us + 1, EV_GENERATION_GONE, n - 1, PID + n - 1, 0, NULL);
	at_us += 10;
	generation_census(fds);
}

static void begins_with(uint32_t times)
{
	client("new", PHASE_LOOP);
	g.sc.restart = (struct restart_spec){ .how = RESTART_HOT, .newest = true, .times = times, .within = NSEC_PER_SEC };
	g.sc.n_signals = 0;
	at_us = MS(2);
	starts();
	add(at_us, EV_GENERATION, 0, PID, 77, "new process, new socket");
	visit(0);
}

static void over(void)
{
	at_us += 100;
	add(at_us, EV_CENSUS, -1, ++g.census, 1, "end");
	process(at_us, "S", PID, 1, 1, 5, CGT, "");
	if (!g.no_wire)
		add(at_us + 1, EV_CAPTURE_END, -1, g.frame, 0, "sentinel frame 99");
	add(at_us + 2, EV_END, -1, 0, 0, NULL);
	judge();
}

START_TEST(good)
{
	begins_with(4);
	generation_census(5);
	for (int n = 1; n <= 4; n++)
		hands_over(n, 5);
	over();
	fails("");
	is("UPG-1", PASS);
	is("UPG-2", PASS);
	is("UPG-4", PASS);
	is("UPG-5", PASS);
	ck_assert_ptr_null(verdict("UPG-3"));
	says("UPG-1", "5 connections and 5 answers over 4 hand-overs, none lost");
	ck_assert_int_eq(g.res.outcome, PASS);
}
END_TEST

static int32_t refused(void)
{
	int32_t c = g.conns++;

	add(at_us, EV_CONNECT, c, PORT, 40000 + c, "new loop");
	add(at_us + 1, EV_REFUSED, c, ECONNREFUSED, 0, NULL);
	wire(at_us + 1, EV_W_SYN, c, 0, 0);
	wire(at_us + 1, EV_W_RST_SYN, c, 0, 0);
	at_us += 10;
	return c;
}

START_TEST(upg_1_refused)
{
	begins_with(1);
	add(at_us, EV_HANDOVER, 1, PID, SIGUSR1, "SIGUSR1 to the old one");
	at_us += 10;
	refused();
	refused();
	add(at_us, EV_GENERATION, 1, PID + 1, 78, "new process, new socket");
	visit(1);
	over();
	fails("UPG-1");
	says("UPG-1", "client new#1 was refused 11us after hand-over 1 (SIGUSR1 to the old one) began (frame");
	says("UPG-1", "of 4 connections 2 were lost: 2 refused");
}
END_TEST

START_TEST(upg_1_unanswered)
{
	begins_with(1);
	hands_over(1, 5);
	int32_t c = opened(at_us, "new");

	asks(at_us + 20, c, 0, "GET /");
	at_us += MS(900);
	still_open(at_us, c, TCP_ESTABLISHED, TCP_ESTABLISHED);
	over();
	fails("UPG-1");
	says("UPG-1", "has been waiting for its answer");
}
END_TEST

START_TEST(upg_1_reset)
{
	begins_with(1);
	hands_over(1, 5);
	int32_t c = opened(at_us, "new");

	asks(at_us + 20, c, 0, "GET /");
	rst(at_us + 50, c, 0, 0, 0);
	at_us += 100;
	over();
	fails("UPG-1");
	says("UPG-1", "was reset");
}
END_TEST

/* A kept connection is closed as its next request crosses the FIN: counted, and no loss. */
START_TEST(upg_1_idle_race)
{
	begins_with(1);
	hands_over(1, 5);
	int32_t c = opened(at_us, "new");

	asks(at_us + 20, c, 0, "GET /");
	answers(at_us + 30, c, 0, 200, 16, "keep-alive");
	asks(at_us + 40, c, 1, "GET /");
	fin(at_us + 60, c, 1, 0);
	at_us += 100;
	over();
	fails("");
	says("UPG-1", "1 kept ones were closed as their next request came");
}
END_TEST

START_TEST(upg_1_cut)
{
	begins_with(1);
	hands_over(1, 5);
	int32_t c = opened(at_us, "new");

	asks(at_us + 20, c, 0, "GET /");
	begins(at_us + 30, c, 0, 200, 64, "close");
	fin(at_us + 60, c, 0, 10);
	at_us += 100;
	over();
	fails("UPG-1");
	says("UPG-1", "was cut in its answer");
}
END_TEST

START_TEST(upg_2_lives)
{
	begins_with(1);
	add(at_us, EV_HANDOVER, 1, PID, SIGUSR1, "SIGUSR1 to the old one");
	add(at_us + 10, EV_GENERATION, 1, PID + 1, 77, "new process");
	at_us += 20;
	visit(1);
	at_us += MS(1000);
	add(at_us, EV_GENERATION_LIVES, 0, PID, 77, "waiting for a child process in wait4");
	over();
	fails("UPG-2");
	says("UPG-2", "process 100 of generation 0 is alive 1.00s after generation 1 gave its first answer, with the listening "
	     "socket open: waiting for a child");
}
END_TEST

START_TEST(upg_2_nobody_leaves)
{
	begins_with(1);
	g.sc.restart.newest = false;
	add(at_us, EV_HANDOVER, 1, PID, SIGUSR1, "SIGUSR1 to the master");
	add(at_us + 10, EV_GENERATION, 1, PID, 78, "new socket");
	at_us += 20;
	visit(1);
	over();
	fails("");
	is("UPG-2", SKIP);
}
END_TEST

static void bad_reload(bool hears)
{
	begins_with(1);
	hands_over(1, 5);
	add(at_us, EV_SPOILED, -1, 1, 0, "a.conf");
	add(at_us + 1, EV_HANDOVER, 2, PID + 1, SIGUSR1, "SIGUSR1 to the old one");
	at_us += 10;
	visit(1);
	add(at_us, EV_SPOILED, -1, 0, 0, "a.conf");
	at_us += 10;
	if (hears) {
		hands_over(3, 5);
	} else {
		add(at_us, EV_HANDOVER, 3, PID + 1, SIGUSR1, "SIGUSR1 to the old one");
		at_us += MS(1000);
		add(at_us, EV_DEADLINE, 3, NSEC_PER_SEC, 0, "hand-over 3");
	}
}

START_TEST(upg_3_good)
{
	bad_reload(true);
	over();
	fails("");
	is("UPG-3", PASS);
}
END_TEST

START_TEST(upg_3_deaf)
{
	bad_reload(false);
	over();
	fails("UPG-3");
	says("UPG-3", "it is deaf: hand-over 3");
}
END_TEST

START_TEST(upg_3_dies)
{
	begins_with(1);
	hands_over(1, 5);
	add(at_us, EV_SPOILED, -1, 1, 0, "a.conf");
	add(at_us + 1, EV_HANDOVER, 2, PID + 1, SIGUSR1, "SIGUSR1 to the old one");
	add(at_us + 50, EV_EXIT, 0, PID + 1, 0, "root");
	at_us += 60;
	refused();
	add(at_us, EV_SPOILED, -1, 0, 0, "a.conf");
	over();
	fails("UPG-3");
	says("UPG-3", "a bad a.conf");
	is("UPG-1", PASS);      /* charged once */
}
END_TEST

/* It does not read that file at all: nothing is proven. */
START_TEST(upg_3_not_its_file)
{
	begins_with(1);
	hands_over(1, 5);
	add(at_us, EV_SPOILED, -1, 1, 0, "a.conf");
	hands_over(2, 5);
	add(at_us, EV_SPOILED, -1, 0, 0, "a.conf");
	hands_over(3, 5);
	over();
	fails("");
	is("UPG-3", UNSURE);
}
END_TEST

START_TEST(upg_4_grows)
{
	begins_with(5);
	generation_census(5);
	for (int n = 1; n <= 5; n++)
		hands_over(n, 6 + n);
	over();
	fails("UPG-4");
	says("UPG-4", "5, 7, 8, 9, 10, 11");
}
END_TEST

START_TEST(upg_4_wavers)
{
	begins_with(5);
	generation_census(5);
	for (int n = 1; n <= 5; n++)
		hands_over(n, n == 4 ? 7 : 6 + n);
	over();
	fails("");
	is("UPG-4", PASS);
}
END_TEST

START_TEST(upg_5_nothing_happens)
{
	begins_with(1);
	add(at_us, EV_HANDOVER, 1, PID, SIGUSR1, "SIGUSR1 to the old one");
	at_us += MS(1000);
	add(at_us, EV_DEADLINE, 1, NSEC_PER_SEC, 0, "hand-over 1");
	over();
	fails("UPG-5");
	says("UPG-5", "hand-over 1 (SIGUSR1 to the old one): 1s later nobody listens who did not before");
}
END_TEST

START_TEST(upg_5_no_answer)
{
	begins_with(1);
	add(at_us, EV_HANDOVER, 1, PID, SIGUSR1, "SIGUSR1 to the old one");
	add(at_us + 10, EV_GENERATION, 1, PID + 1, 77, "new process");
	at_us += MS(1000);
	add(at_us, EV_DEADLINE, 1, NSEC_PER_SEC, 0, "hand-over 1");
	over();
	fails("UPG-5");
	says("UPG-5", "a new process listens, but it gave no answer");
}
END_TEST

/* The last generation is the target of round 1; sent its signal at at_us + 600. */
static void heir_signalled(int n)
{
	census_of(at_us + 50, "end", CGT);
	at_us += 100;
	g.ev.round = 1;
	add(at_us, EV_ROUND, -1, 1, 0, "the last generation");
	add(at_us + 1, EV_HEIR, -1, PID + n, 0, "generation 1 is stopped");
	add(at_us + 2, EV_LISTEN, 0, PORT, 77, "101/srv fd 3");
	at_us += 100;
	int32_t c = opened(at_us, "new");

	asks(at_us + 20, c, 0, "GET /");
	answers(at_us + 30, c, 0, 200, 16, "close");
	add(at_us + 40, EV_CLIENT_CLOSED, c, 0, 0, "one request each");
	add(at_us + 400, EV_CENSUS, -1, ++g.census, 1, "armed");
	process(at_us + 400, "S", PID + n, 1, 1, 5, CGT, "");
	add(at_us + 401, EV_ARMED, -1, 0, 0, NULL);
	add(at_us + 590, EV_LISTEN_ROW, 0, 0, 511, "signal");
	at_us += 600;
	events_add_at(&g.ev, AT(at_us), 0, EV_SIGNAL, 0, SIGTERM, AT(at_us + 4), "process 101");
	closes_listener((int)at_us + 200);
}

START_TEST(heir_ends)
{
	begins_with(1);
	hands_over(1, 5);
	heir_signalled(1);
	add(at_us + 300, EV_EXIT, 0, PID + 1, 0, "root");
	ends((int)at_us + 400);
	judge();
	fails("");
	is("EXI-1", PASS);
	is("EXI-2", PASS);
	is("LSN-1", PASS);
	/* who comes when it is stopped is no visitor of the hand-overs */
	says("UPG-1", "2 connections and 2 answers over 1 hand-over, none lost");
}
END_TEST

START_TEST(heir_fails)
{
	begins_with(1);
	hands_over(1, 5);
	heir_signalled(1);
	refused();
	add(at_us + 300, EV_EXIT, 0, PID + 1, 3, "root");
	ends((int)at_us + 400);
	judge();
	fails("EXI-1");
	is("UPG-1", PASS);
}
END_TEST

START_TEST(heir_has_no_signal)
{
	begins_with(1);
	hands_over(1, 5);
	census_of(at_us, "end", CGT);
	g.ev.round = 1;
	add(at_us + 1, EV_ROUND, -1, 1, 0, "the last generation");
	add(at_us + 2, EV_HEIR, -1, PID + 1, 0, "generation 1 is stopped");
	add(at_us + 3, EV_KILLED, 0, PID + 1, SIGKILL, "root");
	ends((int)at_us + 400);
	judge();
	fails("");
	is("HAR-3", UNSURE);
	says("HAR-3", "the target ended by itself before any signal: killed by SIGKILL");
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: hand-overs");
	TCase *tc = tcase_create("hand-overs");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(good), T(upg_1_refused), T(upg_1_unanswered), T(upg_1_reset), T(upg_1_idle_race), T(upg_1_cut);
	T(upg_2_lives), T(upg_2_nobody_leaves), T(upg_3_good), T(upg_3_deaf), T(upg_3_dies), T(upg_3_not_its_file);
	T(upg_4_grows), T(upg_4_wavers), T(upg_5_nothing_happens), T(upg_5_no_answer);
	T(heir_ends), T(heir_fails), T(heir_has_no_signal);
	return rig_main(s);
}
