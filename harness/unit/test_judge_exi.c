/* PEER-*, EXI-*, RES-*, HAR-*: each passes, fails, and knows when to keep quiet. */
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

/* ---- peers and the exit ---- */

START_TEST(peer_2)
{
	unsigned s = client("stuck", PHASE_SLOW_READER);

	starts();
	int32_t c = parked(s, "GET /big");

	signalled();
	closes_listener(MS(6));
	still_open(MS(10004), c, 1, 1);
	hangs("write blocked by client #1 (stuck, slow-reader): zero window");
	over(MS(10010));
	fails("PEER-2");
	ck_assert_int_eq(g.res.outcome, PASS);
	ck_assert_ptr_null(verdict("CON-10"));
}
END_TEST

START_TEST(peer_2_never_closes)
{
	unsigned s = client("keeps", PHASE_WAITING);

	g.clients[s].never_closes = true;
	starts();
	int32_t c = parked(s, "GET /gate");

	signalled();
	closes_listener(MS(6));
	answered(c, MS(7));
	hangs("waiting for client #1 (keeps, waiting) to close: it closed its own side");
	over(MS(10010));
	fails("PEER-2");
	is("CON-1", PASS);
}
END_TEST

static void ended_by(enum event_kind kind, int value, const char *text)
{
	starts();
	signalled();
	closes_listener(MS(6));
	add(MS(7), kind, 0, PID, value, text);
	over(MS(20));
}

START_TEST(exi_1)
{
	ended_by(EV_EXIT, 3, "root");
	fails("EXI-1");
	says("EXI-1", "exit 3");
}
END_TEST

START_TEST(exi_1_143)
{
	ended_by(EV_EXIT, 143, "root");
	fails("");
}
END_TEST

START_TEST(exi_1_raised_again)
{
	ended_by(EV_KILLED, SIGTERM, "root");
	fails("");
	says("EXI-1", "killed by SIGTERM");
}
END_TEST

START_TEST(exi_1_130_is_not_143)
{
	ended_by(EV_EXIT, 130, "root");
	fails("EXI-1");
}
END_TEST

START_TEST(exi_1_oom)
{
	ended_by(EV_KILLED, SIGKILL, "root");
	fails("EXI-1");
	ck_assert_str_eq(verdict("EXI-1")->whose, "environment");
}
END_TEST

START_TEST(exi_1_set)
{
	g.sc.expect.exits = g.exits;
	g.sc.expect.n_exits = 1;
	g.exits[0] = (struct exit_allowed){ EXIT_CODE, 3 };
	ended_by(EV_EXIT, 0, "root");
	fails("EXI-1");
}
END_TEST

static void ends_after_grace(int us)
{
	starts();
	signalled();
	closes_listener(MS(6));
	exits(MS(10005) + us, 0);
	over(MS(10200));
}

START_TEST(exi_2_teardown_is_allowed)
{
	ends_after_grace(4 + 1100);     /* 2 MiB: 200 us, and a look can be 1 ms late */
	fails("");
	is("EXI-2", PASS);
	says("EXI-2", "200us for the teardown of 2 MiB");
}
END_TEST

START_TEST(exi_2_border)
{
	ends_after_grace(MS(5));
	is("EXI-2", UNSURE);
}
END_TEST

START_TEST(exi_2_busy_machine)
{
	starts();
	signalled();
	closes_listener(MS(6));
	exits(MS(10105), 0);
	add(MS(10106), EV_CPU_WAIT, -1, 150 * NSEC_PER_MSEC, 0, NULL);
	over(MS(10200));
	is("EXI-2", PASS);
	says("EXI-2", "150ms because the machine was busy");
}
END_TEST

START_TEST(exi_2_busy_is_bounded)
{
	starts();
	signalled();
	closes_listener(MS(6));
	exits(MS(20105), 0);
	add(MS(20106), EV_CPU_WAIT, -1, 15 * NSEC_PER_SEC, 0, NULL);
	over(MS(20200));
	fails("EXI-2");
}
END_TEST

