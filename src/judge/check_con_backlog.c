/* CON-8, CON-9: connections that nobody had accepted, and listeners that come and go. */
#include "judge/say.h"

/* How many were waiting to be accepted when the signal came, as LISTEN's Recv-Q said. */
static int64_t predicted(const struct facts *f, const struct round_fact *r, struct finding *ret)
{
	int64_t n = 0;

	for (uint32_t i = 0; i < f->n_ports; i++) {
		const struct port_fact *p = &f->ports[i];

		if (&f->rounds[p->round] != r || fact_a(f, p->row_signal) <= 0)
			continue;
		n = nsec_add(n, fact_a(f, p->row_signal));
		if (ret)
			cite(ret, p->row_signal);
	}
	return n;
}

static bool backlog_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep || !any_round(f))
		return false;
	if (has_phase(sc, PHASES(BACKLOG)))
		return true;
	if (!has_phase(sc, PHASES(LOOP)))
		return false;
	for_each_judged(f, c) {
		if (c->outcome == CONN_BACKLOG_RESET)
			return true;
	}
	return false;
}

static bool queued(const struct facts *f, const struct conn_fact *c)
{
	if (c->phase == PHASE_BACKLOG)
		return conn_armed(f, c);
	return c->phase == PHASE_LOOP && c->outcome == CONN_BACKLOG_RESET;
}

static void judge_con_8(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	const struct round_fact *told = NULL;
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->level = SHOULD;
	ret->expected = "connections in the accept queue at the signal are served, or refused before "
			"they were complete";
	for_each_judged(f, c) {
		if (!queued(f, c))
			continue;
		told = told ? told : round_of(f, c);
		if (c->outcome == CONN_HUNG && hung_charged(f, c)) {
			sum_see(&t, hung_charged(f, c));
		} else if (c->outcome == CONN_BACKLOG_RESET || c->outcome == CONN_HUNG) {
			if (end_time(f, c) != NSEC_NEVER &&
				end_time(f, c) >= contract_from(f, round_of(f, c)))
				t.contract++;
			else if (charged_to_default(f, round_of(f, c)))
				sum_see(&t, "SIG-1");
			else if (sum_bad(&t, SHOULD, "server", "%s", loss_text(f, c)))
				cite_conn(f, ret, c);
		} else {
			t.good++;
		}
	}
	uint32_t lost = t.bad;

	sum_end(&t, "queued connections were served or closed cleanly");
	if (ret->outcome == FAIL) {
		found(f, ret, FAIL, "%lld in the accept queue at %s (predicted lost), %u lost: %s",
		      (long long)predicted(f, told, ret), first_signal(f, told), lost, ret->actual);
		ret->hint = "stop listening only after accept() has returned EAGAIN once more, or hand "
			    "the listener to the next process";
	}
}

/* ---- CON-9 ---- */

static bool sequence_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep || sc->target.no_port)
		return false;
	for (uint32_t i = 0; i < f->n_ports; i++)
		if (round_judged(f, &f->rounds[f->ports[i].round]) && f->ports[i].closed)
			return true;
	return false;
}

/* The first refusal of this port after the signal: later connects must be refused as well. */
static const struct conn_fact *first_refused(const struct facts *f, const struct port_fact *p)
{
	const struct round_fact *r = &f->rounds[p->round];
	const struct conn_fact *first = NULL;

	for_each_conn(f, c) {
		if (round_of(f, c) == r && c->refused && c->outcome == CONN_REFUSED_AFTER &&
			fact_a(f, c->connect) == p->number &&
			fact_t(f, c->refused) <= fact_t(f, r->relaunch) &&
			(!first || fact_t(f, c->refused) < fact_t(f, first->refused)))
			first = c;
	}
	return first;
}

static void success_after_refusal(const struct facts *f, const struct port_fact *p,
	const struct conn_fact *refused, struct sum *t)
{
	const struct round_fact *r = &f->rounds[p->round];

	for_each_conn(f, c) {
		if (round_of(f, c) != r || !c->connected || fact_a(f, c->connect) != p->number ||
			fact_t(f, c->connect) <= fact_t(f, refused->refused) ||
			fact_t(f, c->connect) >= fact_t(f, r->relaunch))
			continue;
		if (sum_bad(t, MUST, "server",
			    "port %lld refused %s at %s after %s and accepted %s %s later",
			    (long long)p->number, client_name(f, refused),
			    after_signal(f, r, refused->refused), first_signal(f, r), client_name(f, c),
			    between(f, refused->refused, c->connect))) {
			cite(t->ret, r->sig);
			cite(t->ret, refused->refused);
			cite(t->ret, c->connect);
			cite(t->ret, c->connected);
			cite(t->ret, p->closed);
			cite(t->ret, p->back);
		}
		return;
	}
}

