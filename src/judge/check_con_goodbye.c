/* CON-7: the word that says that a connection ends. */
#include <string.h>

#include "judge/goaway.h"
#include "judge/notify.h"

/* The last answer on it was made after the signal, whole, and then the server closed. Only heads with a status can say
 * that it will (raw protocols have none). */
static bool answered_then_closed(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	uint32_t end;
	enum conn_how how = conn_how(f, c, &end);

	return (c->phase == PHASE_WAITING || c->phase == PHASE_PIPELINED) && conn_armed(f, c) &&
	       c->answers && c->head && !conn_partial(f, c) && (how == HOW_FIN || how == HOW_RST) &&
	       fact_t(f, c->head) > signal_end(f, r) && fact_a(f, c->head) > 0 &&
	       fact_t(f, c->head) < contract_from(f, r);
}

/* The Close of a WebSocket came after the signal. */
static bool ws_closed(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);

	return conn_upgraded(f, c) && conn_armed(f, c) && strstr(fact_text(f, c->answer), " Close") &&
	       fact_t(f, c->answer) >= signal_begin(f, r) && fact_t(f, c->answer) < contract_from(f, r);
}

/* 1001: going away; 1012: service restart; to who came after the signal also 1013: try again later. Others tell the client that the work
 * is done, or that it made a mistake. */
static void ws_goodbye(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;
	const char *said = strstr(fact_text(f, c->answer), "Close");
	bool late = fact_t(f, c->head) >= signal_begin(f, round_of(f, c));

	if (!strncmp(said, "Close 1001", 10) || !strncmp(said, "Close 1012", 10) || (late && !strncmp(said, "Close 1013", 10))) {
		t->good++;
	} else if (sum_bad(t, SHOULD, "server", "%s: '%s' %s after %s, not 1001 (going away) or 1012 (service restart)",
			   client_name(f, c), said, after_signal(f, round_of(f, c), c->answer),
			   first_signal(f, round_of(f, c)))) {
		cite_conn(f, t->ret, c);
		t->ret->hint = "close WebSockets with 1001 or 1012 while draining: clients then connect again, elsewhere";
	}
}

static bool goodbye_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep)
		return false;
	for_each_judged(f, c) {
		if ((c->status && fact_text(f, c->head)[0] && answered_then_closed(f, c)) || h2_closed(f, c) || ws_closed(f, c))
			return true;
	}
	return notify_applies(f);
}

static void judge_con_7(const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "the last answer before the server closes says Connection: close; a connection of HTTP/2 is "
			"told by GOAWAY, one of TLS by close_notify";
	for_each_judged(f, c) {
		if (c->settings || c->stream) {
			if (h2_closed(f, c))
				h2_goodbye(&t, c);
			continue;
		}
		if (conn_upgraded(f, c)) {
			if (ws_closed(f, c))
				ws_goodbye(&t, c);
			continue;
		}
		/* a protocol without status lines has no way to say it */
		if (!c->status || !fact_text(f, c->head)[0] || !answered_then_closed(f, c))
			continue;
		if (!strcmp(fact_text(f, c->head), "close")) {
			t.good++;
			continue;
		}
		/* the wire is ahead of the client's read of the answer */
		nsec_t later = nsec_sub(end_time(f, c), fact_t(f, c->answer));
		const char *text = arena_printf(f->arena,
			"%s: answer %s after %s without Connection: close, then closed %s later", client_name(f, c),
			after_signal(f, round_of(f, c), c->head), first_signal(f, round_of(f, c)), time_text(f, later > 0 ? later : 0));

		if (sum_bad(&t, SHOULD, "server", "%s", text))
			cite_conn(f, ret, c);
	}
	judge_notify(&t);
	sum_end(&t, "connections were told goodbye");
}

const struct check check_con_7 = {
	.id = "CON-7", .title = "answers while draining say goodbye", .level = SHOULD,
	.applies = goodbye_applies, .judge = judge_con_7,
	.todo = "once the stop has begun, send 'Connection: close' with every answer",
	.why = "A server that will close must say so in its last answer (Connection: close, RFC 9112, 9.6), or the client reuses "
	       "the connection and its next request meets the close: a race that loses requests although nobody failed.",
	.proof = "A request in flight at the signal, its answer's head after the signal, and then the "
		 "server's FIN or RST: the head's Connection field is looked at. HTTP/2: a connection that the server closed "
		 "after the signal had a GOAWAY before it (RFC 9113, 6.8: a first one with 2^31-1, and when a round trip has "
		 "passed one with the last stream that was taken, so that a stream on its way is not lost); no stream above "
		 "the last id is answered. TLS: its close_notify came before the FIN (RFC 8446, 6.1; RFC 9112, 9.8).",
	.modes = "SD-KA-NO-CLOSE, SD-WS-NO-CLOSE, SD-IDLE-RACE, SD-TLS-NO-NOTIFY",
	.fix_go = "Shutdown makes net/http send it; a proxy of your own: w.Header().Set(\"Connection\", \"close\") while draining.",
	.fix_node = "While draining: res.setHeader('Connection', 'close') before writing the head.",
	.fix_python = "Many do not by themselves (aiohttp, gunicorn gthread and gevent, hypercorn): add the header in "
		      "middleware once draining. TLS: unwrap() before close().",
	.fix_c = "Choose the Connection header when the head is written, by the drain flag, not when the request was read. "
		 "TLS: SSL_shutdown() before shutdown().",
	.fix_nginx = "QUIT does it (1.21.6 and later also for proxied answers).",
};
