/* Who holds a process that outlives its grace, and which check answers for it. */
#include <signal.h>
#include <string.h>

#include "judge/blame.h"
#include "judge/outcome.h"
#include "judge/say.h"

/* Past the limit by less than this, nobody can say who was late: the target, or our wake-up. */
#define LATE_BORDER (20 * NSEC_PER_MSEC)

/* No drain has a shorter deadline: who lets go of a client sooner did not wait for it. */
#define DEADLINE_AT_LEAST (100 * NSEC_PER_MSEC)

struct open_clients {
	uint32_t n, never_closing, slow, silent, idle, in_flight, gated, waits, upgraded, finished;
	uint32_t e_peer2, e_peer1, e_idle, e_in_flight, e_waits; /* one event each, to cite */
};

/* Of its requests the last one had no whole answer then: what comes later, before it goes by itself, has held it till then. */
static bool owed_at(const struct facts *f, const struct conn_fact *c, nsec_t at)
{
	return c->asked > c->answers || (c->answer && fact_t(f, c->answer) >= at);
}

/* held: the HELD event of it, 0: none. */
static void count_open(const struct facts *f, const struct conn_fact *c, nsec_t at, uint32_t held, struct open_clients *o)
{
	bool owed = owed_at(f, c, at);
	uint32_t proof = held ? held : c->still ? c->still : c->proven ? c->proven : c->connect;
	bool keeps = f->sc->clients[c->spec].never_closes;

	o->n++;
	/* told by close_notify or by a Close, a client that closes never holds it as one that was told by FIN */
	if (keeps && (c->end || c->notify || (conn_upgraded(f, c) && c->answers))) {
		o->never_closing++;
		o->e_peer2 = o->e_peer2 ? o->e_peer2 : proof;
	} else if (c->phase == PHASE_SLOW_READER && owed) {
		o->slow++;
		o->e_peer2 = o->e_peer2 ? o->e_peer2 : proof;
	} else if (c->waits) {
		o->waits++;
		o->e_waits = o->e_waits ? o->e_waits : proof;
	} else if ((owed && !c->rst_stream) || conn_upgraded(f, c)) {     /* also one that has had its Close: the FIN is missing */
		o->in_flight++;
		o->upgraded += conn_upgraded(f, c);
		o->gated += c->gate != 0;
		o->finished += c->partial && c->request > round_of(f, c)->sig; /* events are numbered as they came */
		o->e_in_flight = o->e_in_flight ? o->e_in_flight : proof;
	} else if ((c->answers && c->phase != PHASE_TRANSACTION) || c->rst_stream || c->phase == PHASE_PING_ONLY ||
		   c->phase == PHASE_GOAWAY_RACE) {
		o->idle++;
		o->e_idle = o->e_idle ? o->e_idle : proof;
	} else {
		o->silent++;
		o->e_peer1 = o->e_peer1 ? o->e_peer1 : proof;
	}
}

static bool stop_began(const struct facts *f, const struct round_fact *r)
{
	bool any = false;

	for (uint32_t i = 0; i < f->n_ports; i++) {
		const struct port_fact *p = &f->ports[i];

		if (&f->rounds[p->round] != r || !(p->listen || p->row_signal))
			continue;
		if (p->closed && (!r->kill || fact_t(f, p->closed) <= fact_t(f, r->kill)))
			return true;
		any = true;
	}
	return !any;
}

static void charge(struct hung *h, const char *id, const char *why, uint32_t clients, uint32_t event)
{
	h->charged = id;
	h->why = why;
	h->clients = clients;
	if (event && h->n_cites < 4)
		h->cites[h->n_cites++] = event;
}

bool root_is_pid1(const struct facts *f, const struct round_fact *r)
{
	uint64_t pid1 = 0;

	return process_field(f, r->root_before, "pid1", &pid1) && pid1;
}

static enum hang hang_kind(const struct facts *f, const struct round_fact *r)
{
	struct ending e = ending_of(f, r);
	uint64_t rss;
	nsec_t limit = exit_limit(f, r, &rss), took;

