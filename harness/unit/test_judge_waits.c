/* CON-13 and open transactions: who waits for others, and what was never asked to happen. */
#include "judge_rig.h"

static int32_t blocked(const char *line)
{
	unsigned spec = client("one", PHASE_WAITING);

	starts();
	int32_t c = parked(spec, line);

	add(MS(2) + 45, EV_WAITS, c, 0, 0, line);
	signalled();
	return c;
}

START_TEST(a_fin_is_enough)
{
	int32_t c = blocked("BLPOP k 0");

	fin(MS(6), c, 0, 0);
	good_end();
	fails("");
	is("CON-13", PASS);
	is("CON-1", SKIP);
}
END_TEST

START_TEST(so_is_an_answer)
{
	int32_t c = blocked("BLPOP k 0");

	begins(MS(6), c, 0, 500, -2, NULL);
	add(MS(6), EV_ANSWER, c, 0, 20, "500 -UNBLOCKED");
	wire(MS(6), EV_W_LAST, c, 20, 0);
	fin(MS(7), c, 1, 0);
	good_end();
	fails("");
	is("CON-13", PASS);
}
END_TEST

START_TEST(a_reset_is_not)
{
	int32_t c = blocked("BLPOP k 0");

	rst(MS(6), c, 0, 0, 0);
	good_end();
	fails("CON-13");
	says("CON-13", "RST");
}
END_TEST

START_TEST(nor_half_a_message)
{
	int32_t c = blocked("SUBSCRIBE c");

	begins(MS(3), c, 0, 200, -2, NULL);
	wire(MS(3), EV_W_LAST, c, 30, 0);
	fin(MS(6), c, 0, 30);
	good_end();
	fails("CON-13");
	says("CON-13", "middle of a message");
}
END_TEST

START_TEST(it_holds_the_exit)
{
	int32_t c = blocked("BLPOP k 0");

	closes_listener(MS(6));
	still_open(MS(10004), c, TCP_ESTABLISHED, TCP_ESTABLISHED);
	hangs("waiting for client #1 (one, waiting)");
	ends(MS(10010));
	judge();
	fails("CON-13");
	is("EXI-2", SKIP);
}
END_TEST

static int32_t in_transaction(void)
{
	unsigned spec = client("tx", PHASE_TRANSACTION);

	starts();
	int32_t c = opened(MS(2), "tx");

	asks(MS(2) + 20, c, 0, "MULTI");
	asks(MS(2) + 20, c, 1, "SET a 1");
	answers(MS(2) + 30, c, 0, 200, 5, NULL);
	answers(MS(2) + 31, c, 1, 200, 9, NULL);
	add(MS(2) + 50, EV_PROVEN, c, PHASE_TRANSACTION, 1000 + c, "as it is proven");
	signalled();
	(void)spec;
	return c;
}

START_TEST(a_transaction_may_end_with_fin)
{
	fin(MS(6), in_transaction(), 2, 0);
	good_end();
	fails("");
	is("CON-4", PASS);
}
END_TEST

START_TEST(a_transaction_may_be_finished)
{
	int32_t c = in_transaction();

	asks(MS(6), c, 2, "EXEC");
	answers(MS(7), c, 2, 200, 9, NULL);
	fin(MS(8), c, 3, 0);
	good_end();
	fails("");
	is("CON-4", PASS);
}
END_TEST

START_TEST(a_transaction_does_not_run_by_itself)
{
	int32_t c = in_transaction();

	answers(MS(7), c, 2, 200, 9, NULL);
	fin(MS(8), c, 3, 0);
	good_end();
	fails("CON-4");
}
END_TEST

START_TEST(a_transaction_is_not_reset)
{
	rst(MS(6), in_transaction(), 14, 14, 0);
	good_end();
	fails("CON-4");
}
END_TEST

START_TEST(half_an_exec_is_cut)
{
	int32_t c = in_transaction();

	asks(MS(6), c, 2, "EXEC");
	begins(MS(7), c, 2, 0, -2, NULL);
	wire(MS(7), EV_W_LAST, c, 20, 0);
	fin(MS(8), c, 2, 5);
	good_end();
	fails("CON-4");
	says("CON-4", "EXEC");
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: waits");
	TCase *tc = tcase_create("waits");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(a_fin_is_enough), T(so_is_an_answer), T(a_reset_is_not), T(nor_half_a_message), T(it_holds_the_exit);
	T(a_transaction_may_end_with_fin), T(a_transaction_may_be_finished), T(a_transaction_does_not_run_by_itself);
	T(a_transaction_is_not_reset), T(half_an_exec_is_cut);
	return rig_main(s);
}
