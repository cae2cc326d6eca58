/* Of a pipeline the first request is owed: it was proven read. What stands behind it may be refused or dropped. */
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

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: pipelines");
	TCase *tc = tcase_create("pipelines");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(successor_refused), T(first_refused), T(both_dropped);
	return rig_main(s);
}