	if (!r->sig || !r->launch)
		return HANG_NONE;
	if (e.kind == ENDED_BY_US || (e.kind == ENDED_NOT && r->kill))
		return HANG_KILLED;
	if (e.kind == ENDED_NOT)
		return HANG_NONE;
	took = nsec_sub(fact_t(f, e.event), signal_end(f, r));
	if (took <= nsec_add(limit, NSEC_PER_MSEC))
		return HANG_NONE;
	return took <= nsec_add(limit, LATE_BORDER) ? HANG_BORDER : HANG_LATE;
}

bool less_patience(const struct facts *f, const struct round_fact *r, const struct round_fact *other)
{
	struct ending e = ending_of(f, r), o = ending_of(f, other);

	if (!r->kill || !(e.kind == ENDED_BY_US || e.kind == ENDED_NOT) || o.kind == ENDED_BY_US || o.kind == ENDED_NOT)
		return false;
	return nsec_sub(fact_t(f, r->kill), signal_end(f, r)) < nsec_sub(fact_t(f, o.event), signal_end(f, other));
}

/* A second signal was sent, and that the process stays is that signal's doing: it should have ended it (by `force` whatever
 * there is, SIGINT a drain that is held open), or the same drain with the first signal alone came to its end in as much time. */
static bool second_did_it(const struct facts *f, const struct round_fact *r, const struct hung *h,
	const struct open_clients *o)
{
	if (!r->sig2 || second_policy(f) == SECOND_FORCE)
		return r->sig2;
	if (o->in_flight && fact_a(f, r->sig2) == SIGINT && second_policy(f) == SECOND_ANY)
		return true;
	/* no such round: only what is still in flight speaks for the second signal */
	return h->alone ? hang_kind(f, h->alone) == HANG_NONE && !less_patience(f, r, h->alone) : o->in_flight;
}

static void charge_clients(
	const struct facts *f, const struct round_fact *r, const struct open_clients *o, struct hung *h)
{
	bool force = second_policy(f) == SECOND_FORCE, second = second_did_it(f, r, h, o);
	bool forces = r->sig2 && (force || (fact_a(f, r->sig2) == SIGINT && second_policy(f) == SECOND_ANY));

	if (o->e_peer2 && !(r->sig2 && force))
		charge(h, "PEER-2", "a client that does not read, or does not close, holds it",
			o->never_closing + o->slow, o->e_peer2);
	else if (o->silent && !(r->sig2 && force))
		charge(h, "PEER-1", "a silent or half-sent client holds it", o->silent, o->e_peer1);
	else if (o->waits && !o->in_flight && !forces)
		charge(h, "CON-13", "a blocked command or a subscription holds it", o->waits, o->e_waits);
	else if (o->gated && !r->released && !forces)
		charge(h, NULL, "the scenario never released the gate that its own request waits at",
			o->gated, o->e_in_flight);
	else if (!forces && !o->in_flight && o->idle)   /* the same without a second signal */
		charge(h, "CON-6", "an idle keep-alive connection holds it", o->idle, o->e_idle);
	else if (second && fact_a(f, r->sig2) == SIGINT)
		charge(h, "SIG-4", "the second SIGINT did not end it", o->in_flight, o->e_in_flight);
	else if (second)
		charge(h, "SIG-3", "it hangs after the second signal", o->in_flight, o->e_in_flight);
	else if (o->in_flight)
		charge(h, "EXI-2", o->upgraded == o->in_flight ? "an open WebSocket was not closed" :
		       o->finished == o->in_flight ? "a request whose other half came after the signal was not answered" :
		       "a request in flight was not answered", o->in_flight, o->e_in_flight);
	else if (o->idle)
		charge(h, "CON-6", "an idle keep-alive connection holds it", o->idle, o->e_idle);
	else if (strstr(fact_text(f, r->autopsy), "thread '") == fact_text(f, r->autopsy) && r->autopsy &&
		 strstr(fact_text(f, r->autopsy), "socket open"))
		charge(h, "RES-3", "a thread keeps it alive with no socket open", 0, r->autopsy);
	else
		charge(h, "EXI-2", "no client of the scenario holds it", 0, 0);
}

