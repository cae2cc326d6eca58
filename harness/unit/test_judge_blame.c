/* Attribution: one symptom, one check. Cases that real servers taught. */
#include "judge_rig.h"

static void over(int us)
{
	ends(us);
	judge();
}

/* A client that says nothing is there when the grace is over; the root itself waits for nobody. */
static int32_t silent_outlives_the_grace(void)
{
	unsigned s = client("silent", PHASE_CONNECTED);

	starts();
	int32_t c = parked(s, NULL);

	signalled();
	still_open(MS(10004), c, 1, 1);
	add(MS(10004), EV_AUTOPSY, -1, PID, 0, "main thread 'python3' in clock_nanosleep; no client socket open");
	return c;
}

/* gunicorn's sync worker sits in recv() on a silent client: its copy of the listener stays open, and that is no sign that
 * it never began to stop. */
START_TEST(blocked_by_a_silent_client)
{
	silent_outlives_the_grace();
	hangs("waiting for client #1 (silent, connected)\nthread 127 'python3': state S, recvfrom(fd 9 = connection "
	      "127.0.0.1:8080 <- client #1 (silent, connected))");
	over(MS(10010));
	fails("PEER-1");
	is("LSN-1", SKIP);
	is("EXI-2", SKIP);
	ck_assert_int_eq(g.res.outcome, PASS);
}
END_TEST

/* Two of a kind, and the first was closed at once: the other is named. */
START_TEST(the_one_that_holds)
{
	unsigned s = client("silent", PHASE_CONNECTED);

	starts();
	int32_t closed = parked(s, NULL), holds = parked_at(MS(2) + 200, s, NULL);

	signalled();
	fin(MS(6), closed, 0, 0);
	still_open(MS(10004), holds, 1, 1);
	hangs("waiting for client #2 (silent, connected)\nthread 127 'python3': state S, recvfrom(fd 9 = connection "
	      "127.0.0.1:8080 <- client #2 (silent, connected))");
	over(MS(10010));
	fails("PEER-1");
	says("PEER-1", "(client silent#1, and 1 such in all)");
}
END_TEST

/* It is asked once more before it is killed, and that may take long enough for the client to be given up: what the autopsy saw counts. */
START_TEST(let_go_of_after_the_autopsy)
{
	int32_t c = silent_outlives_the_grace();

	add(MS(10005), EV_AUTOPSY, -1, PID + 1, 0, "waiting for client #1 (silent, connected): ESTABLISHED, both queues empty, fd 11");
	fin(MS(10400), c, 0, 0);
	add(MS(10700), EV_SERVES, -1, -104, 0, NULL);
	add(MS(10701), EV_HARNESS_KILL, -1, PID, SIGKILL, "the grace is over");
	add(MS(10702), EV_KILLED, 0, PID, SIGKILL, "root by harness");
	over(MS(10710));
	fails("PEER-1");
	is("EXI-2", SKIP);
}
END_TEST

/* The same client at a server in its event loop that ignores the signal: then the client is no excuse. */
START_TEST(ignores_the_signal)
{
	unsigned s = client("silent", PHASE_CONNECTED);

	starts();
	int32_t c = parked(s, NULL);

	signalled();
	still_open(MS(10004), c, 1, 1);
	hangs("waiting for client #1 (silent, connected)\nthread 100 'srv': state S, epoll_wait(fd 4)");
	over(MS(10010));
	fails("EXI-2");
	is("PEER-1", SKIP);
}
END_TEST

/* It closed its end of every connection and waits for nobody: the client that keeps its socket is not to blame. */
START_TEST(waits_for_nobody)
{
	unsigned s = client("keeps", PHASE_IDLE);

	g.clients[s].never_closes = true;
	starts();
	int32_t c = parked(s, "GET /");

	signalled();
	closes_listener(MS(6));
	fin(MS(6), c, 1, 0);
	hangs("main thread 'srv' in pause; no client socket open");
	over(MS(10010));
	fails("EXI-2");
	is("PEER-2", SKIP);
}
END_TEST

static void autopsy_of(int pid, const char *text)
{
	add(MS(10004), EV_AUTOPSY, -1, pid, 0, text);
}

