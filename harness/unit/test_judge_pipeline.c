/* Connections with several requests: which of them is owed? Of a pipeline the first, which was proven read. */
#include "judge_one.h"

START_TEST(successor_refused)
{
	int32_t c = one(PHASE_PIPELINED, "GET /");

	answers(MS(6), c, 0, 200, 16, "keep-alive");
	answers(MS(7), c, 1, 503, 16, "close");
	fin(MS(8), c, 2, 0);
	good_end();
	fails("");
	is("CON-1", PASS);
}
END_TEST

START_TEST(first_refused)
{
	int32_t c = one(PHASE_PIPELINED, "GET /");

	answers(MS(6), c, 0, 503, 16, "keep-alive");
	answers(MS(7), c, 1, 200, 16, "close");
	fin(MS(8), c, 2, 0);
	good_end();
	fails("CON-1");
	says("CON-1", "status 503, 1ms after SIGTERM");
}
END_TEST

static bool cites_request(const char *id, int number)
{
	for (unsigned i = 0; i < verdict(id)->n_cites; i++) {
		const struct event *e = event_at(&g.ev, verdict(id)->cites[i]);

		if (e->kind == EV_REQUEST && e->a == number)
			return true;
	}
	return false;
}

START_TEST(both_dropped)
{
	int32_t c = one(PHASE_PIPELINED, "GET /gate");

	rst(MS(6), c, 0, 0, 0);
	good_end();
	fails("CON-2");
	ck_assert(cites_request("CON-2", 0) && !cites_request("CON-2", 1));
}
END_TEST

/* The second request of a loop's connection is dropped; `reached`: it was at the gate when the signal came. */
static void loop_dropped(int reached)
{
	unsigned loop = client("loop", PHASE_LOOP);

	starts();
	int32_t c = opened(MS(2), g.clients[loop].name);

	for (int i = 0; i < 2; i++) {
		asks(MS(3) + i * 500, c, i, "GET /gate");
		if (i <= reached)
			add(MS(3) + i * 500 + 50, EV_GATE_REACHED, c, i, 0, arena_printf(g.arena, "%016x GET /gate", (unsigned)(c * 16 + i)));
		if (!i)
			answers(MS(3) + 100, c, 0, 200, 16, "keep-alive");
	}
	signalled();
	fin(MS(6), c, 1, 0);
	good_end();
}

START_TEST(loop_at_the_gate)
{
	loop_dropped(1);
	fails("CON-1");
}
END_TEST

/* Its first request was at the gate, and has its answer. */
START_TEST(loop_idle_race)
{
	loop_dropped(0);
	fails("");
	ck_assert_int_eq(outcome_of(1), CONN_IDLE_RACE);
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: several requests");
	TCase *tc = tcase_create("pipelines");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(successor_refused), T(first_refused), T(both_dropped), T(loop_at_the_gate), T(loop_idle_race);
	return rig_main(s);
}
