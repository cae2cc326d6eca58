/* CON-1 to CON-7: what is charged, to whom, and what is not. */
#include "judge_one.h"

START_TEST(con_1_wrong_bytes)
{
	int32_t c = one(PHASE_WAITING, "GET /gate");

	begins(MS(10), c, 0, 200, 64, "close");
	add(MS(10), EV_ANSWER, c, 0, 64, "200 echo-bad@63");
	wire(MS(10), EV_W_LAST, c, 164, 0);
	fin(MS(11), c, 1, 0);
	good_end();
	fails("CON-1");
	ck_assert_int_eq(outcome_of(c), CONN_TRUNCATED);
	ck_assert_str_eq(verdict("CON-1")->whose, "application");
}
END_TEST

static int32_t answers_with(unsigned s, int us, const char *line, const char *answer)
{
	int32_t c = parked(s, line);

	begins(us, c, 0, 200, 64, "close");
	add(us, EV_ANSWER, c, 0, 64, answer);
	wire(us, EV_W_LAST, c, 164, 0);
	fin(us + 50, c, 1, 0);
	return c;
}

/* A head that names the request promises nothing of the body... */
START_TEST(con_1_head_alone)
{
	unsigned s = client("slow", PHASE_WAITING);

	starts();
	signalled();
	answers_with(s, MS(10), "GET /named", "200 body-other@0");
	answers_with(s, MS(11), "GET /gate", "200 echo-ok");
	good_end();
	fails("");
}
END_TEST

/* ... unless another answer to the same line had the nonce in its body. */
START_TEST(con_1_other_body)
{
	unsigned s = client("slow", PHASE_WAITING);

	starts();
	signalled();
	answers_with(s, MS(10), "GET /gate", "200 body-other@0");
	answers_with(s, MS(11), "GET /gate", "200 echo-ok");
	good_end();
	fails("CON-1");
	says("CON-1", "its bytes are wrong: 200 body-other@0");
}
END_TEST

START_TEST(con_1_5xx_needs_proof)
{
	int32_t c = one(PHASE_WAITING, "GET /never-seen-before");

	answers(MS(10), c, 0, 503, 10, "close");
	fin(MS(11), c, 1, 0);
	good_end();
	fails("");
}
END_TEST

START_TEST(con_1_5xx)
{
	int32_t c = one(PHASE_WAITING, "GET /");        /* the warm-up got 200 for it */

	answers(MS(10), c, 0, 503, 10, "close");
	fin(MS(11), c, 1, 0);
	good_end();
	fails("CON-1");
	says("CON-1", "status 503");
}
END_TEST

START_TEST(con_1_exit_takes_it)
{
	int32_t c = one(PHASE_WAITING, "GET /gate");

	fin(MS(6), c, 0, 0);
	closes_listener(MS(6));
	exits(MS(6) + 10, 0);
	ends(MS(9));
	judge();
	fails("CON-1");
	ck_assert_str_eq(verdict("CON-1")->whose, "application");
	ck_assert_ptr_nonnull(strstr(verdict("CON-1")->hint, "return from main"));
}
END_TEST

/* fasthttp: the answer is in its buffer when it closes, and it sleeps a tenth of a second before it goes. */
START_TEST(con_1_drops_what_was_written)
{
	unsigned spec = client("one", PHASE_PIPELINED);

	starts();
	int32_t c = parked(spec, "GET /gate");

	add(MS(3), EV_GATE_REACHED, c, 0, 0, "x GET /gate");
	signalled();
	closes_listener(MS(6));
	add(MS(6) + 10, EV_GATE_RELEASED, -1, 1, 0, NULL);
	fin(MS(6) + 140, c, 0, 0);
	exits(MS(108), 0);
	ends(MS(109));
	judge();
	fails("CON-1");
	ck_assert_str_eq(verdict("CON-1")->whose, "server");
	ck_assert_ptr_nonnull(strstr(verdict("CON-1")->hint, "lived on for 102ms"));
}
END_TEST