/* The autopsies of all its processes say that no client's socket is open in them. */
static bool holds_no_client(const struct facts *f, const struct round_fact *r)
{
	bool none = false;

	for_each_event(f, EV_AUTOPSY, n) {
		if (fact_event(f, n)->round != r->id || fact_t(f, n) > fact_t(f, r->kill))
			continue;
		const char *text = fact_text(f, n), *found = strstr(text, "no client socket open");

		if (!found || found > text + strcspn(text, "\n"))
			return false;
		none = true;
	}
	return none;
}

/* A thread of it is in a blocking call on a client's connection: it cannot even look at its flag. Or a worker keeps the
 * listener for as long as a client says nothing, or reads nothing. */
static bool blocked_by_client(const struct facts *f, const struct round_fact *r, bool stuck)
{
	for_each_event(f, EV_AUTOPSY, n)
		if (fact_event(f, n)->round == r->id && fact_t(f, n) <= fact_t(f, r->kill) &&
		    ((strstr(fact_text(f, n), " = connection ") && strstr(fact_text(f, n), "client #")) ||
		     (stuck && fact_a(f, n) != fact_a(f, r->launch) &&
		      (!strncmp(fact_text(f, n), "waiting for client #", 20) ||
		       !strncmp(fact_text(f, n), "write blocked by client #", 25)))))
			return true;
	return false;
}

/* SIGINT is ignored by what a shell starts in the background, and by nohup's kin: who sends it twice to such a process learns
 * nothing about it, unless its policy promises that the second forces. */
static void charge_ignored(const struct facts *f, const struct round_fact *r, struct hung *h)
{
	bool twice = r->sig2 && fact_a(f, r->sig) == SIGINT && fact_a(f, r->sig2) == SIGINT;

	if (twice && second_policy(f) == SECOND_FORCE)
		charge(h, "SIG-4", "it ignores SIGINT (SigIgn)", 0, r->root_before);
	else if (twice)
		charge(h, NULL, "the target ignores SIGINT (SigIgn in /proc/PID/status), as background jobs of a shell do", 0,
			r->root_before);
	else
		charge(h, "EXI-2", "it ignores the signal: SigIgn in /proc/PID/status has it", 0, r->root_before);
	h->excused = !h->charged;
}

static const struct round_fact *alone_after(const struct facts *f, const struct round_fact *r)
{
	const struct round_fact *next = r + 1;

	return next < f->rounds + f->n_rounds && next->alone && next->sig ? next : NULL;
}

/* The kernel's clock says of a process that it ran (" is busy: "), or that it would have: it may be the one that the root waits for. */
static bool some_could_run(const struct facts *f, const struct round_fact *r)
{
	for_each_event(f, EV_AUTOPSY, n)
		if (fact_event(f, n)->round == r->id && (strstr(fact_text(f, n), " in running") || strstr(fact_text(f, n), " is busy: ")))
			return true;
	return false;
}

/* The machine was busy for longer than can be waited for, and it ended by itself then, or was killed and a thread of it could run. One that
 * ran had its CPU, unless all together are known to have had less than a grace of it. */
bool starved(const struct facts *f, const struct round_fact *r)
{
	nsec_t waited = r->cpu_wait ? fact_a(f, r->cpu_wait) : 0, ran = r->cpu_wait ? fact_b(f, r->cpu_wait) : 0;
	uint64_t rss;

	if (!r->kill) /* it ended by itself, and without its waits it was in time */
		return r->exit && nsec_sub(fact_t(f, r->exit), signal_end(f, r)) + cpu_wait_of(f, r) <= exit_limit(f, r, &rss) + waited;
	if (waited <= 0 || waited < busy_part(NSEC_NEVER, grace_of(f)))
		return false;
	return strstr(fact_text(f, r->autopsy), " in running") || (ran > 0 && ran < grace_of(f) && some_could_run(f, r));
}

const struct conn_fact *held_client(const struct facts *f, const struct round_fact *r, uint32_t held)
{
	int32_t i = fact_event(f, held)->conn;

	if (fact_event(f, held)->round != r->id || i < 0 || (uint32_t)i >= f->n_conns || !f->conns[i].opened)
		return NULL;
	return f->conns[i].spec == NO_SPEC ? NULL : &f->conns[i];
}

