/* LSN-*: each passes, fails, and knows when to keep quiet. */
#include "judge_rig.h"

static void over(int us)
{
	ends(us);
	judge();
}

/* ---- the listener ---- */

START_TEST(lsn_1_late)
{
	starts();
	signalled();
	add(MS(2300), EV_LISTENER_CLOSED, 0, PORT, AT(MS(2299)), NULL);
	exits(MS(2301), 0);
	over(MS(2302));
	fails("LSN-1");
	says("LSN-1", "still open 2.29s after SIGTERM");
}
END_TEST

START_TEST(lsn_1_border)
{
	starts();
	signalled();
	add(MS(2300), EV_LISTENER_CLOSED, 0, PORT, AT(MS(1000)), NULL);
	exits(MS(2301), 0);
	over(MS(2302));
	is("LSN-1", UNSURE);
}
END_TEST

START_TEST(lsn_1_never_began)
{
	starts();
	signalled();
	hangs("it still listens");
	over(MS(10010));
	fails("EXI-2");
	is("LSN-1", SKIP);
	says("EXI-2", "never began to stop");
}
END_TEST

static void connects(int us, bool served)
{
	client("new", PHASE_LATE);
	int32_t c = opened(us, "new");

	asks(us + 20, c, 0, "GET /");
	if (served)
		answers(us + 30, c, 0, 200, 16, "close");
	fin(us + 100, c, served, 0);
}

/* Another socket (SO_REUSEPORT) takes over while the own ones are gone. */
START_TEST(lsn_2_leak)
{
	starts();
	signalled();
	closes_listener(MS(6));
	connects(MS(300), true);
	exits(MS(310), 0);
	over(MS(320));
	fails("LSN-2");
	says("LSN-2", "something else listens there");
}
END_TEST

START_TEST(lsn_2_hangs)
{
	client("new", PHASE_LATE);
	starts();
	signalled();
	closes_listener(MS(6));
	add(MS(20), EV_CONNECT, g.conns, PORT, 40000, "new late");
	still_open(MS(300), g.conns, TCP_SYN_SENT, 0);
	exits(MS(310), 0);
	over(MS(320));
	fails("LSN-2");
	says("LSN-2", "came to no end");
}
END_TEST

START_TEST(lsn_2_before_the_close)
{
	starts();
	signalled();
	connects(MS(5) + 50, false);
	closes_listener(MS(5) + 200);
	exits(MS(310), 0);
	over(MS(320));
	fails("");
}
END_TEST

START_TEST(lsn_2_accepts_after)
{
	starts();
	signalled();
	closes_listener(MS(6));
	connects(MS(20), false);
	exits(MS(30), 0);
	over(MS(31));
	fails("LSN-2");
}
END_TEST

static void rebind(int reuse, int plain)
{
	starts();
	signalled();
	closes_listener(MS(6));
	exits(MS(7), 0);
	add(MS(8), EV_REBIND, 0, reuse, plain, NULL);
}

START_TEST(lsn_3_time_wait)
{
	rebind(0, EADDRINUSE);
	over(MS(20));
	fails("");
	says("LSN-3", "TIME_WAIT");
}
END_TEST

START_TEST(lsn_3_holder)
{
	rebind(EADDRINUSE, EADDRINUSE);
	add(MS(9), EV_LEFT_PROCESS, -1, 104, 1, "srv, state S, 1 threads");
	add(MS(9), EV_PORT_HOLDER, 0, PORT, 4, "srv (pid 104, fd 5) is bound to 127.0.0.1:8080; stop it");
	over(MS(20));
	fails("LSN-3");
	is("RES-1", SKIP);
	says("LSN-3", "pid 104");
}
END_TEST

/* TIME_WAIT in the way of a bind with SO_REUSEADDR: the server had not set it. The failed restart is the same fault. */
START_TEST(lsn_3_server_without_reuseaddr)
{
	g.sc.restart.how = RESTART_AFTER_EXIT;
	rebind(EADDRINUSE, EADDRINUSE);
	add(MS(9), EV_PORT_HOLDER, 0, PORT, 7, "3 connections in TIME_WAIT; set SO_REUSEADDR");
	add(MS(10), EV_LAUNCH, 1, 101, 1, "restart");
	add(MS(14), EV_RESTART, -1, 0, 0, "it exited with 1 before it was ready");
	over(MS(20));
	fails("LSN-3");
	ck_assert_str_eq(verdict("LSN-3")->whose, "server");
	ck_assert_ptr_nonnull(strstr(verdict("LSN-3")->hint, "SO_REUSEADDR"));
	ck_assert_str_eq(verdict("LSN-4")->actual, "not charged twice: see LSN-3");
}
END_TEST

START_TEST(lsn_4)
{
	g.sc.restart.how = RESTART_AFTER_EXIT;
	rebind(0, EADDRINUSE);
	add(MS(10), EV_LAUNCH, 1, 101, 1, "restart");
	add(MS(12), EV_EXIT, 1, 101, 1, "root");
	add(MS(13), EV_PORT_HOLDER, 0, PORT, 7, "3 connections in TIME_WAIT; set SO_REUSEADDR");
	add(MS(14), EV_RESTART, -1, 0, 0, "it exited with 1 before it was ready");
	over(MS(20));
	fails("LSN-4");
	is("LSN-3", PASS);
	ck_assert_ptr_nonnull(strstr(verdict("LSN-4")->hint, "SO_REUSEADDR"));
}
END_TEST