START_TEST(exi_2_late)
{
	ends_after_grace(MS(100));
	fails("EXI-2");
	is("EXI-1", PASS);
}
END_TEST

START_TEST(exi_3)
{
	ended_by(EV_KILLED, SIGABRT, "root core");
	fails("EXI-3");
	is("EXI-1", SKIP);
}
END_TEST

START_TEST(exi_3_words)
{
	starts();
	signalled();
	closes_listener(MS(6));
	exits(MS(7), 0);
	add(MS(8), EV_LOG_BAD, -1, 2, 10, "==1==ERROR: AddressSanitizer: heap-use-after-free");
	over(MS(20));
	fails("EXI-3");
}
END_TEST

/* The warm-up's request is in the log, the one in flight only if all are. */
static void logs_on(const char *line, bool all, bool full)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(slow, line);

	signalled();
	closes_listener(MS(5) + 200);
	answered(c, MS(10));
	exits(MS(20), 0);
	add(MS(21), EV_LOG_NONCE, 0, 1, 0, NULL);
	if (all)
		add(MS(21), EV_LOG_NONCE, c, 1, 0, NULL);
	if (full)
		add(MS(21), EV_LOG_FULL, -1, 0, 0, "no space left on the disk of run/x");
	over(MS(22));
}

static void logs(const char *line, bool all)
{
	logs_on(line, all, false);
}

START_TEST(exi_4)
{
	logs("GET /", true);
	fails("");
	is("EXI-4", PASS);
}
END_TEST

/* A path that was never seen in the log may be one that is left out. */
START_TEST(exi_4_not_logged)
{
	logs("GET /sleep", false);
	fails("");
}
END_TEST

START_TEST(exi_4_lost)
{
	logs("GET /", false);
	fails("EXI-4");
}
END_TEST

/* The disk is ours: what is not on it may have been said. */
START_TEST(exi_4_full_disk)
{
	logs_on("GET /", false, true);
	fails("");
	is("EXI-4", UNSURE);
	says("EXI-4", "no space left");
}
END_TEST

START_TEST(exi_4_full_disk_lost_nothing)
{
	logs_on("GET /", true, true);
	is("EXI-4", PASS);
}
END_TEST

START_TEST(exi_4_line)
{
	g.sc.expect.log = "^stopped after [0-9]+";
	ended_by(EV_EXIT, 0, "root");
	fails("EXI-4");
	g.ev.n -= 3;
	add(MS(30), EV_LOGLINE, -1, 1, 1, "stopped after 12 ms");
	over(MS(31));
	fails("");
}
END_TEST

/* ---- what is left ---- */

static void left(enum event_kind kind, int64_t a, int64_t b, const char *text)
{
	starts();
	signalled();
	closes_listener(MS(6));
	exits(MS(7), 0);
	add(MS(1008), kind, kind == EV_LEFT_HOLDER ? 0 : -1, a, b, text);
}

START_TEST(res_1)
{
	left(EV_LEFT_PROCESS, 104, 1, "srv, state S, 1 threads");
	over(MS(1100));
	fails("RES-1");
}
END_TEST

START_TEST(res_1_worker_holds)
{
	left(EV_LEFT_HOLDER, PORT, 104, "104/srv fd 3, CLOEXEC missing");
	add(MS(1009), EV_LEFT_PROCESS, -1, 104, 1, "srv, state S, 1 threads");
	add(MS(1010), EV_REBIND, 0, EADDRINUSE, EADDRINUSE, NULL);
	over(MS(1100));
	fails("RES-1");
	is("LSN-3", PASS);              /* of two looks one worked: the rig adds it */
	is("RES-5", SKIP);
}
END_TEST

START_TEST(res_5)
{
	left(EV_LEFT_HOLDER, PORT, 104, "104/sleep fd 3, CLOEXEC missing");
	add(MS(1009), EV_LEFT_PROCESS, -1, 104, 1, "sleep, state S, 1 threads");
	over(MS(1100));
	fails("RES-5");
	is("RES-1", SKIP);
}
END_TEST

