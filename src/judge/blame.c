/* Attribution: one symptom is charged to one check, the most specific one. */
#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "judge/blame.h"
#include "judge/outcome.h"

#define DEFAULT_GRACE (10 * NSEC_PER_SEC)
#define TEARDOWN_PER_MIB (100 * NSEC_PER_USEC)
/* Past the limit by less than this, nobody can say who was late: the target, or our wake-up. */
#define LATE_BORDER (20 * NSEC_PER_MSEC)
#define HOLDER_BOUND 4          /* enum holder_kind of target/port.h, which the judge may not include */

enum second_policy second_policy(const struct facts *f)
{
	return f->sc->expect.has_second ? f->sc->expect.second : SECOND_ANY;
}

nsec_t grace_of(const struct facts *f)
{
	return f->sc->expect.within > 0 ? f->sc->expect.within : DEFAULT_GRACE;
}

nsec_t exit_limit(const struct facts *f, const struct round_fact *r, uint64_t *ret_rss_kib)
{
	uint64_t rss = 0;

	if (!process_field(f, r->root_before, "rss_kib", &rss) || rss > UINT64_C(1) << 40)
		rss = 0;
	*ret_rss_kib = rss;
	return nsec_add(grace_of(f), (nsec_t)(rss * (uint64_t)TEARDOWN_PER_MIB / 1024));
}

nsec_t contract_from(const struct facts *f, const struct round_fact *r)
{
	int64_t second = fact_a(f, r->sig2);

	if (!r->sig2 || second_policy(f) == SECOND_IDEMPOTENT)
		return NSEC_NEVER;
	if (second != SIGTERM && second != SIGINT && second != SIGQUIT && second != fact_a(f, r->sig))
		return NSEC_NEVER;
	return fact_t(f, r->sig2);
}

struct ending ending_of(const struct facts *f, const struct round_fact *r)
{
	struct ending e = { .event = r->exit };
	const char *text = fact_text(f, r->exit);

	if (!r->exit)
		return e;
	e.value = (int)(fact_b(f, r->exit) & 0xFFFF);
	e.core = strstr(text, " core") != NULL;
	/* asked for its stacks a Go program exits with 2: that is our doing too */
	if (strstr(text, "by harness") || (r->kill && fact_t(f, r->exit) >= fact_t(f, r->kill)))
		e.kind = ENDED_BY_US;
	else
		e.kind = fact_event(f, r->exit)->kind == EV_EXIT ? ENDED_CODE : ENDED_SIGNAL;
	return e;
}

const char *ending_text(const struct facts *f, const struct ending *e)
{
	switch (e->kind) {
	case ENDED_CODE:
		return arena_printf(f->arena, "exit %d", e->value);
	case ENDED_SIGNAL:
		return arena_printf(f->arena, "killed by %s%s", signal_name(e->value),
			e->core ? " with a core dump" : "");
	case ENDED_BY_US:
		return "killed by the harness";
	case ENDED_NOT:
		break;
	}
	return "no end";
}

int root_held(const struct facts *f, const struct round_fact *r, int signo)
{
	static const char *const masks[] = { "sigcgt", "sigblk", "sigign" };
	uint64_t held = 0, mask;

	if (!r->root_before || signo < 1 || signo > 64)
		return -1;
	for (unsigned i = 0; i < 3; i++) {
		if (!process_field(f, r->root_before, masks[i], &mask))
			return -1;
		held |= mask;
	}
	return held >> (signo - 1) & 1;
}

static bool was_sent(const struct facts *f, const struct round_fact *r, int signo)
{
	for_each_event(f, EV_SIGNAL, n)
		if (fact_event(f, n)->round == r->id && fact_a(f, n) == signo)
			return true;
	return false;
}

bool died_of_default(const struct facts *f, const struct round_fact *r)
{
	struct ending e = ending_of(f, r);

	return e.kind == ENDED_SIGNAL && was_sent(f, r, e.value) && root_held(f, r, e.value) == 0;
}

/* A clean stop is owed from the first answered request on; without a port, from readiness on. */
bool charged_to_default(const struct facts *f, const struct round_fact *r)
{
	nsec_t sig = signal_begin(f, r);

	return died_of_default(f, r) && (fact_before(f, r->first_answer, sig) ||
					 (f->sc->target.no_port && fact_before(f, r->ready, sig)));
}

/* ---- who holds a process that outlives its grace ---- */

struct open_clients {
	uint32_t n, never_closing, slow, silent, idle, in_flight, gated, waits;
	uint32_t e_peer2, e_peer1, e_idle, e_in_flight, e_waits; /* one event each, to cite */
};

static void count_open(const struct facts *f, const struct conn_fact *c, struct open_clients *o)
{
	uint32_t proof = c->still ? c->still : c->proven ? c->proven : c->connect;
	bool keeps = f->sc->clients[c->spec].never_closes;

	o->n++;
	if (keeps && c->end) {
		o->never_closing++;
		o->e_peer2 = o->e_peer2 ? o->e_peer2 : proof;
	} else if (c->phase == PHASE_SLOW_READER && c->asked > c->answers) {
		o->slow++;
		o->e_peer2 = o->e_peer2 ? o->e_peer2 : proof;
	} else if (c->waits) {
		o->waits++;
		o->e_waits = o->e_waits ? o->e_waits : proof;
	} else if (c->asked > c->answers && !c->rst_stream) {
		o->in_flight++;
		o->gated += c->gate != 0;
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

static void charge_clients(
	const struct facts *f, const struct round_fact *r, const struct open_clients *o, struct hung *h)
{
	bool force = second_policy(f) == SECOND_FORCE;
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
	else if (r->sig2 && fact_a(f, r->sig2) == SIGINT)
		charge(h, "SIG-4", "the second SIGINT did not end it", o->in_flight, o->e_in_flight);
	else if (r->sig2)
		charge(h, "SIG-3", "it hangs after the second signal", o->in_flight, o->e_in_flight);
	else if (o->in_flight)
		charge(h, "EXI-2", "a request in flight was not answered", o->in_flight, o->e_in_flight);
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
		      !strncmp(fact_text(f, n), "waiting for client #", 20))))
			return true;
	return false;
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

