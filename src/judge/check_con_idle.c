/* CON-6: connections with nothing to do. */
#include <string.h>

#include "judge/say.h"

#define AT_REST (PHASES(IDLE) | PHASES(PING_ONLY))

static bool holds(const struct facts *f, const struct round_fact *r)
{
	const struct hung *h = hang_of(f, r);

	return h->kind != HANG_NONE && h->charged && !strcmp(h->charged, "CON-6");
}

/* Open when the grace was over, be it that it was closed before the process went, late, by itself. */
static bool held_on(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);

	return holds(f, r) && conn_open_at(f, c, nsec_sub(hang_of(f, r)->at, 1));
}

/* A connection that was answered while draining is idle from then on. */
static bool left_idle(const struct facts *f, const struct conn_fact *c)
{
	return !in_phase(c, AT_REST) && held_on(f, c) && c->answers && c->answers >= c->asked &&
	       fact_t(f, c->answer) < hang_of(f, round_of(f, c))->at;
}

static bool idle_applies(const struct scenario *sc, const struct facts *f)
{
	bool held = false;

	if (sc->sweep)
		return false;
	for_each_round(f, r) {
		held |= holds(f, r);
	}
	return held || (has_phase(sc, AT_REST) && any_round(f));
}

static void judge_con_6(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = arena_printf(f->arena,
		"idle keep-alive connections are closed, and the exit is within %s",
		time_text(f, grace_of(f)));
	for_each_judged(f, c) {
		const struct round_fact *r = round_of(f, c);
		uint32_t end;

		if (!left_idle(f, c) && (!in_phase(c, AT_REST) || !conn_armed(f, c)))
			continue;
		enum conn_how how = conn_how(f, c, &end);

		if (how == HOW_RST && in_phase(c, AT_REST) && fact_t(f, end) >= signal_begin(f, r)) {
			if (sum_bad(&t, SHOULD, "server", "%s: idle, closed by RST instead of FIN %s after %s",
				    client_name(f, c), after_signal(f, r, end), first_signal(f, r)))
				cite_conn(f, ret, c);
		} else if (how != HOW_OPEN && !held_on(f, c)) {
			t.good++;
		} else if (!holds(f, r)) {
			if (hung_charged(f, c))
				sum_see(&t, hung_charged(f, c));
			else
				sum_unsure(&t, c->still, "%s: no end of it was seen", client_name(f, c));
		} else if (sum_bad(&t, MUST, "server",
				   "%s: %s, no FIN in the %s after %s, and the process "
				   "was still there; suspect: %s",
				   client_name(f, c),
				   c->phase == PHASE_IDLE ? "idle" :
				   c->phase == PHASE_PING_ONLY ? "no stream open, PINGs alone" : "answered and idle since",
				   time_text(f, grace_of(f)), first_signal(f, r), suspect_of(f, r))) {
			cite_conn(f, ret, c);
			cite(ret, r->kill);
			cite(ret, r->autopsy);
			if (c->answer && fact_t(f, c->answer) > signal_end(f, r))
				ret->hint = "it was busy when the stop began, and became idle after the idle ones had been "
					    "closed: say 'Connection: close' with answers while draining, or close each "
					    "connection when its answer is out";
		}
	}
	sum_end(&t, "idle connections were closed");
}

const struct check check_con_6 = {
	.id = "CON-6", .title = "idle connections do not hold the exit", .level = MUST,
	.applies = idle_applies, .judge = judge_con_6,
	.todo = "when the stop begins, close every connection that has no request in progress",
	.why = "Every browser and every connection pool keeps idle connections. A server that waits "
	       "for them exits only when its idle timeout runs out, long after the supervisor's "
	       "patience, and is then killed with whatever it was doing. Either side may close an idle "
	       "connection at any time (RFC 9112, 9.5).",
	.proof = "One answered request, the connection left open, the server's receive queue empty. At "
		 "the end of the grace the process is still there, this connection had neither FIN nor "
		 "RST, and no other kind of client explains it; the autopsy names what the process "
		 "waits for.",
	.modes = "SD-IDLE-BLOCKS, SD-KA-UNENDING",
	.fix_go = "srv.Shutdown(ctx) closes idle connections at once; hijacked ones are yours: close "
		  "them in RegisterOnShutdown.",
	.fix_node = "Before 19, server.close() leaves them: call server.closeIdleConnections() (18.2+) "
		    "after it. Since 19 it closes those that are idle at that moment; one that is busy then lives "
		    "for keepAliveTimeout after its answer: res.setHeader('Connection', 'close') while draining. It also "
		    "takes a connection for idle whose answer was ended but is not sent yet: see CON-10.",
	.fix_python = "uvicorn: --timeout-keep-alive bounds it. Own servers: keep a set of idle "
		      "writers and close them in the handler.",
	.fix_c = "Keep idle connections in a list; when draining begins, close each of them whose "
		 "receive queue is empty.",
	.fix_nginx = "QUIT closes them at once; keepalive_min_timeout (1.27.4) spares the ones just "
		     "used. HTTP/2 before 1.27.1 keeps a connection whose first bytes it reads while it stops: keepalive_timeout "
		     "bounds it.",
};