START_TEST(res_5_just_leaving)
{
	left(EV_LEFT_HOLDER, PORT, 104, "104/other fd 3, CLOEXEC missing");
	over(MS(1100));
	fails("");
}
END_TEST

START_TEST(res_2)
{
	starts();
	census_of(MS(3), "armed", CGT);
	process(MS(3), "Z", 101, PID, 1, 0, NONE, "");
	signalled();
	closes_listener(MS(6));
	exits(MS(7), 0);
	add(MS(8), EV_EXIT, 0, 101, 0, "descendant");
	over(MS(20));
	fails("RES-2");
}
END_TEST

START_TEST(res_2_reaped)
{
	starts();
	census_of(MS(3), "armed", CGT);
	process(MS(3), "Z", 101, PID, 1, 0, NONE, "");
	signalled();
	good_end();
	fails("");
	is("RES-2", PASS);
}
END_TEST

/* Threads and descriptors after each of three batches of 8; no look after them but the last. */
static void batches(const int threads[3], int fds)
{
	g.sc.leak_batches = 3;
	g.sc.leak_batch_size = 8;
	starts();
	for (int i = 0; i < 3; i++) {
		add(MS(1) + i * 100, EV_CENSUS, -1, ++g.census, 1, "batch");
		process(MS(1) + i * 100, "S", PID, 1, threads[i], 5 + fds * (i + 1), CGT, "");
	}
	add(MS(4), EV_ARMED, -1, 0, 0, NULL);
	events_add_at(&g.ev, AT(MS(5)), 0, EV_SIGNAL, 0, SIGTERM, AT(MS(5)) + 3, "process 100");
	good_end();
}

START_TEST(res_3)
{
	batches((const int[]){ 9, 17, 25 }, 0);
	fails("RES-3");
	says("RES-3", "threads grow by one a connection: 1, 9, 17, 25");
}
END_TEST

START_TEST(res_3_pool)
{
	batches((const int[]){ 9, 9, 9 }, 0);   /* a pool that fills once */
	fails("");
	is("RES-3", PASS);
}
END_TEST

START_TEST(res_3_recovers)
{
	g.sc.leak_batches = 3;
	g.sc.leak_batch_size = 8;
	starts();
	for (int i = 1; i <= 3; i++) {
		add(MS(1) + i * 100, EV_CENSUS, -1, ++g.census, 1, "batch");
		process(MS(1) + i * 100, "S", PID, 1, 1 + 8 * i, 5, CGT, "");
	}
	signalled();                            /* its armed census shows 1 thread again */
	good_end();
	fails("");
}
END_TEST

START_TEST(res_3_holds)
{
	starts();
	signalled();
	closes_listener(MS(6));
	hangs("thread 'worker-3' (104) in futex; no client socket open; the main thread is in futex");
	over(MS(10010));
	fails("RES-3");
	says("RES-3", "worker-3");
}
END_TEST

START_TEST(res_4)
{
	batches((const int[]){ 1, 1, 1 }, 8);
	fails("RES-4");
}
END_TEST

START_TEST(res_4_file)
{
	left(EV_LEFT_FILE, 10, 0, "/dev/shm/x");
	over(MS(1100));
	fails("RES-4");
}
END_TEST

/* ---- arming ---- */

START_TEST(har_3_unproven)
{
	unsigned s = client("slow", PHASE_WAITING);

	starts();
	int32_t c = opened(MS(2), "slow");

	(void)s;
	asks(MS(2) + 20, c, 0, "GET /gate");
	add(MS(3), EV_UNPROVEN, c, PHASE_WAITING, 0, "server's end: ESTABLISHED, accepted, 100 bytes unread");
	signalled();
	fin(MS(6), c, 0, 0);
	good_end();
	is("HAR-3", UNSURE);
	fails("");
	ck_assert_int_eq(g.res.outcome, UNSURE);
	g.sc.skip_if_unreachable = true;
	judge();
	ck_assert_int_eq(g.res.outcome, SKIP);
	ck_assert_str_eq(g.res.skip_reason, "server's end: ESTABLISHED, accepted, 100 bytes unread");
	for (size_t i = 0; i < g.res.n_verdicts; i++)
		ck_assert(!strncmp(g.res.verdicts[i].check->id, "HAR", 3) || g.res.verdicts[i].finding.outcome == SKIP);
}
END_TEST

