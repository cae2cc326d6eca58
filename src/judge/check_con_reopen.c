/* CON-9: listeners that come and go. */
#include "judge/say.h"

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

const struct check check_con_9 = {
	.id = "CON-9", .title = "refused stays refused", .level = MUST,
	.alone = true,
	.applies = sequence_applies, .judge = judge_con_9,
	.todo = "close the listener once and for good: nothing may open it again while stopping",
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
