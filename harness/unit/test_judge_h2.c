/* HTTP/2: a stream's end is not its connection's, GOAWAY says which streams are owed, and who only PINGs is idle. */
#include "judge_rig.h"

/* Two streams on the connection of the first; the numbers 1 and 3. */
static int32_t streams(enum phase phase)
{
	unsigned spec = client("one", phase);

	starts();
	int32_t c = parked(spec, "GET /gate");

	add(MS(2) + 5, EV_SETTINGS, c, 100, 0, NULL);
	add(MS(2) + 15, EV_STREAM, c, 1, c, NULL);
	if (phase == PHASE_WAITING) {
		int32_t second = parked(spec, "GET /gate");

		add(MS(2) + 15, EV_STREAM, second, 3, c, NULL);
	}
	return c;
}

static void goaway(int us, int32_t c, int last, int code)
{
	add(us, EV_GOAWAY, c, last, code, code ? "INTERNAL_ERROR" : "NO_ERROR");
}

static void both_answered(int us, int32_t c)
{
	answers(us, c, 0, 200, 64, "keep-alive");
	answers(us, c + 1, 0, 200, 64, "keep-alive");
}

/* The connection's packets are its carrier's alone. */
static void carrier_fin(int us, int32_t c, int done)
{
	wire(us - 5, EV_W_FIN_S, c, 4000, 0);
	add(us, EV_EOF_SEEN, c, done & 1, 0, NULL);
	add(us, EV_EOF_SEEN, c + 1, done >> 1, 0, NULL);
}

START_TEST(answered)
{
	int32_t c = streams(PHASE_WAITING);

	signalled();
	goaway(MS(6), c, 0x7fffffff, 0);
	goaway(MS(7), c, 3, 0);
	both_answered(MS(10), c);
	carrier_fin(MS(11), c, 3);
	good_end();
	fails("");
	is("CON-1", PASS);
	is("CON-7", PASS);
	ck_assert_int_eq(outcome_of(c + 1), CONN_COMPLETED);
}
END_TEST

/* Of two streams in flight one is answered and the other reset. */
static int32_t one_reset(int code, const char *name)
{
	int32_t c = streams(PHASE_WAITING);

	signalled();
	add(MS(6), EV_STREAM_RESET, c + 1, code, 0, name);
	goaway(MS(7), c, 3, 0);
	answers(MS(10), c, 0, 200, 64, "keep-alive");
	carrier_fin(MS(11), c, 1);
	good_end();
	return c;
}

START_TEST(reset_is_con_2)
{
	int32_t c = one_reset(2, "INTERNAL_ERROR");

	fails("CON-2");
	says("CON-2", "RST_STREAM INTERNAL_ERROR");
	ck_assert_int_eq(outcome_of(c), CONN_COMPLETED);
	ck_assert_int_eq(outcome_of(c + 1), CONN_RESET_IN_FLIGHT);
}
END_TEST

START_TEST(refused_may_be_asked_again)
{
	int32_t c = one_reset(7, "REFUSED_STREAM");

	fails("");
	ck_assert_int_eq(outcome_of(c + 1), CONN_RETRY_SAFE);
}
END_TEST

START_TEST(disowned_may_be_asked_again)
{
	int32_t c = streams(PHASE_WAITING);

	signalled();
	goaway(MS(6), c, 1, 0);
	answers(MS(10), c, 0, 200, 64, "keep-alive");
	carrier_fin(MS(11), c, 1);
	good_end();
	fails("");
	ck_assert_int_eq(outcome_of(c + 1), CONN_RETRY_SAFE);
}
END_TEST

START_TEST(disowned_but_at_work)
{
	int32_t c = streams(PHASE_WAITING);

	add(MS(3), EV_GATE_REACHED, c + 1, 0, 0, "GET /gate");
	signalled();
	goaway(MS(6), c, 1, 0);
	answers(MS(10), c, 0, 200, 64, "keep-alive");
	carrier_fin(MS(11), c, 1);
	good_end();
	fails("CON-1");
	says("CON-1", "GOAWAY(last 1) says that stream 3 was not taken, but it was");
}
END_TEST

