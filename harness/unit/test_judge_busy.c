/* EXI-2 on a busy machine. */
#include "judge_exits.h"

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

/* After more than four graces, of which it waited all but so much; nobody would have waited for it any longer. */
static void ends_after(int ms, int waited_s)
{
	starts();
	signalled();
	closes_listener(MS(6));
	exits(MS(ms), 0);
	add(MS(ms + 1), EV_CPU_WAIT, -1, waited_s * NSEC_PER_SEC, 0, NULL);
	over(MS(ms + 100));
}

START_TEST(exi_2_busy_is_bounded)
{
	ends_after(45105, 34);
	fails("EXI-2");
}
END_TEST

START_TEST(exi_2_ended_when_the_machine_let_it)
{
	ends_after(45105, 36);
	is("EXI-2", UNSURE);
	says("EXI-2", "without what it waited for a CPU (cpu-wait) it had ended in time");
}
END_TEST

static void killed_on_a_busy_machine(const char *suspect, int ran_s)
{
	starts();
	signalled();
	closes_listener(MS(6));
	add(MS(40005), EV_CPU_WAIT, -1, 39 * NSEC_PER_SEC, ran_s * NSEC_PER_SEC, NULL);
	hangs(suspect);
	over(MS(40100));
}

START_TEST(exi_2_starved)
{
	killed_on_a_busy_machine("main thread 'python' in running; no client socket open", 0);
	is("EXI-2", UNSURE);
	says("EXI-2", "the machine was too busy to say");
}
END_TEST

/* It ran in the two looks of the autopsy, and had little of a CPU before. */
START_TEST(exi_2_starved_and_busy)
{
	killed_on_a_busy_machine("main thread 'python' is busy: it ran 90 % of the time between two looks; no client socket open", 9);
	is("EXI-2", UNSURE);
}
END_TEST

/* The root waits for a child, and that one had no CPU; or had a grace of it and more. */
static void child_starves(int ran_s)
{
	starts();
	signalled();
	closes_listener(MS(6));
	add(MS(40005), EV_CPU_WAIT, -1, 39 * NSEC_PER_SEC, ran_s * NSEC_PER_SEC, NULL);
	add(MS(40006), EV_AUTOPSY, -1, PID, 0, "waiting for a child process in wait4: 101 'python' (state R) has not ended");
	add(MS(40007), EV_AUTOPSY, -1, 101, 0, "main thread 'python' in running; no client socket open");
	add(MS(40008), EV_HARNESS_KILL, -1, PID, SIGKILL, "the grace is over");
	add(MS(40009), EV_KILLED, 0, PID, SIGKILL, "root by harness");
	over(MS(40100));
}

START_TEST(exi_2_a_child_starved)
{
	child_starves(9);
	is("EXI-2", UNSURE);
}
END_TEST

START_TEST(exi_2_a_child_was_busy)
{
	child_starves(11);
	fails("EXI-2");
}
END_TEST

/* Nobody knows what it had, or it had a grace and more. */
START_TEST(exi_2_busy)
{
	killed_on_a_busy_machine("main thread 'python' is busy: it ran 90 % of the time between two looks; no client socket open", _i * 11);
	fails("EXI-2");
}
END_TEST

START_TEST(exi_2_asleep_on_a_busy_machine)
{
	killed_on_a_busy_machine("main thread 'python' in futex_wait; no client socket open", 1);
	fails("EXI-2");
}
END_TEST

/* A slow reader that is not closed any more when the grace and what a busy machine took are over: http.server's own timeout let go of it
 * at 5 s, the grace of 3 s was 5.22 s long, and it was met on its way out. Who waited for a client that does nothing all but to
 * the end of the grace as it was asked for has waited for that client. */
static void lets_go(enum phase phase, const char *request, int held_ms)
{
	unsigned s = client("one", phase);

	starts();
	int32_t c = parked(s, request);

	signalled();
	closes_listener(MS(6));
	if (held_ms)
		add(MS(held_ms), EV_HELD, c, 1, 1, NULL);
	add(MS(10003), EV_CPU_WAIT, -1, 4 * NSEC_PER_MSEC, 0, NULL);
	still_open(MS(10004), c, 1, 4);
	hangs("main thread 'python3' in running; no client socket open");
	over(MS(10010));
}

START_TEST(held_by_a_slow_reader)
{
	lets_go(PHASE_SLOW_READER, "GET /big", 9905);
	fails("PEER-2");
	is("EXI-2", SKIP);
	says("PEER-2", "100ms before the end of the grace its connection was open there");
}
END_TEST

START_TEST(held_by_a_silent_client)
{
	lets_go(PHASE_CONNECTED, NULL, 9905);
	fails("PEER-1");
	is("EXI-2", SKIP);
}
END_TEST

/* It was owed its answer, or nobody held it then: whatever it does when the grace is over is its own doing. */
START_TEST(held_by_nobody)
{
	lets_go(_i ? PHASE_WAITING : PHASE_SLOW_READER, "GET /big", _i ? 9905 : 0);
	fails("EXI-2");
}
END_TEST

/* It answers newcomers to the end: nothing else is to blame, and nothing is said of the client that it let go of. */
START_TEST(held_and_never_began)
{
	unsigned s = client("one", PHASE_CONNECTED);

	starts();
	int32_t c = parked(s, NULL);

	signalled();
	add(MS(9905), EV_HELD, c, 1, 1, NULL);
	add(MS(10004), EV_AUTOPSY, -1, PID, 0, "main thread 'python3' in pause; no client socket open");
	add(MS(10005), EV_SERVES, -1, 200, 0, NULL);
	add(MS(10006), EV_HARNESS_KILL, -1, PID, SIGKILL, "the grace is over");
	add(MS(10007), EV_KILLED, 0, PID, SIGKILL, "root by harness");
	over(MS(10010));
	fails("EXI-2");
	says("EXI-2", "it still answers new clients; suspect");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("judge: a busy machine");
	TCase *tc = tcase_create("busy");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, exi_2_busy_machine);
	tcase_add_test(tc, exi_2_busy_is_bounded);
	tcase_add_test(tc, exi_2_ended_when_the_machine_let_it);
	tcase_add_test(tc, exi_2_starved);
	tcase_add_test(tc, exi_2_starved_and_busy);
	tcase_add_test(tc, exi_2_a_child_starved);
	tcase_add_test(tc, exi_2_a_child_was_busy);
	tcase_add_test(tc, exi_2_asleep_on_a_busy_machine);
	tcase_add_loop_test(tc, exi_2_busy, 0, 2);
	tcase_add_test(tc, held_by_a_slow_reader);
	tcase_add_test(tc, held_by_a_silent_client);
	tcase_add_loop_test(tc, held_by_nobody, 0, 2);
	tcase_add_test(tc, held_and_never_began);

	return rig_main(s);
}