static void judge_con_9(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "once a listener refuses, it refuses for good";
	for (uint32_t i = 0; i < f->n_ports; i++) {
		const struct port_fact *p = &f->ports[i];
		const struct round_fact *r = &f->rounds[p->round];
		uint32_t bad = t.bad;

		if (!round_judged(f, r) || !p->closed)
			continue;
		const struct conn_fact *refused = first_refused(f, p);

		if (refused)
			success_after_refusal(f, p, refused, &t);
		/* the same inode again is a look of ours that missed, not a second listen() */
		if (t.bad == bad && p->back && p->listen &&
			fact_b(f, p->back) != fact_b(f, p->listen) &&
			fact_t(f, p->back) < fact_t(f, r->relaunch) &&
			sum_bad(&t, MUST, "server",
				"port %lld: its listener was gone %s after %s, and %s later another "
				"was there (inode %lld, before %lld)",
				(long long)p->number, after_signal(f, r, p->closed), first_signal(f, r),
				between(f, p->closed, p->back), (long long)fact_b(f, p->back),
				(long long)fact_b(f, p->listen))) {
			cite(ret, r->sig);
			cite(ret, p->closed);
			cite(ret, p->back);
		}
		t.good += t.bad == bad;
	}
	sum_end(&t, "listeners stayed closed");
}

const struct check check_con_8 = {
	.id = "CON-8", .title = "the accept queue is served or refused", .level = SHOULD,
	.applies = backlog_applies, .judge = judge_con_8,
	.why = "The kernel completes handshakes and even ACKs request bytes before the server accepts. "
	       "When the listener is closed, all of these get an RST (inet_csk_listen_stop, "
	       "net/ipv4/inet_connection_sock.c). Every server loses some in a burst; how many is no "
	       "chance: it is the accept queue's length.",
	.proof = "sock_diag shows LISTEN's Recv-Q just before the signal: that many are predicted. "
		 "Each client's server end had no inode (nobody accepted it); then its outcome is "
		 "compared with the prediction.",
	.modes = "SD-ACCEPT-BACKLOG-RST, SD-ACCEPT-RACE",
	.fix_go = "net/http closes the listener at once. Behind a balancer: fail readiness, sleep "
		  "longer than its check interval, then Shutdown. In one host: pass the listener on "
		  "(SO_REUSEPORT or fd passing).",
	.fix_node = "Fail readiness first, keep serving for the lame-duck time, then server.close().",
	.fix_python = "gunicorn: reload with HUP instead of TERM (the master keeps the socket), or use "
		      "a systemd socket.",
	.fix_c = "On the signal: accept() until EAGAIN, then close the listener. systemd socket "
		 "activation keeps the queue across restarts.",
	.fix_nginx = "Reload with HUP, or keep the listening sockets across a binary upgrade (USR2): "
		     "no connection is lost.",
};

const struct check check_con_9 = {
	.id = "CON-9", .title = "refused stays refused", .level = MUST,
	.applies = sequence_applies, .judge = judge_con_9,
	.why = "A balancer takes the first refusal as the end of this instance. A listener that comes "
	       "back while it drains collects connections that nobody will serve.",
	.proof = "All connects to a port in order of time: one that begins after an earlier one was "
		 "refused succeeds; or the LISTEN row is gone and later another one (another inode) is "
		 "there. A restart by the harness is not counted.",
	.modes = "SD-ACCEPT-TOO-LONG, SD-ACCEPT-MULTI, SD-UPG-GAP",
	.fix_go = "A loop around ListenAndServe must look at the stop signal before it listens again "
		  "(http.ErrServerClosed is the end).",
	.fix_node = "Do not listen() in an 'error' or 'close' handler while draining; in a cluster, "
		    "stop respawning workers first.",
	.fix_python = "Supervisors of worker processes: set the stopping flag before the first worker "
		      "ends, or it is replaced.",
	.fix_c = "One flag, set before the listener is closed, that every path to listen() looks at.",
	.fix_nginx = "Look for a supervisor that starts nginx again while the old one drains.",
};