START_TEST(con_1_many)
{
	unsigned spec = client("many", PHASE_WAITING);
	int32_t c[50];

	starts();
	for (int i = 0; i < 50; i++)
		c[i] = parked_at(MS(2) + i * 10, spec, "GET /gate");
	signalled();
	for (int i = 0; i < 50; i++) {
		if (i < 3) {
			fin(MS(6), c[i], 0, 0);
			continue;
		}
		answers(MS(10), c[i], 0, 200, 64, "close");
		fin(MS(11), c[i], 1, 0);
	}
	good_end();
	fails("CON-1");
	says("CON-1", "client many#0");
	says("CON-1", "the same on 3 of 50");
	ck_assert_uint_eq(g.res.connections[CONN_FIN_NO_RESPONSE], 3);
	ck_assert_uint_eq(g.res.connections[CONN_COMPLETED], 48);
}
END_TEST

/* actix: a burst is accepted, nobody reads it any more, and its connections are reset. Told, and told why it is no fault. */
START_TEST(burst_accepted_and_not_read)
{
	unsigned spec = client("burst", PHASE_LOOP);
	int32_t c[2];

	starts();
	for (int i = 0; i < 2; i++) {
		c[i] = opened(MS(4) + i * 10, "burst");
		asks(MS(4) + i * 10 + 5, c[i], 0, "GET /");
		events_add_at(&g.ev, AT(MS(5) - 10 + i), 0, EV_PEER_STATE, c[i], 1, 100, "inode 78 wqueue 0 timer 0");
	}
	ck_assert_uint_eq(spec, 0);
	signalled();
	rst(MS(6), c[0], 0, 0, 0);
	rst(MS(6), c[1], 0, 0, 0);
	good_end();
	fails("");
	ck_assert_uint_eq(g.res.connections[CONN_RESET_IN_FLIGHT], 2);
	ck_assert_uint_eq(g.res.expected[CONN_RESET_IN_FLIGHT], 2);
}
END_TEST

START_TEST(contract)
{
	int32_t c = one(PHASE_WAITING, "GET /gate");

	g.sc.expect.has_second = true;
	g.sc.expect.second = SECOND_FORCE;
	add(MS(100), EV_SIGNAL, 1, SIGTERM, AT(MS(100)) + 2000, "process 100");
	fin(MS(100) + 300, c, 0, 0);
	closes_listener(MS(6));
	exits(MS(100) + 350, 1);
	ends(MS(110));
	judge();
	fails("");
	is("CON-1", PASS);
	says("CON-1", "by the contract");
	is("SIG-3", PASS);
	is("EXI-1", PASS);
}
END_TEST

START_TEST(con_3_after_answer)
{
	int32_t c = one(PHASE_WAITING, "GET /gate");

	answers(MS(10), c, 0, 200, 64, "close");
	rst(MS(10) + 100, c, 164, 164, 64);
	good_end();
	fails("CON-3");
	ck_assert_int_eq(verdict("CON-3")->level, SHOULD);
	is("CON-1", PASS);
	is("CON-2", PASS);
	ck_assert_int_eq(outcome_of(c), CONN_COMPLETED);
}
END_TEST

START_TEST(con_3_by_fin)
{
	int32_t c = one(PHASE_WAITING, "GET /gate");

	/* nothing arrived, yet the FIN that ends the answer was sent before the RST */
	wire(MS(6), EV_W_LAST, c, 164, 0);
	wire(MS(6) + 1, EV_W_FIN_S, c, 164, 0);
	rst(MS(6) + 10, c, 164, 0, 0);
	good_end();
	fails("CON-3");
	ck_assert_int_eq(outcome_of(c), CONN_TAIL_LOST);
}
END_TEST

/* ---- halves ---- */