/* hypercorn: the master keeps the listener and waits for its worker by a pipe, the worker for a client that does not read. */
START_TEST(worker_blocked_by_a_slow_reader)
{
	unsigned s = client("slow", PHASE_SLOW_READER);

	starts();
	int32_t c = parked(s, "GET /big");

	signalled();
	still_open(MS(10003), c, 1, 1);
	autopsy_of(PID, "main thread 'srv' in poll(fd 4 = pipe, no timeout); no client socket open");
	autopsy_of(PID + 2, "write blocked by client #1 (slow, slow-reader): zero window, 3588262 bytes not taken by it");
	add(MS(10005), EV_SERVES, -1, -ETIMEDOUT, 0, NULL);
	add(MS(10006), EV_HARNESS_KILL, -1, PID, SIGKILL, "the grace is over");
	add(MS(10007), EV_KILLED, 0, PID, SIGKILL, "root by harness");
	over(MS(10010));
	fails("PEER-2");
	says("PEER-2", "suspect: write blocked by client #1 (slow, slow-reader)");
	says("PEER-2", "in process 102");
	is("EXI-2", SKIP);
}
END_TEST

/* Nobody of it has a client, its listener is open, and who asks gets no answer: that is not "as if no signal had come". */
START_TEST(listens_but_answers_nobody)
{
	starts();
	signalled();
	autopsy_of(PID, "main thread 'srv' in poll(fd 4 = pipe, no timeout); no client socket open");
	add(MS(10005), EV_SERVES, -1, -ECONNRESET, 0, NULL);
	add(MS(10006), EV_HARNESS_KILL, -1, PID, SIGKILL, "the grace is over");
	add(MS(10007), EV_KILLED, 0, PID, SIGKILL, "root by harness");
	over(MS(10010));
	fails("EXI-2");
	says("EXI-2", "though new clients got no answer");
}
END_TEST

/* aiohttp: the second half of a body came after the signal, was read, and is not answered until its timeout of 60 s. */
START_TEST(other_half_not_answered)
{
	unsigned s = client("half", PHASE_HALF_BODY);

	starts();
	int32_t c = parked(s, NULL);

	signalled();
	closes_listener(MS(6));
	asks(MS(55), c, 0, "POST /upload");
	still_open(MS(10004), c, 1, 1);
	hangs("waiting for client #1 (half, half-body): ESTABLISHED, both queues empty");
	over(MS(10010));
	fails("EXI-2");
	says("EXI-2", "whose other half came after the signal");
}
END_TEST

static const char *hint_of(const char *id)
{
	return verdict(id)->hint ? verdict(id)->hint : "";
}

/* Busy when the stop began, idle since: server.close() of Node 19 and later has swept before. */
START_TEST(idle_after_the_sweep)
{
	unsigned s = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(s, "GET /gate");

	signalled();
	closes_listener(MS(6));
	answers(MS(7), c, 0, 200, 64, "keep-alive");
	still_open(MS(10004), c, 1, 1);
	hangs("waiting for client #1 (slow, waiting): ESTABLISHED, both queues empty");
	over(MS(10010));
	is("CON-6", FAIL);
	ck_assert_ptr_nonnull(strstr(hint_of("CON-6"), "busy when the stop began"));
}
END_TEST

/* Puma raises the signal again; as PID 1 that does nothing, and Ruby leaves with 1. */
START_TEST(status_of_pid1)
{
	for (int pid1 = 0; pid1 < 2; pid1++) {
		rig_setup();
		starts();
		add(MS(4), EV_CENSUS, -1, ++g.census, 1, "armed");
		process(MS(4), "S", PID, 1, 1, 5, CGT, pid1 ? ",\"pid1\":true" : ",\"pid1\":false");
		g.sig = events_add_at(&g.ev, AT(MS(5)), 0, EV_SIGNAL, 0, SIGTERM, AT(MS(5) + 4), "process 100");
		closes_listener(MS(6));
		exits(MS(7), 1);
		over(MS(9));
		fails("EXI-1");
		ck_assert_int_eq(strstr(hint_of("EXI-1"), "cannot kill itself by raising the signal") != NULL, pid1);
	}
}
END_TEST