/* Nobody has a client's connection open when the grace is over, which a busy machine may have made long. Who had one till shortly before
 * its end as it was asked for, a client that does nothing, was held by that one, and is on its way out. The last HELD; 0: none held it. */
static uint32_t held_till_the_end(const struct facts *f, const struct round_fact *r, struct open_clients *o)
{
	uint32_t last = 0;

	for_each_event(f, EV_HELD, n) {
		const struct conn_fact *c = held_client(f, r, n);

		if (!c)
			continue;
		count_open(f, c, fact_t(f, n), n, o);
		last = n;
	}
	if (o->n && !o->in_flight)
		return last;
	*o = (struct open_clients){ 0 };
	return 0;
}

struct hung hang_find(const struct facts *f, const struct round_fact *r)
{
	struct hung h = { .kind = hang_kind(f, r) };
	struct open_clients o = { 0 };
	uint64_t rss;
	nsec_t at = nsec_add(signal_end(f, r), exit_limit(f, r, &rss));

	if (h.kind == HANG_NONE)
		return h;
	/* the autopsy is taken when the grace is over; then it is asked once more, and only then killed */
	if (h.kind == HANG_KILLED && r->kill)
		at = fact_t(f, fact_before(f, r->autopsy, fact_t(f, r->kill)) ? r->autopsy : r->kill);
	for_each_conn(f, c) {
		if (round_of(f, c) == r && c->spec != NO_SPEC && conn_open_at(f, c, nsec_sub(at, 1)))
			count_open(f, c, at, 0, &o);
	}
	if (holds_no_client(f, r)) /* its side is closed: what is open here is the kernel's to finish */
		o = (struct open_clients){ 0 };
	h.let_go = o.n ? 0 : held_till_the_end(f, r, &o);
	h.at = at;
	h.cites[h.n_cites++] = r->sig;
	h.alone = alone_after(f, r);
	int signo = (int)fact_a(f, r->sig);

	if (starved(f, r))
		charge(&h, NULL, r->kill ? "the machine was too busy to say: all the while somebody waited for a CPU (cpu-wait), and it could run" :
		       "the machine was too busy to say: without what it waited for a CPU (cpu-wait) it had ended in time", 0, r->cpu_wait);
	else if (root_is_pid1(f, r) && root_held(f, r, signo) == 0)
		charge(&h, "SIG-6",
			"it is PID 1 and has no handler: the kernel drops the signal's default action",
			0, r->root_before);
	else if (root_ignored(f, r, signo) && !stop_began(f, r))
		charge_ignored(f, r, &h);
	else if (r->serves && fact_a(f, r->serves) > 0)
		charge(&h, "EXI-2", "its listener was open to the end, and it still answers new clients", 0, r->serves);
	else if (!stop_began(f, r) && !(o.n && blocked_by_client(f, r, o.silent || o.e_peer2)))
		charge(&h, "EXI-2", r->serves ? "its listener was open to the end, though new clients got no answer any more" :
		       "it never began to stop: its listener was open to the end", 0, r->serves);
	else
		charge_clients(f, r, &o, &h);
	if (h.let_go && h.clients)      /* and not because it ignores the signal, say */
		h.why = arena_printf(f->arena, "%s: %s before the end of the grace its connection was open there", h.why,
			time_text(f, nsec_sub(nsec_add(signal_end(f, r), grace_of(f)), fact_t(f, h.let_go))));
	return h;
}

uint32_t held_up_by(const struct facts *f, const struct round_fact *r)
{
	struct open_clients o = { 0 };
	nsec_t at = nsec_add(signal_end(f, r), DEADLINE_AT_LEAST);

	if (!r->sig || !r->exit || fact_t(f, r->exit) <= at)
		return 0;
	for_each_conn(f, c) {
		if (round_of(f, c) == r && c->spec != NO_SPEC && conn_open_at(f, c, at))
			count_open(f, c, at, 0, &o);
	}
	return o.in_flight || o.waits ? 0 : o.e_peer2 ? o.e_peer2 : o.e_peer1;
}