START_TEST(connection_error)
{
	int32_t c = streams(PHASE_WAITING);

	signalled();
	goaway(MS(6), c, 3, 2);
	carrier_fin(MS(7), c, 0);
	good_end();
	fails("CON-2");
	says("CON-2", "GOAWAY INTERNAL_ERROR (a connection error) and FIN");
	ck_assert_int_eq(outcome_of(c), CONN_RESET_IN_FLIGHT);
}
END_TEST

START_TEST(fin_alone)
{
	int32_t c = streams(PHASE_WAITING);

	signalled();
	carrier_fin(MS(7), c, 0);
	good_end();
	fails("CON-1 CON-7");
	ck_assert_int_eq(outcome_of(c + 1), CONN_FIN_NO_RESPONSE);
	says("CON-7", "without a GOAWAY");
}
END_TEST

START_TEST(served_above_goaway)
{
	int32_t c = streams(PHASE_WAITING);

	signalled();
	goaway(MS(6), c, 0, 0);
	add(MS(9), EV_ABOVE_GOAWAY, c, 1, 0, NULL);
	both_answered(MS(10), c);
	carrier_fin(MS(11), c, 3);
	good_end();
	fails("CON-7");
	says("CON-7", "stream 1 was answered although GOAWAY(last 0) disowned it");
}
END_TEST

/* A stream that crossed the first GOAWAY: the last one says whether it is owed. */
static void race(int last, bool two)
{
	unsigned spec = client("racing", PHASE_GOAWAY_RACE);

	starts();
	int32_t c = opened(MS(2), "racing");

	add(MS(2) + 5, EV_SETTINGS, c, 100, 0, NULL);
	add(MS(2) + 50, EV_PROVEN, c, g.clients[spec].phase, 1001, "a PING was answered");
	signalled();
	add(MS(6), EV_STREAM, c, 1, c, NULL);
	asks(MS(6), c, 0, "GET /");
	if (two)
		goaway(MS(6) + 1, c, 0x7fffffff, 0);
	goaway(MS(7), c, last, 0);
	fin(MS(8), c, 0, 0);
	good_end();
}

START_TEST(race_disowned)
{
	race(0, true);
	fails("");
	ck_assert_int_eq(outcome_of(1), CONN_RETRY_SAFE);
}
END_TEST

START_TEST(race_taken_and_lost)
{
	race(1, true);
	fails("CON-1");
	says("CON-1", "GOAWAY(last 1) says that stream 1 was taken");
}
END_TEST

START_TEST(race_with_one_goaway)
{
	race(0, false);
	fails("CON-7");
	says("CON-7", "came alone");
}
END_TEST

START_TEST(pings_hold)
{
	unsigned spec = client("pings", PHASE_PING_ONLY);

	starts();
	int32_t c = opened(MS(2), "pings");

	add(MS(2) + 5, EV_SETTINGS, c, 100, 0, NULL);
	add(MS(2) + 50, EV_PROVEN, c, g.clients[spec].phase, 1001, "a PING was answered");
	signalled();
	closes_listener(MS(6));
	goaway(MS(6), c, 0, 0);
	still_open(MS(10004), c, TCP_ESTABLISHED, TCP_ESTABLISHED);
	hangs("waiting for client #1");
	ends(MS(10010));
	judge();
	fails("CON-6");
	says("CON-6", "PINGs alone");
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: HTTP/2");
	TCase *tc = tcase_create("streams");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(answered), T(reset_is_con_2), T(refused_may_be_asked_again), T(disowned_may_be_asked_again), T(disowned_but_at_work);
	T(connection_error), T(fin_alone), T(served_above_goaway), T(race_disowned), T(race_taken_and_lost);
	T(race_with_one_goaway), T(pings_hold);
	return rig_main(s);
}
