/* RES-*, HAR-*, and the table of checks: each passes, fails, and knows when to keep quiet. */
#include "judge_exits.h"

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

/* The session's own process stays until we hang up: of an idle client, and of one that has said nothing. */
static void session_stays(enum phase phase)
{
	unsigned spec = client("one", phase);

	starts();
	int32_t c = parked(spec, "GET /");

	signalled();
	closes_listener(MS(6));
	exits(MS(7), 0);
	add(MS(1008), EV_LEFT_PROCESS, -1, 104, 1, "srv, state S, 1 threads");
	add(MS(1009), EV_AUTOPSY, -1, 104, 0, arena_printf(g.arena, "waiting for client #%d (one, connected): ESTABLISHED", c));
	still_open(MS(1010), c, TCP_ESTABLISHED, TCP_ESTABLISHED);
	add(MS(1011), EV_CLIENT_CLOSED, c, 0, 0, "end of the round");
	add(MS(1012), EV_EXIT, 0, 104, 255, "descendant");
	over(MS(1100));
}

START_TEST(res_1_ends_when_we_hang_up)
{
	session_stays(PHASE_IDLE);
	is("RES-1", FAIL);
	rig_setup();
	session_stays(PHASE_CONNECTED);
	fails("PEER-1");
	says("PEER-1", "it waits for client one#0");
	is("RES-1", SKIP);
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

/* Its handler calls the gate, and does not hand the nonce on: "never reached" would be wrong to whoever has written it. */
START_TEST(har_3_nameless_call)
{
	unsigned s = client("slow", PHASE_WAITING);

	starts();
	int32_t c = opened(MS(2), "slow");

	(void)s;
	asks(MS(2) + 20, c, 0, "GET /gate");
	add(MS(2) + 50, EV_GATE_REACHED, -1, 0, 0, "- GET /gate HTTP/1.1");
	add(MS(3), EV_UNPROVEN, c, PHASE_WAITING, 0, "the request was read, but it never reached the gate ($DRAINSPEC_GATE)");
	signalled();
	fin(MS(6), c, 0, 0);
	good_end();
	is("HAR-3", UNSURE);
	says("HAR-3", "it has no X-Drainspec-Nonce of any here: 'GET /gate HTTP/1.1'");
	ck_assert_ptr_nonnull(strstr(verdict("HAR-3")->hint, "hand the header X-Drainspec-Nonce"));
}
END_TEST

/* The advice is for the client that is told, and so is what is cited. */
START_TEST(har_3_two_unproven)
{
	client("slow", PHASE_WAITING);
	client("big", PHASE_SLOW_READER);
	starts();
	int32_t slow = opened(MS(2), "slow"), big = opened(MS(2) + 100, "big");

	asks(MS(2) + 20, slow, 0, "GET /gate");
	asks(MS(2) + 120, big, 0, "GET /big");
	add(MS(3), EV_UNPROVEN, slow, PHASE_WAITING, 0, "100 bytes unread");
	add(MS(3) + 10, EV_UNPROVEN, big, PHASE_SLOW_READER, 0, "the socket's buffer holds it");
	signalled();
	fin(MS(6), slow, 0, 0);
	fin(MS(6), big, 0, 0);
	good_end();
	is("HAR-3", UNSURE);
	says("HAR-3", "client slow#0 was not proven");
	ck_assert_ptr_null(verdict("HAR-3")->hint);
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
	Suite *s = suite_create("judge: leftovers");
	TCase *tc = tcase_create("leftovers");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(res_1), T(res_1_ends_when_we_hang_up), T(res_1_worker_holds), T(res_5), T(res_5_just_leaving), T(res_2), T(res_2_reaped), T(res_3);
	T(res_3_pool), T(res_3_recovers), T(res_3_holds), T(res_4), T(res_4_file), T(har_3_unproven);
	T(har_3_nameless_call), T(har_3_two_unproven), T(har_3_race_lost), T(har_3_ended_before), T(har_3_no_signal), T(table);
	return rig_main(s);
}
