/* CON-1, CON-2 and CON-7 inside TLS: what close_notify says, and what its absence does not. */
#include "judge_one.h"

static int32_t idle_in_tls(bool says_goodbye)
{
	unsigned idle = client("idle", PHASE_IDLE);

	starts();
	int32_t c = parked(idle, "GET /");

	add(900, EV_TLS, c, 0x304, 0, "TLSv1.3");
	signalled();
	closes_listener(MS(5) + 50);
	if (says_goodbye)
		add(MS(6) - 20, EV_CLOSE_NOTIFY, c, 0, 0, NULL);
	fin(MS(6), c, 1, 0);
	good_end();
	return c;
}

START_TEST(con_7_close_notify)
{
	idle_in_tls(true);
	fails("");
	is("CON-7", PASS);
}
END_TEST

START_TEST(con_7_no_close_notify)
{
	idle_in_tls(false);
	fails("CON-7");
	ck_assert_int_eq(g.res.outcome, PASS);  /* SHOULD */
}
END_TEST

/* An answer that only the end of the connection ends, and the end was not told. */
static void untold(bool knows_how)
{
	unsigned idle = client("idle", PHASE_IDLE);
	int32_t c = one(PHASE_STREAMING, "GET /close"), d = knows_how ? parked(idle, "GET /") : -1;

	add(900, EV_TLS, c, 0x304, 0, "TLSv1.3");
	add(MS(3), EV_FIRST_BYTE, c, 0, 0, NULL);
	add(MS(3), EV_HEAD, c, 200, -2, "close");
	if (knows_how) {
		add(900, EV_TLS, d, 0x304, 0, "TLSv1.3");
		add(MS(6) - 20, EV_CLOSE_NOTIFY, d, 0, 0, NULL);
		fin(MS(6), d, 1, 0);
	}
	fin(MS(10), c, 0, 512);
	good_end();
}

START_TEST(con_1_untold_by_one_who_knows_how)
{
	untold(true);
	fails("CON-1");
	ck_assert(strstr(verdict("CON-1")->actual, "FIN without close_notify") != NULL);
	ck_assert(strstr(verdict("CON-1")->actual, "truncation cannot be told from the end") != NULL);
}
END_TEST

START_TEST(con_1_untold_by_one_who_never_tells)
{
	untold(false);
	is("CON-1", UNSURE);
}
END_TEST

/* The bytes of the wire are records: that many were sent says nothing of the answer's. */
START_TEST(con_2_not_3_in_tls)
{
	int32_t c = one(PHASE_STREAMING, "GET /big");

	add(900, EV_TLS, c, 0x304, 0, "TLSv1.3");
	add(MS(3), EV_FIRST_BYTE, c, 0, 0, NULL);
	add(MS(3), EV_HEAD, c, 200, 1000, "keep-alive");
	rst(MS(10), c, 5000, 600, 500);
	good_end();
	fails("CON-2");
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: TLS");
	TCase *tc = tcase_create("TLS");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(con_7_close_notify), T(con_7_no_close_notify), T(con_1_untold_by_one_who_knows_how);
	T(con_1_untold_by_one_who_never_tells), T(con_2_not_3_in_tls);
	return rig_main(s);
}