/* The fast stop of a well-known server is told as that; only of that one, and only that signal. */
START_TEST(wrong_signal)
{
	static const struct {
		const char *comm;
		int signo;
		const char *hint;
	} cases[] = {
		{ "apache2", SIGTERM, "it drains by SIGWINCH" }, { "php-fpm8.2", SIGINT, "it drains by SIGQUIT" },
		{ "nginx", SIGQUIT, NULL }, { "nginxx", SIGTERM, NULL }, { "srv", SIGTERM, NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		rig_setup();
		unsigned s = client("slow", PHASE_WAITING);

		starts();
		int32_t c = parked(s, "GET /gate");

		add(MS(4), EV_CENSUS, -1, ++g.census, 1, "armed");
		add(MS(4), EV_PROCESS, g.census, PID, 1, arena_printf(g.arena, "{\"comm\":\"%s\",\"sigcgt\":\"" CGT
			"\",\"sigblk\":\"" NONE "\",\"sigign\":\"" NONE "\",\"rss_kib\":2048}", cases[i].comm));
		g.sig = events_add_at(&g.ev, AT(MS(5)), 0, EV_SIGNAL, 0, cases[i].signo, AT(MS(5) + 4), "process 100");
		closes_listener(MS(6));
		fin(MS(6), c, 0, 0);
		exits(MS(7), 0);
		over(MS(9));
		fails("CON-1");
		ck_assert_msg(!cases[i].hint == !strstr(hint_of("CON-1"), "drains by"), "%s: %s", cases[i].comm, hint_of("CON-1"));
		ck_assert(!cases[i].hint || strstr(hint_of("CON-1"), cases[i].hint));
	}
}
END_TEST

/* Asked for its stacks (SIGQUIT) a Go program exits with 2: our doing. */
START_TEST(go_prints_its_stacks)
{
	unsigned s = client("stuck", PHASE_SLOW_READER);

	starts();
	int32_t c = parked(s, "GET /big");

	signalled();
	closes_listener(MS(6));
	still_open(MS(10004), c, 1, 1);
	add(MS(10005), EV_AUTOPSY, -1, PID, 0, "write blocked by client #1 (stuck, slow-reader): zero window");
	add(MS(10006), EV_HARNESS_KILL, -1, PID, SIGQUIT, "the go runtime prints all its stacks");
	exits(MS(10007), 2);
	over(MS(10010));
	fails("PEER-2");
	is("EXI-1", SKIP);
	is("EXI-2", SKIP);
}
END_TEST

/* No handler: CON-1 says what was lost, and nothing else is charged with the same death. */
START_TEST(default_death_is_charged_once)
{
	static struct step_spec read = { .what = STEP_READ };
	unsigned slow = client("slow", PHASE_WAITING), big = client("big", PHASE_SLOW_READER), q = client("q", PHASE_BACKLOG),
		 half = client("half", PHASE_HALF_BODY);

	g.sc.steps = &read;
	g.sc.n_steps = 1;
	starts_with(NONE);
	int32_t a = parked(slow, "GET /gate"), b = parked(big, "GET /big"), c = parked(q, "GET /"), d = parked(half, NULL);

	signalled_with(SIGTERM, NONE);
	fin(MS(6), a, 0, 0);
	begins(MS(6), b, 0, 200, 1000, "close");
	fin(MS(6) + 10, b, 0, 400);
	rst(MS(6), c, 0, 0, 0);
	rst(MS(6), d, 0, 0, 0);
	add(MS(6), EV_KILLED, 0, PID, SIGTERM, "root");
	closes_listener(MS(7));
	add(MS(8), EV_LEFT_FILE, -1, 1, 0, "/tmp/x");
	over(MS(9));
	fails("SIG-1 CON-1");
	is("CON-4", SKIP);
	is("CON-8", SKIP);
	is("CON-10", SKIP);
	is("RES-4", SKIP);
}
END_TEST

/* The first SIGINT was a fast stop: nothing was left for the second to force. */
START_TEST(fast_stop)
{
	unsigned slow = client("slow", PHASE_WAITING);

	g.sc.n_signals = 2;
	g.signals[0].signo = g.signals[1].signo = SIGINT;
	starts();
	int32_t c = parked(slow, "GET /gate");

	signalled_with(SIGINT, CGT);
	fin(MS(6), c, 0, 0);
	closes_listener(MS(6));
	add(MS(30), EV_SIGNAL, 1, SIGINT, AT(MS(30)) + 1000, "process 100");
	exits(MS(40), 0);
	over(MS(50));
	is("SIG-4", SKIP);
	fails("CON-1");
}
END_TEST

/* Witnesses that disagree: no verdict on the target, however bad it looks. */
START_TEST(no_verdict_when_witnesses_disagree)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t a = parked(slow, "GET /gate"), b = parked(slow, "GET /gate");

	signalled();
	fin(MS(6), a, 0, 0);
	add(MS(6), EV_RESET_SEEN, b, ECONNRESET, 0, NULL);
	good_end();
	ck_assert_int_eq(g.res.outcome, BROKEN);
	for (size_t i = 0; i < g.res.n_verdicts; i++)
		ck_assert(!strncmp(g.res.verdicts[i].check->id, "HAR-", 4));
}
END_TEST

/* The restarted process is not the one that was judged. */
START_TEST(restart_is_another_process)
{
	starts();
	signalled();
	closes_listener(MS(6));
	exits(MS(7), 0);
	g.sc.restart.how = RESTART_AFTER_EXIT;
	add(MS(8), EV_LAUNCH, 1, 101, 1, "restart");
	add(MS(9), EV_RESTART, -1, 1, 200, "ready again and it answers");
	add(MS(10), EV_HARNESS_KILL, -1, 101, SIGKILL, "end of the round");
	add(MS(10), EV_KILLED, 1, 101, SIGKILL, "root by harness");
	over(MS(11));
	fails("");
	is("EXI-1", PASS);
	is("EXI-2", PASS);
	is("LSN-4", PASS);
}
END_TEST