START_TEST(har_3_race_lost)
{
	unsigned s = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(s, "GET /sleep");

	answered(c, MS(5) - 100);
	signalled();
	good_end();
	is("HAR-3", UNSURE);
	says("HAR-3", "the race was lost");
	fails("");
}
END_TEST

/* The server's FIN was on the wire before the signal, and the client read it only after: nothing was in flight. */
START_TEST(har_3_ended_before)
{
	unsigned s = client("slow", PHASE_HALF_CLOSED);

	starts();
	int32_t c = parked(s, "GET /gate");

	signalled();
	wire(MS(5) - 400, EV_W_FIN_S, c, 0, 0);
	add(MS(5) + 20, EV_EOF_SEEN, c, 0, 0, NULL);
	good_end();
	is("HAR-3", UNSURE);
	fails("");
	g.sc.skip_if_unreachable = true;
	judge();
	ck_assert_int_eq(g.res.outcome, SKIP);
	ck_assert_str_eq(g.res.skip_reason, "the server ended the connection by itself before the signal came");
}
END_TEST

START_TEST(har_3_no_signal)
{
	starts();
	census_of(MS(4), "armed", CGT);
	add(MS(10006), EV_HARNESS_KILL, -1, PID, SIGKILL, "no signal was sent");
	add(MS(10007), EV_KILLED, 0, PID, SIGKILL, "root by harness");
	over(MS(10010));
	is("HAR-3", UNSURE);
	ck_assert_int_eq(g.res.outcome, UNSURE);
}
END_TEST

START_TEST(gate_never_released)
{
	int32_t c = waiting();

	still_open(MS(10004), c, 1, 1);
	hangs("main thread 'srv' in epoll_wait");
	over(MS(10010));
	fails("");
	is("EXI-2", UNSURE);            /* our own gate held it */
	ck_assert_int_eq(g.res.outcome, UNSURE);
}
END_TEST

/* Every check is complete, and the table knows each. */
START_TEST(table)
{
	ck_assert_uint_ge(n_checks, 44);
	for (size_t i = 0; i < n_checks; i++) {
		const struct check *c = checks[i];
		const char *texts[] = { c->id, c->title, c->why, c->proof, c->modes };

		ck_assert_ptr_eq(check_by_id(c->id), c);
		for (unsigned k = 0; k < 5; k++)
			ck_assert(texts[k] && *texts[k] && !strchr(texts[k], '\n'));
		ck_assert(!strncmp(c->id, "HAR", 3) || (c->fix_go && c->fix_node && c->fix_python && c->fix_c && c->fix_nginx));
	}
	ck_assert_ptr_null(check_by_id("CON-99"));
	ck_assert_ptr_null(check_by_id(NULL));
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: exits and leftovers");
	TCase *tc = tcase_create("exits and leftovers");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(peer_2), T(peer_2_never_closes), T(exi_1), T(exi_1_143), T(exi_1_raised_again);
	T(exi_1_130_is_not_143), T(exi_1_oom), T(exi_1_set), T(exi_2_teardown_is_allowed), T(exi_2_border);
	T(exi_2_late), T(exi_2_busy_machine), T(exi_2_busy_is_bounded), T(exi_3), T(exi_3_words), T(exi_4), T(exi_4_lost), T(exi_4_full_disk), T(exi_4_full_disk_lost_nothing), T(exi_4_not_logged), T(exi_4_line), T(res_1);
	T(res_1_worker_holds), T(res_5), T(res_5_just_leaving), T(res_2), T(res_2_reaped), T(res_3);
	T(res_3_pool), T(res_3_recovers), T(res_3_holds), T(res_4), T(res_4_file), T(har_3_unproven);
	T(har_3_race_lost), T(har_3_ended_before), T(har_3_no_signal), T(gate_never_released), T(table);
	return rig_main(s);
}
