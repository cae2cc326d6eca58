/* Attribution: one symptom is charged to one check, the most specific one. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "judge/blame.h"
#include "judge/outcome.h"
#include "judge/say.h"

#define DEFAULT_GRACE (10 * NSEC_PER_SEC)
#define TEARDOWN_PER_MIB (100 * NSEC_PER_USEC)
#define HOLDER_BOUND 4          /* enum holder_kind of target/port.h, which the judge may not include */

enum second_policy second_policy(const struct facts *f)
{
	return f->sc->expect.has_second ? f->sc->expect.second : SECOND_ANY;
}

nsec_t grace_of(const struct facts *f)
{
	return f->sc->expect.within > 0 ? f->sc->expect.within : DEFAULT_GRACE;
}

nsec_t cpu_wait_of(const struct facts *f, const struct round_fact *r)
{
	return r->cpu_wait ? busy_part(fact_a(f, r->cpu_wait), grace_of(f)) : 0;
}

nsec_t exit_limit(const struct facts *f, const struct round_fact *r, uint64_t *ret_rss_kib)
{
	uint64_t rss = 0;

	if (!process_field(f, r->root_before, "rss_kib", &rss) || rss > UINT64_C(1) << 40)
		rss = 0;
	*ret_rss_kib = rss;
	return nsec_add(nsec_add(grace_of(f), (nsec_t)(rss * (uint64_t)TEARDOWN_PER_MIB / 1024)), cpu_wait_of(f, r));
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

bool root_ignored(const struct facts *f, const struct round_fact *r, int signo)
{
	uint64_t mask;

	return r->root_before && signo > 0 && signo <= 64 && process_field(f, r->root_before, "sigign", &mask) &&
	       mask >> (signo - 1) & 1;
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

const struct conn_fact *survivor_waits_for(const struct facts *f, uint32_t left_process)
{
	unsigned i;

	for_each_event(f, EV_AUTOPSY, n)
		if (n > left_process && fact_event(f, n)->round == fact_event(f, left_process)->round &&
			fact_a(f, n) == fact_a(f, left_process) &&
			sscanf(fact_text(f, n), "waiting for client #%u", &i) == 1 && i < f->n_conns &&
			f->conns[i].opened && f->conns[i].spec != NO_SPEC && conn_armed(f, &f->conns[i]) &&
			in_phase(&f->conns[i], SILENT_PHASES))
			return &f->conns[i];
	return NULL;
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
	return survivor_waits_for(f, left_process) ? "PEER-1" : NULL;
}