START_TEST(con_4_good)
{
	unsigned h = client("head", PHASE_HALF_HEADER), b = client("body", PHASE_HALF_BODY);

	starts();
	int32_t c = parked(h, NULL), d = parked(b, NULL), e = parked_at(MS(3), b, NULL);

	signalled();
	fin(MS(6), c, 0, 0);
	answers(MS(6), d, 0, 408, 0, "close");
	fin(MS(7), d, 1, 0);
	asks(MS(6), e, 0, "POST /upload");      /* the rest comes, the answer too */
	answers(MS(7), e, 0, 200, 2, "close");
	fin(MS(8), e, 1, 0);
	good_end();
	fails("");
	is("CON-4", PASS);
	is("PEER-1", PASS);
	ck_assert_int_eq(outcome_of(c), CONN_COMPLETED);
}
END_TEST

START_TEST(con_4_rst)
{
	int32_t c = one(PHASE_HALF_HEADER, NULL);

	rst(MS(6), c, 0, 0, 0);
	good_end();
	fails("CON-4");
	ck_assert_int_eq(outcome_of(c), CONN_RESET_IN_FLIGHT);
}
END_TEST

START_TEST(con_4_half_is_not_whole)
{
	int32_t c = one(PHASE_HALF_BODY, NULL);

	answers(MS(6), c, 0, 201, 2, "close");
	fin(MS(7), c, 1, 0);
	good_end();
	fails("CON-4");
	says("CON-4", "status 201 for half a request");
}
END_TEST

START_TEST(con_4_raced)
{
	int32_t c = one(PHASE_HALF_BODY, NULL);

	/* the server had closed (FIN) before the rest ran into it */
	wire(MS(6), EV_W_FIN_S, c, 0, 0);
	asks(MS(6) + 10, c, 0, "POST /upload");
	rst(MS(6) + 30, c, 0, 0, 0);
	good_end();
	is("CON-4", PASS);
	fails("");
}
END_TEST

START_TEST(con_4_raced_unseen)
{
	g.no_wire = true;
	int32_t c = one(PHASE_HALF_BODY, NULL);

	asks(MS(6) + 10, c, 0, "POST /upload");
	rst(MS(6) + 30, c, 0, 0, 0);
	good_end();
	is("CON-4", UNSURE);
	ck_assert_int_eq(g.res.outcome, UNSURE);
}
END_TEST

/* The rest of a half request met a closed socket; another client got its last byte from the server at `served`. */
static void rest_is_reset(int served)
{
	unsigned half = client("half", PHASE_HALF_BODY), other = client("other", PHASE_WAITING);

	starts();
	int32_t c = parked(half, NULL), o = parked(other, "GET /gate");

	signalled();
	asks(MS(6), c, 0, "POST /upload");
	rst(MS(6) + 30, c, 0, 0, 0);
	answers(served, o, 0, 200, 16, "close");
	fin(served + 10, o, 1, 0);
	good_end();
}

START_TEST(con_4_leaving)
{
	rest_is_reset(MS(5) + 500);
	is("CON-4", PASS);
	fails("");
}
END_TEST

START_TEST(con_4_reset_while_serving)
{
	rest_is_reset(MS(12));
	fails("CON-4");
}
END_TEST

START_TEST(con_5)
{
	int32_t c = one(PHASE_PIPELINED, "GET /gate");

	answers(MS(6), c, 0, 200, 16, "close");
	fin(MS(7), c, 1, 0);
	good_end();
	fails("");
	is("CON-5", PASS);
	is("CON-1", PASS);
}
END_TEST

START_TEST(con_5_cut)
{
	int32_t c = one(PHASE_PIPELINED, "GET /gate");

	answers(MS(6), c, 0, 200, 16, "close");
	begins(MS(7), c, 1, 200, 64, "close");
	fin(MS(8), c, 1, 10);
	good_end();
	fails("CON-5");
}
END_TEST

START_TEST(con_5_not_half)
{
	int32_t c = one(PHASE_PIPELINED, "GET /gate");

	/* b of RESET_SEEN is what is left of the first answer: no byte of the second came */
	answers(MS(6), c, 0, 200, 16, "close");
	rst(MS(7), c, 116, 116, 16);
	good_end();
	is("CON-5", PASS);
	fails("CON-3");
	ck_assert_int_eq(verdict("CON-3")->level, SHOULD);
}
END_TEST