START_TEST(lsn_5)
{
	char *removes[] = { "/tmp/x.pid", NULL };

	g.sc.expect.removes = removes;
	rebind(0, 0);
	add(MS(9), EV_LEFT_FILE, 1, 4, 0, "/tmp/x.pid");
	over(MS(20));
	fails("LSN-5");
	is("RES-4", PASS);
}
END_TEST

static void readiness(int last)
{
	g.sc.expect.readiness = "/healthz";
	starts();
	signalled();
	add(MS(6), EV_READINESS, -1, 200, 0, NULL);
	add(MS(10), EV_READINESS, -1, last, 0, NULL);
	closes_listener(MS(60));
	add(MS(61), EV_READINESS, -1, -ECONNREFUSED, 0, NULL);
	exits(MS(62), 0);
	over(MS(63));
}

START_TEST(lsn_6)
{
	readiness(503);
	fails("");
	is("LSN-6", PASS);
}
END_TEST

/* The port that goes first (metrics) is not the one that is asked. */
START_TEST(lsn_6_other_port_first)
{
	g.sc.expect.readiness = "/healthz";
	add(1, EV_LISTEN, 1, PORT + 1, 78, "100/srv fd 4");
	starts();
	add(511, EV_LISTEN, 1, PORT + 1, 78, "100/srv fd 4");
	add(512, EV_LISTEN_ROW, 1, 0, 511, "signal");
	signalled();
	add(MS(6), EV_READINESS, -1, 200, 0, NULL);
	add(MS(7), EV_LISTENER_CLOSED, 1, PORT + 1, AT(MS(7) - 100), NULL);
	add(MS(50), EV_READINESS, -1, 503, 0, NULL);
	closes_listener(MS(60));
	exits(MS(62), 0);
	over(MS(63));
	fails("");
	is("LSN-6", PASS);
}
END_TEST

START_TEST(lsn_6_lies)
{
	readiness(200);
	fails("LSN-6");
}
END_TEST

/* Killed on purpose: nothing else is judged, and that it does not come up again is a SHOULD. */
START_TEST(lsn_4_crash)
{
	g.sc.restart.how = RESTART_CRASH;
	starts();
	signalled_with(SIGKILL, CGT);
	add(MS(6), EV_KILLED, 0, PID, SIGKILL, "root");
	add(MS(10), EV_LAUNCH, 1, 101, 1, "restart");
	add(MS(11), EV_PORT_HOLDER, 0, PORT, 1, "srv (pid 102, fd 4) listens");
	add(MS(12), EV_RESTART, -1, 0, 0, "the target exited with status 1 before it was ready");
	add(MS(13), EV_CAPTURE_END, -1, g.frame, 0, "sentinel frame 99");
	add(MS(14), EV_END, -1, 0, 0, NULL);
	judge();
	fails("LSN-4");
	ck_assert_int_eq(verdict("LSN-4")->level, SHOULD);
	says("LSN-4", "srv (pid 102, fd 4) listens");
	ck_assert_ptr_null(verdict("SIG-1"));
}
END_TEST

START_TEST(lsn_4_overlap)
{
	g.sc.restart.how = RESTART_OVERLAP;
	starts();
	signalled();
	add(MS(6), EV_HANDOVER, 1, PID, 0, "the same command is started while the old process drains");
	add(MS(8), EV_RESTART, -1, 1, 200, "it came up while the old one drained, and answers");
	exits(MS(20), 0);
	add(MS(21), EV_RESTART, -1, 0, 0, "the new process ended with the old one");
	add(MS(22), EV_LEFT_FILE, 2, 0, 0, "server.pid");
	g.sc.expect.removes = (char *[]){ "server.pid", NULL };
	add(MS(23), EV_CAPTURE_END, -1, g.frame, 0, "sentinel frame 99");
	add(MS(24), EV_END, -1, 0, 0, NULL);
	judge();
	fails("LSN-4 LSN-5");
	says("LSN-5", "server.pid is gone: the old process removed");
}
END_TEST

/* READY=1 was read 300 us before the second look found the listener. */
static void claims_early(bool early, enum ready_by by)
{
	g.sc.target.ready = by;
	starts();
	if (early)
		add(200, EV_READY_EARLY, 0, PORT, 0, NULL);
	signalled();
	closes_listener(MS(60));
	exits(MS(62), 0);
	over(MS(63));
}

START_TEST(lsn_7)
{
	claims_early(false, READY_NOTIFY);
	fails("");
	is("LSN-7", PASS);
}
END_TEST

START_TEST(lsn_7_early)
{
	claims_early(true, READY_NOTIFY);
	fails("LSN-7");
	says("LSN-7", "READY=1 was there 300us before port");
}
END_TEST

START_TEST(lsn_7_not_asked)
{
	claims_early(false, READY_LISTENING);
	fails("");
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: listeners");
	TCase *tc = tcase_create("listeners");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(lsn_1_late), T(lsn_1_border), T(lsn_1_never_began), T(lsn_2_leak);
	T(lsn_2_hangs), T(lsn_2_before_the_close), T(lsn_2_accepts_after), T(lsn_3_time_wait), T(lsn_3_holder);
	T(lsn_3_server_without_reuseaddr), T(lsn_4), T(lsn_5), T(lsn_6), T(lsn_6_other_port_first), T(lsn_6_lies), T(lsn_7), T(lsn_7_early), T(lsn_7_not_asked);
	T(lsn_4_crash), T(lsn_4_overlap);
	return rig_main(s);
}