struct hung hang_find(const struct facts *f, const struct round_fact *r)
{
	struct hung h = { .kind = hang_kind(f, r) };
	struct open_clients o = { 0 };
	uint64_t rss;
	nsec_t at = nsec_add(signal_end(f, r), exit_limit(f, r, &rss));

	if (h.kind == HANG_NONE)
		return h;
	if (h.kind == HANG_KILLED && r->kill)
		at = fact_t(f, r->kill);
	for_each_conn(f, c) {
		if (round_of(f, c) == r && c->spec != NO_SPEC && conn_open_at(f, c, nsec_sub(at, 1)))
			count_open(f, c, &o);
	}
	if (holds_no_client(f, r)) /* its side is closed: what is open here is the kernel's to finish */
		o = (struct open_clients){ 0 };
	h.cites[h.n_cites++] = r->sig;
	if (root_is_pid1(f, r) && root_held(f, r, (int)fact_a(f, r->sig)) == 0)
		charge(&h, "SIG-6",
			"it is PID 1 and has no handler: the kernel drops the signal's default action",
			0, r->root_before);
	else if (!stop_began(f, r) && !(o.n && blocked_by_client(f, r, o.silent || o.e_peer2)))
		charge(&h, "EXI-2", "it never began to stop: its listener was open to the end", 0, 0);
	else
		charge_clients(f, r, &o, &h);
	return h;
}

const char *hung_charged(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	const struct hung *h = hang_of(f, r);

	if (h->kind != HANG_NONE)
		return h->charged;
	if (conn_ghost(f, c))
		return "CON-12";
	/* the process is gone, and its end of the connection lives on: somebody else has it */
	return r->exit && port_held_by(f, c->round) ? port_held_by(f, c->round) : NULL;
}

bool was_forced(const struct facts *f, const struct round_fact *r)
{
	return contract_from(f, r) != NSEC_NEVER && r->exit && fact_t(f, r->exit) >= contract_from(f, r);
}

/* ---- who holds a port ---- */

static bool same_text(const struct facts *f, uint32_t a, uint32_t b, const char *key)
{
	char x[256], y[256];

	return !process_string(f, a, key, x, sizeof x) || !process_string(f, b, key, y, sizeof y) ||
	       !strcmp(x, y);
}

/* Was the descriptor carried over an exec (a helper that nobody meant to have it), or is it a forked
 * worker's own? */
static bool inherited_over_exec(const struct facts *f, const struct round_fact *r, uint32_t holder)
{
	const char *text = fact_text(f, holder), *slash = strchr(text, '/');
	char comm[64];
	uint32_t process = 0;

	if (strstr(text, "CLOEXEC set"))
		return false;
	for_each_event(f, EV_PROCESS, n)
		if (fact_event(f, n)->round == r->id && fact_a(f, n) == fact_b(f, holder))
			process = n;
	if (process && r->root_before && !same_text(f, process, r->root_before, "cmd"))
		return true;
	if (!slash || !process_string(f, r->root_before, "comm", comm, sizeof comm))
		return true;
	return strncmp(slash + 1, comm, strlen(comm)) != 0;
}

bool holder_inherited(const struct facts *f, uint32_t left_holder)
{
	const struct round_fact *r = round_at(f, left_holder);

	return r && inherited_over_exec(f, r, left_holder);
}

const char *port_held_by(const struct facts *f, uint16_t round)
{
	const struct round_fact *r = &f->rounds[round];
	const char *id = NULL;

	for_each_event(f, EV_LEFT_HOLDER, n) {
		if (fact_event(f, n)->round != r->id)
			continue;
		if (inherited_over_exec(f, r, n))
			return "RES-5";
		id = "RES-1";
	}
	for_each_event(f, EV_PORT_HOLDER, n)
		if (!id && fact_event(f, n)->round == r->id && fact_b(f, n) == HOLDER_BOUND)
			id = "LSN-3";
	return id;
}

/* Does this text name the pid as a number of its own? */
static bool names_pid(const char *text, int64_t pid)
{
	char digits[24];
	size_t n = 0;

	for (int64_t v = pid; v > 0 && n < sizeof digits; v /= 10)
		digits[n++] = (char)('0' + v % 10);
	for (const char *p = text; n && *p; p++) {
		size_t i = 0;

		if (p > text && p[-1] >= '0' && p[-1] <= '9')
			continue;
		while (i < n && p[i] == digits[n - 1 - i])
			i++;
		if (i == n && !(p[n] >= '0' && p[n] <= '9'))
			return true;
	}
	return false;
}

const char *survivor_charged(const struct facts *f, uint32_t left_process)
{
	const struct round_fact *r = round_at(f, left_process);
	int64_t pid = fact_a(f, left_process);

	for_each_event(f, EV_LEFT_HOLDER, n)
		if (fact_event(f, n)->round == r->id && fact_b(f, n) == pid &&
			inherited_over_exec(f, r, n))
			return "RES-5";
	for_each_event(f, EV_PORT_HOLDER, n)
		if (fact_event(f, n)->round == r->id && fact_b(f, n) == HOLDER_BOUND &&
			names_pid(fact_text(f, n), pid))
			return "LSN-3";
	return NULL;
}