/* ---- idle ---- */

START_TEST(con_6)
{
	int32_t c = one(PHASE_IDLE, "GET /");

	fin(MS(6), c, 1, 0);
	good_end();
	fails("");
	is("CON-6", PASS);
}
END_TEST

START_TEST(con_6_holds)
{
	int32_t c = one(PHASE_IDLE, "GET /");

	closes_listener(MS(6));
	still_open(MS(10004), c, 1, 1);
	hangs("waiting for client #1 (one, idle): ESTABLISHED, both queues empty");
	ends(MS(10010));
	judge();
	fails("CON-6");
	is("EXI-2", SKIP);
	is("EXI-1", SKIP);
	ck_assert_int_eq(outcome_of(c), CONN_HUNG);
}
END_TEST

/* Closed, and gone by itself, but only after the grace: who was open then has held it till then. */
START_TEST(con_6_late)
{
	int32_t c = one(PHASE_IDLE, "GET /");

	closes_listener(MS(6));
	fin(MS(10050), c, 1, 0);
	exits(MS(10060), 0);
	ends(MS(10200));
	judge();
	fails("CON-6");
	is("EXI-2", SKIP);
}
END_TEST

/* It was still being read when the grace was over, and answered before the process went: no idle one. */
START_TEST(peer_2_late)
{
	int32_t c = one(PHASE_SLOW_READER, "GET /big");

	closes_listener(MS(6));
	answers(MS(10040), c, 0, 200, 16, "close");
	fin(MS(10050), c, 1, 0);
	exits(MS(10060), 0);
	ends(MS(10200));
	judge();
	fails("PEER-2");
	is("EXI-2", SKIP);
	ck_assert_ptr_null(verdict("CON-6"));
}
END_TEST

START_TEST(con_6_others_hold)
{
	unsigned idle = client("idle", PHASE_IDLE), dumb = client("dumb", PHASE_CONNECTED);

	starts();
	int32_t c = parked(idle, "GET /"), d = parked(dumb, NULL);

	signalled();
	closes_listener(MS(6));
	still_open(MS(10004), c, 1, 1);
	still_open(MS(10004), d, 1, 1);
	hangs("waiting for client #2 (dumb, connected)");
	ends(MS(10010));
	judge();
	fails("PEER-1");
	is("CON-6", SKIP);
	ck_assert_int_eq(g.res.outcome, PASS);
}
END_TEST

START_TEST(con_7)
{
	int32_t c = one(PHASE_WAITING, "GET /gate");

	answers(MS(10), c, 0, 200, 64, "keep-alive");
	fin(MS(10) + 100, c, 1, 0);
	good_end();
	fails("CON-7");
	ck_assert_int_eq(g.res.outcome, PASS);
}
END_TEST

START_TEST(con_7_client_left)
{
	int32_t c = one(PHASE_WAITING, "GET /gate");

	answers(MS(10), c, 0, 200, 64, "keep-alive");
	add(MS(10) + 100, EV_CLIENT_CLOSED, c, 0, 0, "as the scenario says");
	good_end();
	fails("");
	ck_assert_ptr_null(verdict("CON-7"));
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: requests");
	TCase *tc = tcase_create("requests");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(con_1_wrong_bytes), T(con_1_head_alone), T(con_1_other_body), T(con_1_5xx_needs_proof), T(con_1_5xx), T(con_1_exit_takes_it);
	T(con_1_drops_what_was_written), T(con_1_many),
	T(burst_accepted_and_not_read), T(contract), T(con_3_after_answer), T(con_3_by_fin), T(con_4_good), T(con_4_rst);
	T(con_4_half_is_not_whole), T(con_4_raced), T(con_4_raced_unseen), T(con_4_leaving), T(con_4_reset_while_serving), T(con_5), T(con_5_cut);
	T(con_5_not_half), T(con_6), T(con_6_holds), T(con_6_late), T(peer_2_late), T(con_6_others_hold), T(con_7);
	T(con_7_client_left);
	return rig_main(s);
}
