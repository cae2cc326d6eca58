/* PEER-2, EXI-*: each passes, fails, and knows when to keep quiet. */
#include "judge_exits.h"

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

/* The deadline of its own drain cut off a client that never reads, and the status says so: nothing that was owed is lost by it. */
static void cut_by_deadline(int at)
{
	unsigned s = client("stuck", PHASE_SLOW_READER);

	starts();
	int32_t c = parked(s, "GET /big");

	signalled();
	closes_listener(MS(6));
	rst(at, c, 0, 0, 1);
	add(at + 100, EV_EXIT, 0, PID, 1, "root");
	over(at + MS(10));
}

START_TEST(exi_1_deadline)
{
	cut_by_deadline(MS(306));
	fails("EXI-1");
	ck_assert_int_eq(verdict("EXI-1")->level, SHOULD);
	says("EXI-1", "a client that does nothing kept it from a whole drain");
}
END_TEST

START_TEST(exi_1_at_once)
{
	cut_by_deadline(MS(7));
	fails("EXI-1");
	ck_assert_int_eq(verdict("EXI-1")->level, MUST);
}
END_TEST

/* One that was in flight too was cut as well: that is a loss. */
START_TEST(exi_1_deadline_cuts_a_request)
{
	unsigned s = client("stuck", PHASE_SLOW_READER), w = client("slow", PHASE_WAITING);

	starts();
	parked(s, "GET /big");
	parked(w, "GET /gate");
	signalled();
	closes_listener(MS(6));
	add(MS(306), EV_EXIT, 0, PID, 1, "root");
	over(MS(320));
	fails("EXI-1");
	ck_assert_int_eq(verdict("EXI-1")->level, MUST);
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

START_TEST(exi_2_late)
{
	ends_after_grace(MS(100));
	fails("EXI-2");
	is("EXI-1", PASS);
}
END_TEST

/* Go was asked for its stacks: where main waits stands beside the process, and the last output ends with what the program said itself. */
START_TEST(exi_2_goroutines)
{
	starts();
	signalled();
	hangs("all threads of the Go runtime are parked");
	add(MS(10006), EV_STACKS, -1, PID, 7, "goroutine 1 [chan receive] in main.main (main.go:9)\n"
	    "goroutine 17 [sleep] in main.work (pool.go:40), and 1 more so\ngoroutine 20 [IO wait] in net/http.(*conn).serve (server.go:1)\n");
	add(MS(10008), EV_LOG_TAIL, -1, 2, 20, "stopping");
	over(MS(10010));
	fails("EXI-2");
	says("EXI-2", "suspect: all threads of the Go runtime are parked; goroutine 1 [chan receive] in main.main (main.go:9), goroutine 17 "
	     "[sleep] in main.work (pool.go:40), and 1 more so");
	ck_assert_ptr_eq(strstr(g.res.target_tail, "stopping\ngoroutine 1 [chan receive]"), g.res.target_tail);
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

/* So many answers on one connection, all after the signal; the log names all but one. */
static int32_t answers_but(int n, int lost)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(slow, "GET /");

	signalled();
	closes_listener(MS(5) + 200);
	answers(MS(6), c, 0, 200, 10, "keep-alive");
	for (int i = 1; i < n; i++) {
		asks(MS(6) + i * 50, c, i, "GET /");
		answers(MS(6) + i * 50 + 20, c, i, 200, 10, i < n - 1 ? "keep-alive" : "close");
	}
	wire(MS(19), EV_W_LAST, c, n * 110, 0);
	exits(MS(20), 0);
	add(MS(21), EV_LOG_NONCE, 0, 1, 0, NULL);
	for (int i = 0; i < n; i++)
		if (i != lost)
			add(MS(21), EV_LOG_NONCE, c, 1, i, NULL);
	over(MS(22));
	return c;
}

/* What the exit takes is what came last. */
static void lost_last(int n)
{
	int32_t c = answers_but(n, n - 1);
	unsigned cited = 0;

	fails("EXI-4");
	for (unsigned i = 0; i < verdict("EXI-4")->n_cites; i++) {
		const struct event *e = &g.ev.v[verdict("EXI-4")->cites[i] - 1];

		if (e->kind == EV_REQUEST || e->kind == EV_ANSWER) {
			ck_assert_int_eq(e->conn, c);
			ck_assert_int_eq(e->a, n - 1);
			cited++;
		}
	}
	ck_assert_uint_eq(cited, 2);
}

START_TEST(exi_4_lost_last)
{
	lost_last(3);
	rig_setup();
	lost_last(64);
	rig_setup();
	lost_last(200); /* of a long connection too */
}
END_TEST

/* A long connection before the signal, of which only the beginning is named: the line is logged, if not always. */
START_TEST(exi_4_named_early)
{
	unsigned loop = client("loop", PHASE_LOOP);

	starts();
	int32_t c = opened(MS(2), g.clients[loop].name);

	for (int i = 0; i < 100; i++) {
		asks(MS(2) + 20 + i * 20, c, i, "GET /x");
		answers(MS(2) + 30 + i * 20, c, i, 200, 1, i < 99 ? "keep-alive" : "close");
	}
	signalled();
	closes_listener(MS(5) + 200);
	exits(MS(20), 0);
	for (int i = 0; i < 10; i++)
		add(MS(21), EV_LOG_NONCE, c, 1, i, NULL);
	over(MS(22));
	is("EXI-4", UNSURE);
	says("EXI-4", "even before the signal");
}
END_TEST

/* HAProxy's threads: one lets its line go while the other writes. */
START_TEST(exi_4_lossy)
{
	answers_but(3, 1);
	fails("");
	is("EXI-4", SKIP);
	says("EXI-4", "leaves out single requests");
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

/* aiohttp in a storm: the second signal cut it, and the traceback at which the scan of its log ends is allowed by then. */
START_TEST(exi_4_forced)
{
	unsigned slow = client("slow", PHASE_WAITING);

	g.sc.n_signals = 2;
	g.signals[1].signo = SIGTERM;
	starts();
	int32_t c = parked(slow, "GET /");

	signalled();
	add(MS(5) + 50, EV_SIGNAL, 1, SIGTERM, AT(MS(5) + 54), "process 100");
	closes_listener(MS(5) + 200);
	fin(MS(6), c, 0, 0);
	add(MS(7), EV_KILLED, 0, PID, SIGTERM, "root");
	add(MS(8), EV_LOG_NONCE, 0, 1, 0, NULL);
	add(MS(8), EV_LOG_BAD, -1, 2, 64, "Traceback: OSError: [Errno 9] Bad file descriptor");
	over(MS(9));
	fails("");
	ck_assert_int_ne(verdict("EXI-4")->outcome, UNSURE);
}
END_TEST

START_TEST(exi_4_line)
{
	g.sc.expect.log = "^stopped after [0-9]+";
	ended_by(EV_EXIT, 0, "root");
	fails("EXI-4");
	says("EXI-4", "and no line of its output matches '^stopped after [0-9]+'; it said nothing at all");
	ck_assert_str_eq(verdict("EXI-4")->expected, "a line of its output matches '^stopped after [0-9]+'");
	ck_assert_ptr_nonnull(strstr(verdict("EXI-4")->hint, "wait for what writes that line"));
	g.ev.n -= 3;
	add(MS(30), EV_LOGLINE, -1, 1, 1, "stopped after 12 ms");
	over(MS(31));
	fails("");
	says("EXI-4", "it said 'stopped after 12 ms'");
}
END_TEST

START_TEST(exi_4_other_line)
{
	g.sc.expect.log = "^lost 0$";
	starts();
	signalled();
	exits(MS(7), 0);
	add(MS(8), EV_LOG_TAIL, -1, 1, 12, "popping\nlost 1\n");
	over(MS(9));
	fails("EXI-4");
	says("EXI-4", "no line of its output matches '^lost 0$'; the last one: 'lost 1'");
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

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: exits");
	TCase *tc = tcase_create("exits");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(peer_2), T(peer_2_never_closes), T(exi_1), T(exi_1_deadline), T(exi_1_at_once),
	T(exi_1_deadline_cuts_a_request), T(exi_1_143), T(exi_1_raised_again);
	T(exi_1_130_is_not_143), T(exi_1_oom), T(exi_1_set), T(exi_2_teardown_is_allowed), T(exi_2_border);
	T(exi_2_late), T(exi_2_goroutines), T(exi_3), T(exi_3_words), T(exi_4);
	T(exi_4_not_logged), T(exi_4_lost), T(exi_4_lost_last), T(exi_4_named_early), T(exi_4_lossy), T(exi_4_full_disk), T(exi_4_full_disk_lost_nothing), T(exi_4_forced), T(exi_4_line), T(exi_4_other_line);
	T(gate_never_released);
	return rig_main(s);
}
