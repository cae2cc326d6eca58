/* CON-7, CON-11 on WebSockets and event streams: which ends are right, which are rude, which lose something. */
#include "judge_rig.h"

static int32_t websocket(enum phase phase)
{
	unsigned spec = client("ws", phase);

	starts();
	int32_t c = opened(MS(2), "ws");

	if (phase == PHASE_HALF_BODY)
		add(MS(2) + 20, EV_PARTIAL, c, 300, 200, NULL);
	else
		asks(MS(2) + 20, c, 0, "GET /ws");
	begins(MS(2) + 40, c, 0, 101, -1, "keep-alive");
	wire(MS(2) + 40, EV_W_LAST, c, 150, 0);
	add(MS(2) + 50, EV_PROVEN, c, phase, 1000 + c, "as it is proven");
	signalled();
	(void)spec;
	return c;
}

static void closes(int us, int32_t c, const char *text)
{
	add(us, EV_ANSWER, c, 0, 0, text);
	wire(us, EV_W_LAST, c, 154, 0);
	fin(us + 20, c, 1, 0);
	good_end();
}

static void drops(int us, int32_t c, const char *where)
{
	wire(us - 5, EV_W_FIN_S, c, 150, 0);
	add(us, EV_EOF_SEEN, c, 0, 0, where);
	good_end();
}

START_TEST(going_away)
{
	closes(MS(6), websocket(PHASE_UPGRADED), "101 Close 1001 ");
	fails("");
	is("CON-11", PASS);
	is("CON-7", PASS);
}
END_TEST

START_TEST(another_code)
{
	closes(MS(6), websocket(PHASE_UPGRADED), "101 Close 1000 bye");
	fails("CON-7");
	says("CON-7", "Close 1000 bye");
	ck_assert_int_eq(verdict("CON-7")->level, SHOULD);
}
END_TEST

START_TEST(dropped_idle)
{
	drops(MS(6), websocket(PHASE_UPGRADED), "no Close, between two messages");
	fails("CON-11");
	says("CON-11", "no Close, between two messages");
	ck_assert_int_eq(verdict("CON-11")->level, SHOULD);
}
END_TEST

START_TEST(dropped_with_half_of_the_clients)
{
	drops(MS(6), websocket(PHASE_HALF_BODY), "no Close, between two messages");
	fails("CON-11");
	ck_assert_int_eq(verdict("CON-11")->level, SHOULD);
}
END_TEST

START_TEST(dropped_in_a_message)
{
	drops(MS(6), websocket(PHASE_UPGRADED), "no Close, in the middle of a message");
	fails("CON-11");
	ck_assert_int_eq(verdict("CON-11")->level, MUST);
}
END_TEST

START_TEST(dropped_while_streaming)
{
	drops(MS(6), websocket(PHASE_STREAMING), "no Close, between two messages");
	fails("CON-11");
	ck_assert_int_eq(verdict("CON-11")->level, MUST);
}
END_TEST

static void holds(int32_t c)
{
	closes_listener(MS(6));
	still_open(MS(10004), c, TCP_ESTABLISHED, TCP_ESTABLISHED);
	hangs("waiting for client #1 (ws)");
	ends(MS(10010));
	judge();
}

START_TEST(held)
{
	holds(websocket(PHASE_HALF_BODY));
	fails("EXI-2");
}
END_TEST

/* It has had its Close, and does not answer it: to hold the exit is then its own doing, as after a FIN. */
START_TEST(held_by_one_that_never_closes)
{
	int32_t c = websocket(PHASE_UPGRADED);

	g.clients[0].never_closes = true;
	add(MS(6), EV_ANSWER, c, 0, 0, "101 Close 1001 ");
	holds(c);
	fails("PEER-2");
}
END_TEST

/* Cut in the end, it is not told close_notify either. */
START_TEST(cut_when_it_never_answered)
{
	int32_t c = websocket(PHASE_UPGRADED);

	g.clients[0].never_closes = !_i;
	events_add_at(&g.ev, AT(MS(2) + 15), 0, EV_TLS, c, 0x0304, 0, "TLS 1.3");
	closes(MS(6), c, "101 Close 1001 ");
	fails(_i ? "CON-7" : "");
}
END_TEST

/* A client that answers it is owed the FIN. */
START_TEST(held_after_its_close)
{
	int32_t c = websocket(PHASE_UPGRADED);

	add(MS(6), EV_ANSWER, c, 0, 0, "101 Close 1001 ");
	holds(c);
	fails("EXI-2");
	says("EXI-2", "WebSocket");
}
END_TEST

/* 1013, try again later: to who was let in while it drained, not to who was there before. */
START_TEST(try_again_later)
{
	if (!_i) {
		closes(MS(6), websocket(PHASE_UPGRADED), "101 Close 1013 ");
		fails("CON-7");
		return;
	}
	client("queued", PHASE_BACKLOG);
	starts();
	int32_t c = opened(MS(2), "queued");

	asks(MS(2) + 20, c, 0, "GET /ws");
	add(MS(2) + 50, EV_PROVEN, c, PHASE_BACKLOG, 0, "not accepted");
	signalled();
	begins(MS(5) + 40, c, 0, 101, -1, "keep-alive");
	wire(MS(5) + 40, EV_W_LAST, c, 150, 0);
	closes(MS(6), c, "101 Close 1013 ");
	fails("");
	is("CON-7", PASS);
}
END_TEST

START_TEST(half_an_event)
{
	unsigned spec = client("events", PHASE_STREAMING);

	starts();
	int32_t c = opened(MS(2), "events");

	asks(MS(2) + 20, c, 0, "GET /events");
	begins(MS(2) + 40, c, 0, 200, -1, "keep-alive");
	add(MS(2) + 50, EV_PROVEN, c, PHASE_STREAMING, 1000 + c, "as it is proven");
	signalled();
	add(MS(6), EV_ANSWER, c, 0, 20, "200 its last event is cut");
	wire(MS(6), EV_W_LAST, c, 120, 0);
	fin(MS(7), c, 1, 0);
	good_end();
	fails("CON-11");
	ck_assert_int_eq(verdict("CON-11")->level, SHOULD);
	(void)spec;
}
END_TEST

#define T(name) tcase_add_test(tc, name)
int main(void)
{
	Suite *s = suite_create("judge: websocket");
	TCase *tc = tcase_create("websocket");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	T(going_away), T(another_code), T(dropped_idle), T(dropped_with_half_of_the_clients), T(dropped_in_a_message);
	T(dropped_while_streaming), T(held), T(half_an_event);
	T(held_by_one_that_never_closes), T(held_after_its_close);
	tcase_add_loop_test(tc, try_again_later, 0, 2);
	tcase_add_loop_test(tc, cut_when_it_never_answered, 0, 2);
	return rig_main(s);
}
