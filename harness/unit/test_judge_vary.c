/* vary_to: rounds that are signalled in different ways are compared (SIG-5). */
#include "judge_exits.h"

static enum whom both[] = { TO_PROCESS, TO_GROUP };

static const char *step_of_group;
static bool step_after_exit;

static void to_group(int code, bool loses, bool proven)
{
	g.sc.vary_to = both;
	g.sc.n_vary_to = 2;
	int32_t c = waiting();

	answered(c, MS(10));
	exits(MS(20), 0);
	g.ev.round = 1;
	add(MS(30), EV_ROUND, -1, 1, 0, "group");
	add(MS(31), EV_LAUNCH, 0, 200, 0, "./srv");
	add(MS(31), EV_LISTEN, 0, PORT, 78, "x");
	c = parked_at(MS(32), 0, "GET /gate");
	if (!proven)
		add(MS(34), EV_UNPROVEN, c, PHASE_WAITING, 0, "the answer came before");
	events_add_at(&g.ev, AT(MS(35)), 0, EV_SIGNAL, 0, SIGTERM, AT(MS(35)) + 3, "process group 200");
	add(MS(36), EV_LISTENER_CLOSED, 0, PORT, AT(MS(35)) + 10, NULL);
	if (step_of_group)
		add(step_after_exit ? MS(38) : MS(36) - 50, EV_STEP, -1, 0, 0, step_of_group);
	if (loses)
		fin(MS(36), c, 0, 0);
	else
		answered(c, MS(36));
	add(MS(37), EV_EXIT, 0, 200, code, "root");
	over(MS(40));
}

START_TEST(sig_5)
{
	to_group(0, false, true);
	fails("");
	is("SIG-5", PASS);
}
END_TEST

START_TEST(sig_5_double)
{
	to_group(1, true, true);
	fails("SIG-5");         /* neither CON-1 nor EXI-1: the round is SIG-5's */
	says("SIG-5", "exit 0");
	says("SIG-5", "exit 1");
	says("SIG-5", "fin-no-response");
	ck_assert_ptr_nonnull(strstr(verdict("SIG-5")->hint, "KillMode="));     /* a terminal sends no SIGTERM */
}
END_TEST

/* It had ended before the gate was opened: no race. */
START_TEST(sig_5_gone_before_the_gate)
{
	step_of_group = "release the gate (unsettled)";
	step_after_exit = true;
	to_group(0, true, true);
	fails("SIG-5");
	step_of_group = NULL;
	step_after_exit = false;
}
END_TEST

/* Killed in one round sooner than the other took to end by itself: no difference, but a hang of its own. */
START_TEST(sig_5_less_patience)
{
	g.sc.vary_to = both;
	g.sc.n_vary_to = 2;
	answered(waiting(), MS(10));
	exits(MS(12000), 0);
	add(MS(12001), EV_CPU_WAIT, -1, 4000000000, 0, NULL);
	g.ev.round = 1;
	add(MS(12030), EV_ROUND, -1, 1, 0, "group");
	add(MS(12031), EV_LAUNCH, 0, 200, 0, "./srv");
	add(MS(12031), EV_LISTEN, 0, PORT, 78, "x");
	events_add_at(&g.ev, AT(MS(12035)), 0, EV_SIGNAL, 0, SIGTERM, AT(MS(12035)) + 3, "process group 200");
	add(MS(22100), EV_HARNESS_KILL, -1, 200, SIGKILL, "the grace is over");
	add(MS(22101), EV_KILLED, 0, 200, SIGKILL, "root by harness");
	over(MS(22110));
	fails("EXI-2");
	is("SIG-5", PASS);
}
END_TEST

/* Cut in one round, answered in the other, by a gate that was opened before the target had come to rest: chance. */
START_TEST(sig_5_raced)
{
	for (int settled = 0; settled < 2; settled++) {
		rig_setup();
		step_of_group = settled ? "release the gate " : "release the gate (unsettled)";
		to_group(0, true, true);
		is("SIG-5", settled ? FAIL : UNSURE);
	}
}
END_TEST

/* Not armed in one of the rounds: what became of it says nothing of the signal's way. */
START_TEST(sig_5_unproven)
{
	to_group(0, true, false);
	is("SIG-5", PASS);
	is("HAR-3", UNSURE);
}
END_TEST

#define T(name) tcase_add_test(tc, name)

int main(void)
{
	Suite *s = suite_create("judge: to whom");
	TCase *tc = tcase_create("to whom");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(sig_5), T(sig_5_double), T(sig_5_gone_before_the_gate), T(sig_5_less_patience);
	T(sig_5_raced), T(sig_5_unproven);
	return rig_main(s);
}