/* ---- nobody yields to a check that did not FAIL ---- */

/* A silent client that was never proven there: PEER-1 cannot say anything about it, so the hang is nobody's. */
START_TEST(nobody_answers)
{
	unsigned s = client("silent", PHASE_CONNECTED);

	starts();
	int32_t c = opened(MS(2), "silent");

	add(MS(3), EV_UNPROVEN, c, g.clients[s].phase, 0, "nobody accepted it");
	signalled();
	closes_listener(MS(6));
	still_open(MS(10004), c, 1, 1);
	hangs("waiting for client #1 (silent, connected)");
	over(MS(10010));
	fails("");
	is("EXI-2", UNSURE);
	says("EXI-2", "left to PEER-1, which was not judged");
	ck_assert_int_eq(g.res.outcome, UNSURE);
}
END_TEST

/* What was left out by --only answers all the same, and that is said. */
START_TEST(yields_to_what_is_left_out)
{
	char *only[] = { "EXI-2", "LSN-1", NULL };
	unsigned s = client("idle", PHASE_IDLE);

	starts();
	int32_t c = parked(s, "GET /");

	signalled();
	closes_listener(MS(6));
	still_open(MS(10004), c, 1, 1);
	hangs("waiting for client #1 (idle, idle)");
	ends(MS(10010));
	judge_only(only);
	fails("");
	is("EXI-2", SKIP);
	says("EXI-2", "see CON-6 (left out of this run");
	judge();
	fails("CON-6");
	says("EXI-2", "see CON-6");
}
END_TEST

/* Go's answers are chunked: the successor of a pipeline, of which not a byte came, is no cut stream. */
START_TEST(pipelined_and_chunked)
{
	unsigned s = client("pipelined", PHASE_PIPELINED);

	starts();
	int32_t c = parked(s, "GET /gate");

	signalled();
	closes_listener(MS(6));
	answers(MS(7), c, 0, 200, -1, "close");
	fin(MS(8), c, 1, 0);
	exits(MS(9), 0);
	over(MS(10));
	fails("");
	is("CON-11", PASS);
}
END_TEST

/* The answer in flight was reset after the second signal, as its policy allows: CON-1 and CON-3 both say so. */
START_TEST(lost_by_contract)
{
	unsigned slow = client("slow", PHASE_WAITING), p = client("pipelined", PHASE_PIPELINED);

	g.sc.n_signals = 2;
	starts();
	int32_t c = parked(slow, "GET /gate"), d = parked(p, "GET /gate");

	signalled();
	closes_listener(MS(6));
	add(MS(30), EV_SIGNAL, 1, SIGTERM, AT(MS(30)) + 1000, "process 100");
	rst(MS(31), c, 0, 0, 0);
	fin(MS(31), d, 0, 0);
	exits(MS(32), 1);
	over(MS(50));
	fails("");
	is("CON-1", PASS);
	is("CON-3", PASS);
	is("CON-5", PASS);
	says("CON-3", "by the contract");
}
END_TEST

/* CON-5 leaves it to CON-1, which leaves it to CON-2: who reads CON-5 is sent to the one that failed. */
START_TEST(yields_to_the_root)
{
	unsigned p = client("pipelined", PHASE_PIPELINED);

	starts();
	int32_t c = parked(p, "GET /gate");

	signalled();
	rst(MS(6), c, 0, 0, 0);
	good_end();
	fails("CON-2");
	is("CON-5", SKIP);
	ck_assert_str_eq(verdict("CON-5")->actual, "not charged twice: see CON-2");
	ck_assert_str_eq(verdict("CON-1")->actual, "not charged twice: see CON-2");
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: attribution");
	TCase *tc = tcase_create("blame");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(the_one_that_holds), T(let_go_of_after_the_autopsy), T(blocked_by_a_silent_client), T(ignores_the_signal), T(waits_for_nobody), T(go_prints_its_stacks);
	T(default_death_is_charged_once), T(fast_stop), T(no_verdict_when_witnesses_disagree), T(restart_is_another_process);
	T(nobody_answers), T(yields_to_what_is_left_out), T(pipelined_and_chunked), T(lost_by_contract), T(yields_to_the_root);
	T(worker_blocked_by_a_slow_reader), T(listens_but_answers_nobody), T(other_half_not_answered), T(idle_after_the_sweep);
	T(status_of_pid1), T(wrong_signal);
	return rig_main(s);
}
